"""What a verb prints for people: a line each, nothing that only a program reads, and a word where there is nothing."""

import json

import pytest

from hdex.node.cli.node_enclave import lines_of_run
from hdex.node.cli.serving import in_line, lines_of, show_each


def test_a_document_reads_as_lines_and_what_is_nested_stands_below_its_name() -> None:
    document = {
        "state": "LISTED",
        "rule": "",
        "overdue": False,
        "rate": 0.9618736383442266,
        "modes": ["query", "federated"],
        "title": {"en": "Stents", "zh": "支架"},
        "rows": [{"id": "a", "left": None}, {"id": "b", "left": {"rounds": 3, "days": 4}}],
        "reasons": [
            "level 4: 12 columns: name, phone and 10 more of them that stand in this table",
            "level 3: age, sex",
        ],
        "crossed": {name * 20: {"bytes": 1, "count": 2} for name in "abc"},
        "nothing": {},
    }
    assert list(lines_of(document)) == [
        "state: LISTED",
        "rule: none",
        "overdue: no",
        "rate: 0.961874",
        "modes: query, federated",
        "title: en Stents, zh 支架",
        "rows:",
        "  - id a, left none",
        "  - id b, left (rounds 3, days 4)",
        "reasons:",
        "  - level 4: 12 columns: name, phone and 10 more of them that stand in this table",
        "  - level 3: age, sex",
        "crossed:",
        *(f"  {name * 20}: bytes 1, count 2" for name in "abc"),
        "nothing: none",
    ]


def test_amounts_read_as_money_where_their_currency_is_named() -> None:
    assert list(lines_of({"number": "a-1", "currency": "CNY", "total_cents": 12720000, "paid_cents": 0})) == [
        "number: a-1", "currency: CNY", "total: CNY 127,200.00", "paid: CNY 0.00",
    ]  # fmt: skip
    assert in_line([{"currency": "JPY", "fee_cents": 500}]) == "(currency JPY, fee JPY 500)"
    assert in_line({"currency": "odd", "fee_cents": 500}) == "currency odd, fee_cents 500"
    assert in_line({"fee_cents": 500}) == "fee_cents 500"


def test_a_peers_word_is_one_line_wherever_it_stands() -> None:
    nasty = "ok\x1b[2J\n forged: line"
    document = {"a": [{"b": nasty}], "c": {"d" * 90: nasty, nasty: "e" * 90}}
    assert all(line.isprintable() for line in lines_of(document))
    assert in_line(nasty).isprintable()


def test_a_script_reads_line_by_line_and_none_of_it_as_ours() -> None:
    run = {
        "run": "r1",
        "script": "a = 1\n\tb = 2\nstate: RELEASED\x1b[2J",
        "outputs": {"t.csv": "x,n\n1,11\n"},
        "state": "S",
    }
    assert list(lines_of_run(run)) == [
        "run: r1", "state: S",
        "script:", "  | a = 1", "  |     b = 2", "  | state: RELEASED\N{REPLACEMENT CHARACTER}[2J",
        "t.csv:", "  | x,n", "  | 1,11",
    ]  # fmt: skip


def test_a_list_has_room_between_its_items_and_says_when_there_are_none(capsys: pytest.CaptureFixture[str]) -> None:
    show_each("things", [{"id": 1}, {"id": 2, "of": "x"}], as_json=False, none="nobody made one")
    assert capsys.readouterr() == ("id: 1\n\nid: 2\nof: x\n", "")
    show_each("things", [], as_json=False, none="nobody made one")
    assert capsys.readouterr() == ("", "none: nobody made one\n")
    show_each("things", [], as_json=True, none="nobody made one")
    assert json.loads(capsys.readouterr().out) == {"things": []}
