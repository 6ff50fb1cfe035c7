"""Reading leaves in bulk: the canonical form of an event as one pattern, ten times as fast as building the event.

What the pattern matches is a canonical event by construction; what it does not match is parsed in full, and only that
says whether it is one. So the pattern may be narrow, never wide: `tests/ledger/test_verify_leaf.py` compares the two.
"""

import re
from dataclasses import dataclass, fields
from datetime import datetime
from functools import cache

from hdex.ledger.errors import EventInvalid
from hdex.ledger.event import SCHEMA, Action, Decision, Event, parse, parse_time

_TEXT = r'"[^"\\\x00-\x1f\ud800-\udfff]{1,256}"'
_DIGEST = r'"[0-9a-f]{64}"'
_COUNT = r"(?:0|[1-9][0-9]{0,14})"
_CLOCK = r"(?:[01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9]\.[0-9]{3}Z"
_REQUIRED = frozenset({"action", "event_id", "node", "schema", "time"})
_READ = frozenset({"action", "decision", "grant", "node"})
# A field that is not here, or of another form, is left to the parser.
_FORMS = {
    **dict.fromkeys(("event_id", "node", "organisation", "role", "product", "version"), _TEXT),
    **dict.fromkeys(("purpose", "contract", "grant", "reason"), _TEXT),
    **dict.fromkeys(("actor", "policy_digest", "request_digest", "result_digest"), _DIGEST),
    **dict.fromkeys(("rows", "fields", "bytes"), _COUNT),
    "action": '"(?:' + "|".join(re.escape(action.value) for action in Action) + ')"',
    "decision": '"(?:' + "|".join(decision.value for decision in Decision) + ')"',
    "schema": str(SCHEMA),
}


@dataclass(frozen=True, slots=True)
class Leaf:
    """What an audit needs of an event. Times of this form sort as text."""

    time: str
    node: str
    action: Action
    decision: Decision | None = None
    grant: str | None = None

    @property
    def at(self) -> datetime:
        """The event's time."""
        return parse_time(self.time)


def read_leaf(entry: bytes) -> Leaf:
    """Return what an audit needs of a leaf. Raises EventInvalid unless it is a canonical event."""
    try:
        found = _pattern().fullmatch(entry.decode())
    except UnicodeDecodeError:
        found = None
    if found is None or not _is_day(found["day"]):
        return leaf_of(parse(entry))
    return Leaf(found["day"] + found["clock"], found["node"][1:-1], *_codes(found["action"], found["decision"]),
                found["grant"] and found["grant"][1:-1])  # fmt: skip


def leaf_of(event: Event) -> Leaf:
    """Return what an audit needs of an event."""
    return Leaf(event.time, event.node, event.action, event.decision, event.grant)


@cache
def _codes(action: str, decision: str | None) -> tuple[Action, Decision | None]:
    return Action(action[1:-1]), Decision(decision[1:-1]) if decision else None


@cache
def _is_day(text: str) -> bool:
    try:
        parse_time(f"{text}00:00:00.000Z")
    except EventInvalid:
        return False
    return True


@cache
def _pattern() -> re.Pattern[str]:
    """Return the pattern of the canonical form: the fields in order, each with the comma before it."""
    parts: list[str] = []
    for name in sorted(field.name for field in fields(Event)):
        form = _FORMS.get(name)
        if name == "time":
            form = rf'"(?P<day>[0-9]{{4}}-[0-9]{{2}}-[0-9]{{2}}T)(?P<clock>{_CLOCK})"'
        if form is None:
            continue
        held = f"(?P<{name}>{form})" if name in _READ else form
        pair = f'{"," if parts else ""}"{name}":{held}'
        parts.append(pair if name in _REQUIRED else f"(?:{pair})?")
    return re.compile(r"\{" + "".join(parts) + r"\}")
