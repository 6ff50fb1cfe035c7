"""Erasing a detail: never before its term, never under a hold, and never at the cost of a proof."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hdex.ledger import merkle
from hdex.ledger.detail import Detail, Details
from hdex.ledger.detail_memory import MemoryDetailStore
from hdex.ledger.erasure import Eraser, Scope
from hdex.ledger.errors import DetailErased, ErasureRefused, RetentionInvalid
from hdex.ledger.event import Action, Event, canonical, commit, format_time
from hdex.ledger.log import Log
from hdex.ledger.note import Signer, parse_checkpoint
from hdex.ledger.retention import Retention, Term, from_toml, load_retention, shipped
from hdex.ledger.store_memory import MemoryLogStore

MADE = datetime(2026, 11, 21, 22, 0, tzinfo=UTC)
ANN = "spiffe://hdex.test/hospital/a/ann"
SALT = bytes(16)
PROVISION, ACCESS = Action.EXPORT, Action.CALL_REFUSE
CN = """
[[class]]
name = "all"
actions = [{actions}]
[[term]]
regime = "cn"
months = {{ all = 36 }}
"""


def event(name: str, action: Action = PROVISION, time: datetime = MADE, **said: str) -> Event:
    return Event(event_id=name, time=format_time(time), node="a", action=action, actor=commit(ANN, SALT), **said)  # type: ignore[arg-type]


def eraser_at(details: Details, now: datetime, retention: Retention | None = None) -> Eraser:
    return Eraser(details, retention or shipped(), lambda: now)


@pytest.fixture
def details() -> Details:
    return Details(MemoryDetailStore(), bytes(range(32)))


def test_before_its_term_a_detail_stays_and_the_refusal_says_until_when(details: Details) -> None:
    details.remember(event("e"), Detail(ANN, SALT))
    with pytest.raises(ErasureRefused) as refused:
        eraser_at(details, MADE + timedelta(days=365 * 5)).selected(Scope(actor=ANN))
    assert refused.value.rule == "retention.provision.us"
    assert "2032-11-21T22:00:00.000Z" in refused.value.next_step
    assert details.open("e").actor == ANN


def test_after_its_term_it_goes_and_every_proof_still_holds(details: Details) -> None:
    origin = "hdex/a/2026"
    log = Log(MemoryLogStore(), origin, Signer(origin, bytes(range(32))))
    for name in ("e1", "e2", "e3"):
        details.remember(event(name), Detail(ANN, SALT))
        log.append(canonical(event(name)))
    head = log.checkpoint()
    eraser = eraser_at(details, datetime(2032, 11, 21, 22, 0, tzinfo=UTC))
    rows = eraser.selected(Scope(actor=ANN))
    assert len(rows) == 3
    eraser.erase(rows)
    with pytest.raises(DetailErased):
        details.open("e2")
    assert log.checkpoint() == head
    leaf = merkle.leaf_hash(log.entries(1, 2)[0])
    merkle.verify_inclusion(leaf, 1, 3, log.inclusion(1, 3), parse_checkpoint(head).root)
    assert eraser.selected(Scope(actor=ANN)) == []


def test_the_term_depends_on_the_class_and_on_the_regime(details: Details) -> None:
    only_cn = from_toml(CN.format(actions=", ".join(f'"{action}"' for action in Action)))
    details.remember(event("e"), Detail(ANN, SALT))
    just_before = datetime(2029, 11, 21, 21, 59, tzinfo=UTC)
    with pytest.raises(ErasureRefused) as refused:
        eraser_at(details, just_before, only_cn).selected(Scope(event="e"))
    assert refused.value.rule == "retention.all.cn"
    assert len(eraser_at(details, just_before + timedelta(minutes=1), only_cn).selected(Scope(event="e"))) == 1


def test_what_is_past_its_term_can_be_taken_out_by_time(details: Details) -> None:
    details.remember(event("old", time=MADE - timedelta(days=3000)), Detail(ANN, SALT))
    details.remember(event("new"), Detail(ANN, SALT))
    eraser = eraser_at(details, MADE)
    with pytest.raises(ErasureRefused, match="1 of 2"):
        eraser.selected(Scope(actor=ANN))
    assert [row.event_id for row in eraser.selected(Scope(actor=ANN, before=MADE))] == ["old"]


@pytest.mark.parametrize(
    "scope",
    [
        Scope(actor=ANN),
        Scope(event="e"),
        Scope(product="p"),
        Scope(contract="c"),
        Scope(),
        Scope(before=MADE + timedelta(1)),
    ],
)
def test_a_legal_hold_keeps_what_its_term_would_let_go(details: Details, scope: Scope) -> None:
    details.remember(event("e", product="p", contract="c"), Detail(ANN, SALT))
    eraser = eraser_at(details, MADE + timedelta(days=9999))
    eraser.place_hold("court", scope)
    with pytest.raises(ErasureRefused) as refused:
        eraser.selected(Scope(actor=ANN))
    assert (refused.value.rule, "court" in refused.value.next_step) == ("retention.hold", True)
    eraser.lift_hold("court")
    assert len(eraser.selected(Scope(actor=ANN))) == 1


@pytest.mark.parametrize(
    "scope", [Scope(actor="spiffe://x"), Scope(event="x"), Scope(product="x"), Scope(contract="x"), Scope(before=MADE)]
)
def test_a_hold_on_something_else_does_not_stand_in_the_way(details: Details, scope: Scope) -> None:
    details.remember(event("e", product="p", contract="c"), Detail(ANN, SALT))
    eraser = eraser_at(details, MADE + timedelta(days=9999))
    eraser.place_hold("court", scope)
    assert len(eraser.selected(Scope(actor=ANN))) == 1


def test_an_order_that_names_nobody_and_a_hold_that_does_not_stand_are_refused(details: Details) -> None:
    eraser = eraser_at(details, MADE)
    for scope in (Scope(), Scope(product="p"), Scope(before=MADE)):
        with pytest.raises(ErasureRefused):
            eraser.selected(scope)
    with pytest.raises(ErasureRefused):
        eraser.lift_hold("no such")


@given(
    st.builds(
        Scope,
        actor=st.none() | st.text(min_size=1),
        event=st.none() | st.text(min_size=1),
        product=st.none() | st.text(min_size=1),
        contract=st.none() | st.text(min_size=1),
        before=st.none() | st.just(MADE),
    )
)
def test_a_scope_survives_its_document(scope: Scope) -> None:
    assert Scope.from_document(scope.document()) == scope


@pytest.mark.parametrize("document", [None, [], {"actor": ""}, {"actor": 1}, {"everything": "yes"}])
def test_a_scope_that_is_none_is_refused(document: object) -> None:
    with pytest.raises(ErasureRefused):
        Scope.from_document(document)


def test_the_shipped_terms_are_three_and_six_years_and_cover_every_action(tmp_path: Path) -> None:
    assert shipped().term(PROVISION) == Term("provision", "us", 72)
    assert set(shipped().classes) == set(Action)
    own = tmp_path / "retention.toml"
    own.write_text(CN.format(actions=", ".join(f'"{action}"' for action in Action)))
    assert load_retention(own).term(PROVISION).months == 36
    assert load_retention(tmp_path / "none").term(ACCESS).months == 72


def test_an_action_without_a_class_is_kept_longest() -> None:
    partial = from_toml(CN.format(actions='"export"') + '[[class]]\nname = "other"\nactions = []\n')
    assert partial.term(ACCESS).months == 36


@pytest.mark.parametrize(
    "text",
    [
        "",
        "rubbish",
        CN.format(actions='"no.such"'),
        "extra = 1\n" + CN.format(actions='"export"'),
        CN.format(actions='"export"').replace("36", "0"),
        CN.format(actions='"export"').replace("all = 36", "other = 36"),
        CN.format(actions='"export"') + '[[class]]\nname = "second"\nactions = ["export"]\n',
    ],
)
def test_terms_that_cannot_be_used_do_not_load(text: str) -> None:
    with pytest.raises(RetentionInvalid):
        from_toml(text)


@pytest.mark.parametrize(
    ("moment", "months", "end"),
    [
        ("2024-02-29", 36, "2027-02-28"),
        ("2024-02-29", 48, "2028-02-29"),
        ("2026-12-31", 2, "2027-02-28"),
        ("2026-11-21", 1, "2026-12-21"),
        ("2026-11-21", 14, "2028-01-21"),
    ],
)
def test_a_term_ends_on_the_same_day_or_on_the_last_of_a_shorter_month(moment: str, months: int, end: str) -> None:
    made = datetime.fromisoformat(moment).replace(tzinfo=UTC)
    assert Term("c", "r", months).ends(made) == datetime.fromisoformat(end).replace(tzinfo=UTC)
