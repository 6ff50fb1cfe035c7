"""What was used is counted from the log's own entries: once, whatever broke on the way."""

from dataclasses import replace
from itertools import count, pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hdex.ledger.event import Action, Decision, Event
from hdex.ledger.usage import USES, Access, Place, Tally, Unit, Usage, access_of, month_of, usage

ORIGIN, MONTH = "hdex/hospital-a/2026", "2026-11"
JOIN, SUBMIT, EXPORT, ACK = Action.ROUND_JOIN, Action.ROUND_SUBMIT, Action.EXPORT, Action.DELIVERY_ACKNOWLEDGE


def log(*entries: tuple[Action, dict[str, Any]], origin: str = ORIGIN, day: str = "2026-11-21") -> list[Access]:
    """Return the accesses of one contract, one entry a second."""
    return [
        Access(Place(origin, index, day[:7]), f"{day}T00:00:{index % 60:02}.000Z", action, **said)
        for index, (action, said) in enumerate(entries)
    ]


def counted(accesses: list[Access], **given: int) -> Usage:
    return usage("c-1", accesses, MONTH, ORIGIN, start=given.get("start", 0), size=given.get("size", 10_000))


def export(size: int = 10) -> tuple[Action, dict[str, Any]]:
    return EXPORT, {"rows": 400, "bytes": size}


def test_a_delivery_cut_and_resumed_counts_once() -> None:
    whole = counted(log(export(), export(), export(), (ACK, {})))
    broken = counted(log(export(), export(), export(), export(), export(), (ACK, {}), (ACK, {})))
    assert (whole.deliveries, whole.rows, whole.bytes) == (1, 400, 30)
    assert (broken.deliveries, broken.rows, broken.bytes) == (1, 400, 50)  # ranges sent again are bytes, not deliveries


def test_a_second_delivery_begins_after_the_first_was_acknowledged() -> None:
    found = counted(log(export(), (ACK, {}), export(), export(), (ACK, {})))
    assert (found.deliveries, found.rows, found.first, found.last) == (2, 800, 0, 3)


def test_a_share_is_one_delivery_per_day_and_version_whatever_was_read() -> None:
    def read(version: str) -> tuple[Action, dict[str, Any]]:
        return Action.SHARE_READ, {"rows": 400, "bytes": 10, "version": version}

    same = counted(log(read("1.0.0"), read("1.0.0"), read("1.0.0")))
    assert (same.deliveries, same.rows, same.bytes) == (1, 400, 30)
    assert counted(log(read("1.0.0"), read("1.1.0"), read("1.0.0"))).deliveries == 2
    later = log(read("1.0.0"), day="2026-11-20") + [
        replace(one, place=Place(ORIGIN, 7, MONTH)) for one in log(read("1.0.0"))
    ]
    assert counted(later).deliveries == 2
    beside = counted(log(export(), read("1.0.0"), export(), (ACK, {})))
    assert beside.deliveries == 2  # an acknowledgement ends the file's delivery and no share's


def test_a_contract_that_is_given_back_has_ended() -> None:
    story = log((Action.GRANT_ISSUE, {"grant": "g1"}), (Action.CONTRACT_COMPLETE, {"grant": "g1"}))
    assert counted(story).revoked == story[1].time


def test_a_round_counts_once_however_often_it_was_attempted() -> None:
    attempts: list[tuple[Action, dict[str, Any]]] = [
        (JOIN, {"question": "s/1", "round": "r1"}),
        (SUBMIT, {"question": "s/1", "bytes": 5}),
        (JOIN, {"question": "s/2", "round": "r1"}),  # the same round, asked of fewer sites
        (SUBMIT, {"question": "s/2", "bytes": 5}),
        (SUBMIT, {"question": "s/2", "bytes": 5}),  # a kept reply sent again
        (JOIN, {"question": "s/3", "round": "r2"}),  # joined, but nothing left
    ]
    found = counted(log(*attempts))
    assert (found.rounds, found.bytes, found.first, found.last) == (1, 15, 1, 4)


def test_logs_that_do_not_name_rounds_yet_count_questions() -> None:
    found = counted(log((SUBMIT, {"question": "s/1"}), (SUBMIT, {"question": "s/1"}), (SUBMIT, {"question": "s/2"})))
    assert found.rounds == 2


def test_a_licence_has_its_times_from_the_log() -> None:
    story = log((Action.GRANT_ISSUE, {"grant": "g1"}), export(), (Action.GRANT_REVOKE, {"grant": "g1"}))
    found = counted(story)
    assert (found.granted, found.revoked, found.grant) == (story[0].time, story[2].time, "g1")
    assert counted(story, size=2).revoked == ""  # not yet, below this head


def test_the_first_use_is_told_once() -> None:
    story = log(export(), (ACK, {}), export())
    assert [counted(story, start=start).is_first for start in (0, 1, 2)] == [True, False, False]
    assert not counted(log(export(), day="2026-10-01") + log(export())).is_first


def test_a_delivery_that_is_open_at_the_edge_is_billed_on_one_side_only() -> None:
    story = log(export(), export(), export(), (ACK, {}))
    halves = [counted(story, size=2), counted(story, start=2)]
    assert [half.deliveries for half in halves] == [1, 0]
    assert sum(half.bytes for half in halves) == 30


def test_a_delivery_over_new_year_belongs_to_the_year_in_which_it_began() -> None:
    later = "hdex/hospital-a/2027"
    story = log(export(), day="2026-12-31") + log(export(), (ACK, {}), origin=later, day="2027-01-01")
    december = usage("c-1", story, "2026-12", ORIGIN, start=0, size=99)
    january = usage("c-1", story, "2027-01", later, start=0, size=99)
    assert (december.deliveries, january.deliveries, january.bytes) == (1, 0, 10)


@pytest.mark.parametrize(
    ("origin", "time", "month"),
    [
        (ORIGIN, "2026-11-21T22:00:00.000Z", "2026-11"),
        (ORIGIN, "2025-12-31T23:59:59.999Z", "2026-01"),
        (ORIGIN, "2027-01-01T00:00:00.000Z", "2026-12"),
    ],
)
def test_a_month_stays_within_the_year_of_its_shard(origin: str, time: str, month: str) -> None:
    assert month_of(origin, time) == month


ENTRIES = st.lists(
    st.one_of(
        st.just(export()),
        st.just((ACK, {})),
        st.just((Action.QUERY_RUN, {"bytes": 3})),
        st.builds(lambda n: (JOIN, {"question": f"s/{n}", "round": f"r{n // 2}"}), st.integers(0, 5)),
        st.builds(lambda n: (SUBMIT, {"question": f"s/{n}", "bytes": 1}), st.integers(0, 5)),
    ),
    max_size=40,
)


@given(ENTRIES, st.lists(st.integers(0, 40), max_size=4))
def test_parts_of_a_month_sum_to_the_month(entries: list[tuple[Action, dict[str, Any]]], cuts: list[int]) -> None:
    story = log(*entries)
    edges = [0, *sorted(cuts), 41]
    parts = [counted(story, start=start, size=size) for start, size in pairwise(edges)]
    whole = counted(story, size=41)
    for name in ("accesses", "deliveries", "rows", "queries", "rounds", "bytes"):
        assert sum(getattr(part, name) for part in parts) == getattr(whole, name), name
    assert sum(part.is_first for part in parts) == whole.is_first


@given(ENTRIES)
def test_the_running_tally_is_the_count_from_the_start(entries: list[tuple[Action, dict[str, Any]]]) -> None:
    tally = Tally()
    units = [tally.take(access) for access in log(*entries)]
    whole = counted(log(*entries))
    assert (tally.total.deliveries, tally.total.queries, tally.total.rounds) == (
        units.count(Unit.DELIVERY), units.count(Unit.QUERY), units.count(Unit.ROUND)
    )  # fmt: skip
    assert (tally.total.deliveries, tally.total.rows, tally.total.bytes) == (whole.deliveries, whole.rows, whole.bytes)


# ---- events ------------------------------------------------------------------------------------------------------

_ids = count()


def event(action: Action, decision: Decision | None = Decision.ALLOW, **said: Any) -> Event:
    return Event(
        event_id=str(next(_ids)), time="2026-11-21T22:00:00.000Z", node="hospital-a", action=action,
        decision=decision, **({"contract": "c-1"} | said),
    )  # fmt: skip


def test_refused_and_foreign_entries_are_not_counted() -> None:
    assert access_of(event(EXPORT, Decision.DENY), ORIGIN, 0) is None
    assert access_of(event(Action.CONTRACT_READ), ORIGIN, 0) is None
    assert access_of(replace(event(EXPORT), contract=None), ORIGIN, 0) is None
    assert access_of(event(EXPORT, None), ORIGIN, 0) is None


def test_an_entry_is_read_as_it_was_written() -> None:
    found = access_of(event(EXPORT, rows=7, bytes=9, grant="g1", result_digest="11" * 32), ORIGIN, 3)
    assert found is not None
    assert (found.place.index, found.rows, found.bytes, found.grant, found.round) == (3, 7, 9, "g1", "")
    joined = access_of(event(JOIN, result_digest="22" * 32, policy_digest="33" * 32), ORIGIN, 4)
    assert joined is not None
    assert joined.round == "22" * 32
    assert joined.action not in USES
