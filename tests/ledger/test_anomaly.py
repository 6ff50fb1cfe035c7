"""What is unusual is found, what is usual is left in peace, and what was learnt survives a restart."""

import json
import random
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hdex.ledger.anomaly import Alert, Detector, Hours, Rule, seat, unusual
from hdex.ledger.anomaly_rules import RateRule, RulesInvalid, default_rules, rules_from_text
from hdex.ledger.event import Action, Decision, Event, format_time

RULES = default_rules()
MONDAY = datetime(2026, 11, 2, 2, tzinfo=UTC)  # 10:00 in the zone of the rules
ALLOW, DENY = Decision.ALLOW, Decision.DENY
ANYBODY = "a"


def event(seconds: float, action: Action = Action.EXPORT, **fields: Any) -> Event:
    time = format_time(MONDAY + timedelta(seconds=seconds))
    given = {"decision": ALLOW, "role": "buyer", "organisation": "Hospital A"} | fields
    return Event(event_id=f"e{seconds}", time=time, node="hospital-a", action=action, **given)


def days(number: float) -> float:
    return 86400 * number


def watched(events: list[Event], detector: Detector | None = None) -> list[Alert]:
    detector = detector or Detector(RULES)
    return [alert for index, one in enumerate(events) for alert in detector.observe(index, ANYBODY, one)]


def rules_of(alerts: list[Alert]) -> list[str]:
    return [alert.rule.value for alert in alerts]


def counted(hours: Hours, hour: str, count: int, rule: RateRule) -> bool:
    """Count so many events of one hour; return whether any of them raised."""
    return sum(hours.add(0, hour, rule) for _ in range(count)) > 0


def poisson(generator: random.Random, mean: float) -> int:
    """Return how many arrivals of an exponential clock fall into one hour."""
    count, left = 0, generator.expovariate(mean)
    while left < 1:
        count, left = count + 1, left + generator.expovariate(mean)
    return count


def hours_of_a_month(generator: random.Random, usual: float) -> Iterator[tuple[str, int, bool]]:
    """Yield (hour, events, whether a burst was injected) of an actor who works 8 to 18, four weeks long."""
    for day in range(28):
        for hour in range(8, 18):
            when = MONDAY.replace(hour=0) + timedelta(days=day, hours=hour)
            is_burst = day >= 5 and generator.random() < 0.01
            mean = usual * (6 if is_burst else 1) + (25 if is_burst else 0)
            yield f"{when:%Y-%m-%dT%H}", poisson(generator, mean), is_burst


def test_injected_bursts_are_found_and_little_else() -> None:
    generator = random.Random(7)
    hit = false = missed = 0
    for actor in range(20):
        hours = Hours()
        for hour, count, is_burst in hours_of_a_month(generator, usual=4 + actor):
            is_raised = counted(hours, hour, count, RULES.rate)
            hit += is_raised and is_burst
            false += is_raised and not is_burst
            missed += is_burst and not is_raised
    assert hit + missed > 30  # enough of them to say anything
    assert hit / (hit + false) > 0.9  # precision
    assert hit / (hit + missed) > 0.9  # recall


def test_a_burst_is_raised_while_it_runs_once_and_names_its_entries() -> None:
    found = watched([event(number) for number in range(1000)])
    assert [(alert.rule, alert.first) for alert in found] == [(Rule.RATE, 0)]
    assert 40 < found[0].last < 60  # an unknown actor is expected at 20 an hour, the line is 5 deviations above
    assert found[0].code == f"rate@0-{found[0].last}"


def test_a_habit_is_learnt_and_a_burst_is_none() -> None:
    hours, rule = Hours(), RULES.rate
    for day in range(20):
        when = f"{MONDAY + timedelta(days=day):%Y-%m-%dT%H}"
        raised = counted(hours, when, 400, rule)
    assert not raised
    cold, when = Hours(), f"{MONDAY:%Y-%m-%dT%H}"
    counted(cold, when, 100_000, rule)
    cold.add(0, f"{MONDAY + timedelta(days=1):%Y-%m-%dT%H}", rule)
    assert cold.known[when[11:13]][0] < 50  # one flood does not make the next one usual


def test_days_without_events_count_as_quiet() -> None:
    rule, hours = RateRule(z=5, smoothing=0.5, prior=20), Hours()
    for day in (0, 1, 2):
        counted(hours, f"{MONDAY + timedelta(days=day):%Y-%m-%dT%H}", 60, rule)
    assert counted(hours, f"{MONDAY + timedelta(days=20):%Y-%m-%dT%H}", 30, rule)


def test_many_refusals_are_raised() -> None:
    found = watched([event(number, decision=DENY, reason="r") for number in range(20)])
    assert rules_of(found) == ["denials"]


def test_what_is_new_is_raised_once_the_detector_has_learnt() -> None:
    story = [
        event(0, product="p", purpose="DUO:1"),
        event(days(8), product="p", purpose="DUO:1"),
        event(days(8) + 5000, product="q", purpose="DUO:1"),
        event(days(8) + 10000, product="q", purpose="DUO:2"),
        event(days(8) + 15000, product="q", purpose="DUO:2"),
    ]
    assert [(alert.rule, alert.last) for alert in watched(story)] == [(Rule.FIRST_PRODUCT, 2), (Rule.NEW_PURPOSE, 3)]


@pytest.mark.parametrize(
    ("hour", "weekday", "role", "expected"),
    [(10, 0, "data_steward", []), (22, 0, "data_steward", ["off_hours"]), (3, 0, "data_steward", ["off_hours"]),
     (10, 5, "data_steward", ["off_hours"]), (22, 0, "buyer", [])],
)  # fmt: skip
def test_people_at_night_and_on_weekends_are_raised_machines_are_not(
    hour: int, weekday: int, role: str, expected: list[str]
) -> None:
    assert rules_of(watched([event(days(weekday) + 3600 * (hour - 10), role=role)])) == expected


def test_a_release_right_after_refusals_is_raised_with_all_of_them() -> None:
    refused = [event(number, decision=DENY, reason="r") for number in range(3)]
    assert [(one.rule, one.first, one.last) for one in watched([*refused, event(10)])] == [
        (Rule.DENIED_THEN_ALLOWED, 0, 3)
    ]
    assert watched([*refused, event(1000)]) == []
    assert watched([*refused[:2], event(10)]) == []
    assert watched([*refused[:2], event(10), event(11, decision=DENY, reason="r"), event(12)]) == []  # not in a row


def test_touching_many_products_in_a_day_is_raised() -> None:
    story = [event(60 * number, product=f"p{number}") for number in range(11)]
    assert rules_of(watched(story)) == ["breadth"]
    assert watched([event(days(1) * number, product=f"p{number}") for number in range(6)]) == []


@pytest.mark.parametrize(("rows", "expected"), [(900, []), (5000, ["export_size"]), (1_000_000, ["export_size"])])
def test_a_release_far_larger_than_usual_is_raised(rows: int, expected: list[str]) -> None:
    story = [*(event(3600 * number, rows=50) for number in range(8)), event(3600 * 9, rows=rows)]
    assert rules_of(watched(story)) == expected


def test_an_actor_who_always_exports_much_is_left_in_peace() -> None:
    assert watched([event(3600 * number, rows=50_000) for number in range(8)]) == []


def test_emergency_access_is_always_raised() -> None:
    story = [event(number, Action.BREAKGLASS_OPEN) for number in range(2)]
    assert rules_of(watched(story)) == ["break_glass", "break_glass"]


def test_alerts_raise_no_alerts() -> None:
    assert watched([event(number / 10, Action.ALERT_RAISE) for number in range(500)]) == []


def test_the_same_alert_is_not_repeated_within_its_quiet_time() -> None:
    night = [event(3600 * 12 + 60 * number, role="data_steward") for number in range(70)]
    alerts = [alert for alert in watched(night) if alert.rule is Rule.OFF_HOURS]
    assert [alert.last for alert in alerts] == [0, 60]


STEPS = st.lists(
    st.tuples(
        st.integers(1, 30_000),
        st.sampled_from([Action.EXPORT, Action.AUDIT_READ, Action.BREAKGLASS_OPEN]),
        st.sampled_from([ALLOW, DENY]),
        st.sampled_from(["p", "q", None]),
        st.integers(0, 5000),
    ),
    max_size=60,
)


@given(STEPS, st.integers(0, 60))
def test_a_detector_goes_on_from_its_state_as_if_nothing_had_happened(
    steps: list[tuple[int, Action, Decision, str | None, int]], cut: int
) -> None:
    story, seconds = [], 0
    for gap, action, decision, product, rows in steps:
        seconds += gap
        story.append(event(seconds, action, decision=decision, product=product, rows=rows))
    whole, first = Detector(RULES), Detector(RULES)
    expected = [whole.observe(index, ANYBODY, one) for index, one in enumerate(story)]
    found = [first.observe(index, ANYBODY, one) for index, one in enumerate(story[:cut])]
    second = Detector.from_document(RULES, json.loads(json.dumps(first.document())))
    found += [second.observe(cut + index, ANYBODY, one) for index, one in enumerate(story[cut:])]
    assert found == expected


def test_an_auditor_sees_organisation_and_role() -> None:
    flood = [event(number / 10) for number in range(300)]
    (found,) = unusual(flood, RULES)
    assert (found.rule, found.actor) == (Rule.RATE, "Hospital A/buyer")
    assert seat(event(0, organisation=None, role=None)) == "unknown/unknown"
    mixed = [replace(one, role=f"r{number % 12}") for number, one in enumerate(flood)]
    assert unusual(mixed, RULES) == []


@pytest.mark.parametrize(
    "change",
    [("learn_days", "learn_weeks"), ("z = 5.0", "z = -1"), ("[breadth]", "[width]"), ("= 480", "= ["), ("prior", "x")],
)
def test_thresholds_that_make_no_sense_are_refused(change: tuple[str, str]) -> None:
    from importlib.resources import files

    text = files("hdex.ledger").joinpath("anomaly.toml").read_text()
    assert rules_from_text(text) == RULES
    with pytest.raises(RulesInvalid):
        rules_from_text(text.replace(*change))
