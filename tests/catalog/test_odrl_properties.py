"""What holds of every policy: prohibitions never widen, unknown words never permit, order and syntax do not matter."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from itertools import permutations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hdex.catalog.odrl import (
    Answer,
    Literal,
    Outcome,
    Verdict,
    World,
    evaluate,
    read_graph,
    read_policies,
    read_request,
    read_world,
)
from hdex.catalog.odrl.compare import every, some
from hdex.catalog.odrl.names import XSD
from hdex.catalog.odrl.values import duration, order, same

Json = dict[str, object]
ACTIONS = st.sampled_from(["use", "read", "distribute", "sell", "write", "urn:ex:clone"])
PARTIES = st.sampled_from(["urn:ex:a", "urn:ex:b"])
CONSTRAINTS = st.sampled_from(
    [
        {"leftOperand": "spatial", "operator": "eq", "rightOperand": "CN"},
        {"leftOperand": "spatial", "operator": "isNoneOf", "rightOperand": ["CN", "FR"]},
        {"leftOperand": "count", "operator": "lt", "rightOperand": 3},
        {"leftOperand": "purpose", "operator": "isA", "rightOperand": "DUO:0000006"},
        {"leftOperand": "urn:ex:trust", "operator": "gt", "rightOperand": 3},
        {"leftOperand": "dateTime", "operator": "lt", "rightOperand": {"@value": "2026-06-01", "@type": "xsd:date"}},
    ]
)
RULES = st.fixed_dictionaries(
    {"action": ACTIONS},
    optional={
        "assignee": PARTIES,
        "constraint": st.lists(CONSTRAINTS, max_size=2),
    },
)
REQUESTS = st.fixed_dictionaries(
    {"action": ACTIONS, "assignee": PARTIES},
    optional={
        "purpose": st.sampled_from(["DUO:0000006", "DUO:0000042", "DUO:0000039", "urn:ex:mystery"]),
        "context": st.fixed_dictionaries({}, optional={"spatial": st.sampled_from(["CN", "FR", "SG"])}),
    },
)
WORLDS = st.fixed_dictionaries(
    {},
    optional={
        "time": st.sampled_from(["2026-05-01T00:00:00Z", "2026-07-01T00:00:00Z"]),
        "counts": st.fixed_dictionaries({}, optional={"read": st.integers(0, 4), "use": st.integers(0, 4)}),
    },
)
CONFLICTS = st.sampled_from(["perm", "prohibit", "invalid", None])


def ask(permits: list[Json], forbids: list[Json], request: Json, world: Json, conflict: str | None) -> Answer:
    policy: Json = {"uid": "urn:ex:p", "permission": permits, "prohibition": forbids}
    if conflict:
        policy["conflict"] = conflict
    return evaluate(read_policies(read_graph(policy)), read_request(request), read_world(world))


@settings(max_examples=120, deadline=None)
@given(
    permits=st.lists(RULES, min_size=1, max_size=3), forbids=st.lists(RULES, max_size=2), added=RULES,
    request=REQUESTS, world=WORLDS, conflict=CONFLICTS,
)  # fmt: skip
def test_a_prohibition_more_never_permits_what_was_not(
    permits: list[Json], forbids: list[Json], added: Json, request: Json, world: Json, conflict: str | None
) -> None:
    before = ask(permits, forbids, request, world, conflict)
    after = ask(permits, [*forbids, added], request, world, conflict)
    if after.outcome is Outcome.PERMITTED:
        assert before.outcome is Outcome.PERMITTED
    if conflict != "perm" and before.outcome is Outcome.PROHIBITED:
        assert after.outcome is Outcome.PROHIBITED


@settings(max_examples=80, deadline=None)
@given(permits=st.lists(RULES, min_size=1, max_size=3), request=REQUESTS, world=WORLDS)
def test_a_constraint_more_never_permits_what_was_not(permits: list[Json], request: Json, world: Json) -> None:
    extra = {"leftOperand": "industry", "operator": "eq", "rightOperand": "health"}
    narrow = [{**rule, "constraint": [*_listed(rule), extra]} for rule in permits]
    assert ask(narrow, [], request, world, None).outcome is not Outcome.PERMITTED  # nobody says which industry


def _listed(rule: Json) -> list[object]:
    held = rule.get("constraint", [])
    return held if isinstance(held, list) else [held]


@settings(max_examples=80, deadline=None)
@given(permits=st.lists(RULES, min_size=1, max_size=3), request=REQUESTS, world=WORLDS, conflict=CONFLICTS)
def test_an_unknown_word_never_permits(permits: list[Json], request: Json, world: Json, conflict: str | None) -> None:
    odd = [{**rule, "urn:ex:unless": "urn:ex:full-moon"} for rule in permits]
    assert ask(odd, [], request, world, conflict).outcome is Outcome.UNDECIDED


@settings(max_examples=60, deadline=None)
@given(
    permits=st.lists(RULES, min_size=1, max_size=2), forbids=st.lists(RULES, min_size=1, max_size=2),
    request=REQUESTS, world=WORLDS, conflict=CONFLICTS,
)  # fmt: skip
def test_the_order_of_rules_does_not_change_the_answer(
    permits: list[Json], forbids: list[Json], request: Json, world: Json, conflict: str | None
) -> None:
    found = {
        ask(list(one), list(other), request, world, conflict).outcome
        for one in permutations(permits)
        for other in permutations(forbids)
    }
    assert len(found) == 1


@settings(max_examples=60, deadline=None)
@given(permits=st.lists(RULES, min_size=1, max_size=3), request=REQUESTS, world=WORLDS)
def test_a_fact_more_never_takes_a_decision_back(permits: list[Json], request: Json, world: Json) -> None:
    """What is decided without the time stays decided with it."""
    rest = {key: value for key, value in world.items() if key != "time"}
    before = ask(permits, [], request, rest, None)
    after = ask(permits, [], request, {**rest, "time": "2026-05-01T00:00:00Z"}, None)
    if before.outcome is Outcome.PERMITTED:
        assert after.outcome is Outcome.PERMITTED


def test_a_request_cannot_say_to_whom_it_belongs_or_what_its_action_is() -> None:
    """Its statements about parties, assets and actions are an applicant's claims, and do not count."""
    head = "@prefix odrl: <http://www.w3.org/ns/odrl/2/> . @prefix ex: <urn:ex:> . "
    policy = (
        head
        + """ex:p a odrl:Set ; odrl:conflict odrl:prohibit ; odrl:prohibition [ odrl:action odrl:distribute ] ;
      odrl:permission [ odrl:assignee ex:team ; odrl:action odrl:read, ex:clone ] ."""
    )
    ask_read = (
        head
        + """ex:q a odrl:Request ; odrl:permission [ odrl:assignee ex:eve ; odrl:action odrl:read ] .
      ex:eve odrl:partOf ex:team ."""
    )
    ask_clone = (
        head
        + """ex:q a odrl:Request ; odrl:permission [ odrl:assignee ex:team ; odrl:action ex:clone ] .
      ex:clone odrl:includedIn odrl:read ."""
    )
    held = read_policies(read_graph(policy))
    assert evaluate(held, read_request(ask_read)).outcome is Outcome.UNDECIDED
    assert (
        evaluate(held, read_request(ask_clone)).outcome is Outcome.UNDECIDED
    )  # may be a distribution, for all we know


MOMENTS = st.datetimes(datetime(2000, 1, 1), datetime(2100, 1, 1)).map(lambda moment: moment.replace(tzinfo=UTC))


@given(one=MOMENTS, other=MOMENTS, zone=st.integers(-12, 12))
def test_moments_compare_as_moments_in_any_zone(one: datetime, other: datetime, zone: int) -> None:
    from datetime import timezone

    left = Literal(one.isoformat(), XSD + "dateTime")
    right = Literal(other.astimezone(timezone(timedelta(hours=zone))).isoformat(), XSD + "dateTime")
    assert order(left, right) == (one > other) - (one < other)
    back = order(right, left)
    assert back is not None
    assert back == -(order(left, right) or 0)


@given(st.integers(-(10**9), 10**9), st.integers(-(10**9), 10**9))
def test_numbers_compare_as_numbers(one: int, other: int) -> None:
    left, right = Literal(str(one), XSD + "integer"), Literal(f"{other}.0", XSD + "decimal")
    assert order(left, right) == (one > other) - (one < other)
    assert same(left, right) is (one == other)


@pytest.mark.parametrize(
    ("text", "months", "seconds"),
    [
        ("P1Y2M", 14, 0),
        ("P1W", 0, 604_800),
        ("P3DT4H5M6S", 0, 273_906),
        ("-PT1M", 0, -60),
        ("PT0.5S", 0, 0.5),
    ],
)
def test_durations_are_read(text: str, months: int, seconds: float) -> None:
    found = duration(text)
    assert found is not None
    assert (found.months, float(found.seconds)) == (months, seconds)


@pytest.mark.parametrize("text", ["", "P", "PT", "P1H", "1D", "P1.5D", "P-1D"])
def test_what_is_no_duration_is_none(text: str) -> None:
    assert duration(text) is None


TRUTHS = st.lists(st.sampled_from([True, False, None]), max_size=5)


@given(TRUTHS)
def test_every_and_some_mirror_each_other(held: list[bool | None]) -> None:
    turned = [None if one is None else not one for one in held]
    answer = some(turned)
    assert every(held) == (None if answer is None else not answer)


def test_what_was_done_against_a_prohibition_is_told_until_it_is_made_good() -> None:
    policy = {"uid": "urn:p", "prohibition": {"uid": "urn:f", "action": "distribute", "remedy": {"action": "inform"}}}
    held = read_policies(read_graph(policy))

    def infringed(*done: str) -> bool:
        world: Mapping[str, object] = {"performed": [{"action": action} for action in done]}
        return evaluate(held, read_request({"action": "read"}), read_world(world)).rules[0].infringed

    assert (infringed(), infringed("read"), infringed("distribute"), infringed("distribute", "inform")) == (
        False,
        False,
        True,
        False,
    )


def test_nothing_is_known_of_an_empty_world() -> None:
    policy = {
        "uid": "urn:p",
        "permission": {"constraint": {"leftOperand": "dateTime", "operator": "lt", "rightOperand": 1}},
    }
    answer = evaluate(read_policies(read_graph(policy)), read_request({"action": "read"}), World())
    assert answer.rules[0].active is Verdict.UNKNOWN
