"""What the desk shows, without a node: tasks, searches, figures, drafts, and cells that compute nothing."""

import csv
import io
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hdex.catalog.spreadsheet import RISKY, cell, to_csv
from hdex.node.desk_review import BY_HAND, Draft, lines_of, required
from hdex.node.errors import NotFound, RequestInvalid
from hdex.node.web.desk_tasks import (
    COMMITTEE,
    OFFICER,
    STEWARD,
    dataset_tasks,
    study_state,
    study_task,
    tasks,
    terms_of,
)
from hdex.node.web.desk_views import AccessSearch, figures, orders_of, told
from hdex.node.web.desk_words import DeskWords


def column(name: str, *, level: int = 2, role: str = "other", confidence: float = 0.9) -> dict[str, Any]:
    said = {"name": name, "role": role, "category": "personal_attribute", "level": level}
    return {**said, "evidence": ["name fits"], "confidence": confidence, "element": ""}


def document(*columns: dict[str, Any], level: int = 4) -> dict[str, Any]:
    head = {"schema": "hdex/classification/v1", "scheme": "hdex-five", "level": level, "reasons": [], "grade": 1}
    return {**head, "may_lower_to": 2, "tables": [{"name": "d", "rows": 1, "columns": list(columns)}]}


def version(**changed: Any) -> dict[str, Any]:
    held = {"version": "1.0.0", "state": "DEIDENTIFIED", "product": "p", "signed_by": [], "listed_from": ""}
    return held | changed


def dataset(classification: str = "approved", *versions: dict[str, Any]) -> dict[str, Any]:
    return {"dataset": "d/ä", "classification": classification, "versions": list(versions)}


@pytest.mark.parametrize(
    ("held", "expected"),
    [
        (dataset("none"), [("classify", STEWARD)]),
        (dataset("outdated"), [("outdated", STEWARD)]),
        (dataset("pending"), [("second", OFFICER)]),
        (dataset(), [("deidentify", STEWARD)]),
        (dataset("approved", version(product="")), [("assess", STEWARD)]),
        (dataset("approved", version()), [("sign_first", STEWARD)]),
        (dataset("approved", version(signed_by=[STEWARD])), [("sign_second", OFFICER)]),
        (dataset("approved", version(state="ASSESSED")), [("list", OFFICER)]),
        (dataset("approved", version(state="NOTICE", listed_from="2026-12-01T00:00:00.000Z")), [("notice", OFFICER)]),
        (dataset("approved", version(state="LISTED")), []),
        (dataset("approved", version(), version(state="LISTED")), []),  # an older one is nobody's task
        (dataset("outdated", version()), [("outdated", STEWARD), ("sign_first", STEWARD)]),
    ],
)
def test_the_next_step_of_a_data_set(held: dict[str, Any], expected: list[tuple[str, str]]) -> None:
    found = list(dataset_tasks(held))
    assert [(task.key, task.roles[0]) for task in found] == expected
    for lang in ("en", "zh"):
        assert all("d/ä" in DeskWords(lang).say(f"task.{task.key}", **task.values) for task in found)
    assert all("d%2F%C3%A4" in task.path or task.path == "/datasets" for task in found)


@pytest.mark.parametrize(
    ("level", "said", "state", "roles"),
    [
        (3, {}, "waiting", (OFFICER, COMMITTEE)),
        (3, {OFFICER: "approve"}, "approved", None),
        (4, {OFFICER: "approve"}, "waiting", (COMMITTEE,)),
        (5, {OFFICER: "approve", COMMITTEE: "approve"}, "approved", None),
        (3, {OFFICER: "approve", COMMITTEE: "deny"}, "denied", None),
        (5, {COMMITTEE: "deny"}, "denied", None),
    ],
)
def test_who_must_still_speak_about_a_study(
    level: int, said: dict[str, str], state: str, roles: tuple[str, ...] | None
) -> None:
    study = {"study": "s", "level": level, "said": said}
    task = study_task(study)
    assert study_state(study) == state
    assert (task.roles if task else None) == roles


def test_everything_that_waits_is_listed_studies_first() -> None:
    request = {"name": "r/1", "next": STEWARD, "due": "2026-11-20", "overdue": True, "escalated_to": OFFICER}
    waiting: dict[str, list[dict[str, Any]]] = {
        "requests": [{**request, "name": "r-2", "due": "2026-12-01", "overdue": False, "escalated_to": ""}, request],
        "contracts": [{"name": "c-1", "product": "p"}],
        "vettings": [{"name": "buyer", "role": STEWARD}],
        "runs": [
            {"name": "x", "state": "SUBMITTED", "roles": [STEWARD, OFFICER]},
            {"name": "y", "state": "CHECKED", "roles": [OFFICER]},
        ],
    }
    suspended = {"product": "p", "version": "1", "state": "SUSPENDED"}
    found = tasks(
        datasets=[dataset("none")],
        studies=[{"study": "s", "level": 2, "said": {}}],
        products=[suspended, {**suspended, "state": "LISTED"}],
        waiting=waiting,
    )
    keys = ["study", "access_late", "access", "contract", "vetting", "script", "output", "classify", "resume"]
    assert [task.key for task in found] == keys
    late = found[1]
    assert (late.roles, late.path) == ((STEWARD, OFFICER), "/requests/r%2F1")
    assert found[-4].roles == (STEWARD, OFFICER)
    assert found[-3].roles == (OFFICER,)
    for lang in ("en", "zh"):
        assert all(DeskWords(lang).say(f"task.{task.key}", **task.values) for task in found)


@pytest.mark.parametrize(
    ("ends", "state", "told"),
    [
        ("", "LISTED", ""),
        ("2026-11-21T00:00:00.000Z", "LISTED", "terms_ended"),
        ("2026-11-22T23:00:00.000Z", "EXPIRED", "terms_ended"),
        ("2026-12-22T00:00:00.000Z", "LISTED", "terms_end"),
        ("2026-12-23T00:00:00.000Z", "LISTED", ""),
        ("2026-11-21T00:00:00.000Z", "REVOKED", ""),
        ("2026-11-21T00:00:00.000Z", "DEIDENTIFIED", ""),
    ],
)
def test_terms_that_end_are_a_task_of_the_newest_version(ends: str, state: str, told: str) -> None:
    assert terms_of({"state": state, "terms_end": ends}, "2026-11-22") == told
    found = [
        task.key for task in dataset_tasks(dataset("approved", version(state=state, terms_end=ends)), "2026-11-22")
    ]
    assert [key for key in found if key.startswith("terms")] == ([told] if told else [])


def test_a_change_says_what_it_was_and_why() -> None:
    draft = Draft.of(document(column("a"), column("b", level=4, role="direct")))
    changed = draft.changed("b", level=1, role="other", reason="  a public\n number ")
    lines = changed.lines()
    assert [(line.name, line.level, line.is_contested) for line in lines] == [("b", 1, True), ("a", 2, False)]
    assert lines[0].evidence[-1] == f"{BY_HAND}direct 4 -> other 1: a public number"
    assert draft.document == draft.proposed  # the draft before is as it was
    assert changed.digest != draft.digest


def test_raising_a_column_raises_the_data_set_and_is_not_contested() -> None:
    changed = Draft.of(document(column("a"), level=3)).changed("a", level=5, role="other", reason="rare")
    assert changed.document["level"] == 5
    assert not changed.lines()[0].is_contested


def test_what_the_node_found_stands_beside_the_column() -> None:
    clash = {"column": "a", "found": "direct, level 4", "why": ["reads as phones"]}
    (line, *_) = lines_of(document(column("b", level=5), column("a")), [clash])
    assert (line.name, line.is_contested, line.found, line.why) == ("a", True, "direct, level 4", ("reads as phones",))


def test_unsure_columns_stand_before_sure_ones() -> None:
    names = [line.name for line in lines_of(document(column("a", level=5), column("b", confidence=0.4)), [])]
    assert names == ["b", "a"]


def test_a_change_of_what_is_not_there_is_refused() -> None:
    with pytest.raises(NotFound):
        Draft.of(document(column("a"))).changed("b", level=1, role="other", reason="x")


@given(st.text(max_size=500))
def test_a_reason_is_one_line_or_refused(text: str) -> None:
    try:
        said = required(text)
    except RequestInvalid:
        assert not text.split() or len(" ".join(text.split())) > 400
    else:
        assert said == " ".join(said.split())


def test_a_search_s_address_leads_back_to_it() -> None:
    asked = {"product": "p & q", "decision": "deny", "since": "2026-11-01", "until": "2026-11-30", "before": "37"}
    search = AccessSearch.read(asked)
    assert search.address() == "product=p+%26+q&decision=deny&since=2026-11-01&until=2026-11-30"
    assert search.address(before=20).endswith("before=20")
    assert search.before == 37
    assert search.question()["until"] == "2026-12-01T00:00:00.000Z"
    assert not search.is_odd


@given(st.dictionaries(st.sampled_from(["product", "decision", "since", "until", "before"]), st.text(max_size=12)))
def test_no_address_breaks_a_search(asked: dict[str, str]) -> None:
    search = AccessSearch.read(asked)
    assert search.before >= 0
    assert AccessSearch.read(dict(search.values)).values == search.values


@pytest.mark.parametrize("asked", [{"before": "-1"}, {"before": "x"}, {"before": "9" * 16}, {"product": "x" * 300}])
def test_what_makes_no_sense_is_left_out_and_said(asked: dict[str, str]) -> None:
    search = AccessSearch.read(asked)
    assert search.is_odd
    assert (search.before, search.values) == (0, ())


def test_a_level_5_report_has_no_figures_of_rows() -> None:
    report = {"rows_before": 10, "rows_after": 0, "suppressed": 0, "risk_before": {}, "risk_after": None}
    found = figures({**report, "attack_before": None, "attack_after": None, "residue": 0, "loss": 1.0})
    assert [figure.key for figure in found] == ["rows", "residue", "loss"]


@pytest.mark.parametrize(
    ("value", "text"), [(True, "✓"), (False, "✗"), (None, "–"), (0.05941, "0.0594"), (12345, "12,345"), ("k", "k")]
)
def test_a_measure_is_told_as_a_table_shows_it(value: object, text: str) -> None:
    assert told(value) == text


def test_only_orders_that_the_state_allows_are_offered() -> None:
    assert orders_of({"arrows": ["suspend", "revoke", "expire"]}) == ["suspend", "withdraw"]
    assert orders_of({"arrows": ["resume", "revoke"]}) == ["resume", "withdraw"]
    assert orders_of({"arrows": []}) == []


# Cells that spreadsheets compute. Source: OWASP, CSV Injection.
FORMULAS = (
    "=1+1",
    "+1",
    "-1+1",
    "@SUM(A1)",
    "\t=1",
    "\r=1",
    "\n=1",
    " =1",
    '=HYPERLINK("http://x")',
    "=cmd|' /C calc'!A0",
)


@pytest.mark.parametrize("text", FORMULAS)
def test_a_formula_is_text_in_the_sheet(text: str) -> None:
    assert cell(text) == f"'{text}"


@given(st.lists(st.lists(st.one_of(st.none(), st.integers(), st.text()), min_size=2, max_size=2), max_size=5))
def test_a_sheet_reads_back_and_no_cell_computes(rows: list[list[object]]) -> None:
    content = to_csv(["a", "=b"], rows).decode("utf-8")
    read = list(csv.reader(io.StringIO(content.removeprefix("\ufeff"), newline="")))
    assert read[0] == ["a", "'=b"]
    for written, found in zip(rows, read[1:], strict=True):
        for value, text in zip(written, found, strict=True):
            assert isinstance(value, int) or not text.startswith(RISKY)
            assert text.removeprefix("'") == str(value if value is not None else "").encode(
                "utf-8", "replace"
            ).decode().removeprefix("'")
