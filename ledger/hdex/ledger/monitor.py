"""Follows all logs: recomputes every root from the entries and tells what does not hold. Pure, no I/O.

kind                    severity     when
log.split_view          alarm        two roots for one size, or two checkpoints without consistency: with a fraud proof
log.rewritten           alarm        the entries shown do not hash to the root that was signed over them
log.shrank              alarm        the log shows less than it, a witness or the chain showed before
log.silent              warn         the log does not answer
checkpoint.late         alarm        no new witnessed checkpoint in time (each read adds an entry: none is idle)
key.unknown             alarm        a checkpoint or the chain names a key that the trust file does not
witness.false           alarm        a witness shows a checkpoint that the log or the witness itself did not sign
access.without_grant    alarm        an allowed access without a live grant
entry.malformed         alarm        an entry is no canonical event of its node
anchor.old              warn, alarm  the oldest entry that the chain does not cover: 15 min, 1 h
anchor.lost             warn         the chain forgot an anchor that it told before
anchor.contradicts      alarm        the chain holds another root
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256

from hdex.ledger.accesses import NEED_GRANT
from hdex.ledger.alarm import Alarm, Severity
from hdex.ledger.event import GRANT_ENDS, Action, Decision, Event
from hdex.ledger.monitor_log import Limits, Look, Seen, late
from hdex.ledger.monitor_state import Access, LogState, MonitorState, Times
from hdex.ledger.ports import ChainRecord
from hdex.ledger.trust import Trust

Hook = Callable[[Sequence[Event]], Sequence[Alarm]]  # sees each new event once, in the order of time
KEY_RECORDS = ("NodeEnrolled", "NodeKeyRotated")
NOBODY: Times = (None, None)


@dataclass(frozen=True, slots=True)
class Round:
    """What one pass saw: logs that answered, why the others did not, and the chain's records of keys."""

    seen: Sequence[Seen]
    silent: Mapping[str, str]  # node -> the error's name
    key_records: Sequence[ChainRecord] = ()


class Monitor:
    """Judges round after round; all memory is in the state it is given."""

    def __init__(self, trust: Trust, *, limits: Limits | None = None, hooks: Sequence[Hook] = ()) -> None:
        self._trust = trust
        self._limits = limits or Limits()
        self._hooks = tuple(hooks)

    def observe(self, state: MonitorState, found: Round, now: datetime) -> list[Alarm]:
        """Return everything that is wrong now, and move the state on over all that holds."""
        alarms: list[Alarm] = []
        events: list[tuple[str, int, Event]] = []
        for seen in found.seen:
            log = state.log(seen.log.origin, seen.log.node, now)
            look = Look(self._trust, log, seen, self._limits, now)
            alarms += look.run()
            events += [(seen.log.node, index, event) for index, event in look.events]
        alarms += self._silent(state, found, now)
        alarms += self._ungranted(state, events, complete=not found.silent)
        alarms += unknown_chain_keys(self._trust, found.key_records)
        ordered = sorted((event for _, _, event in events), key=lambda event: event.time)
        return alarms + [alarm for hook in self._hooks for alarm in hook(ordered)]

    def _silent(self, state: MonitorState, found: Round, now: datetime) -> Iterator[Alarm]:
        """Yield who does not answer, and who has not for too long."""
        for node, reason in found.silent.items():
            yield Alarm("log.silent", Severity.WARN, node, f"the log could not be read: {reason}")
            own = [log for log in state.logs.values() if log.node == node]
            newest = max(own, key=lambda log: log.since) if own else self._first_asked(state, node, now)
            yield from late(newest, self._limits, now)

    def _first_asked(self, state: MonitorState, node: str, now: datetime) -> LogState:
        origins = [log.origin for log in self._trust.logs if log.node == node]
        return state.log(origins[-1] if origins else node, node, now)

    def _ungranted(
        self, state: MonitorState, events: Sequence[tuple[str, int, Event]], *, complete: bool
    ) -> Iterator[Alarm]:
        """Yield allowed accesses without a live grant; while a log is silent its grants may be missing: they wait."""
        for node, index, event in events:
            note_grant(state.grants, event)
            if event.action in NEED_GRANT and event.decision is Decision.ALLOW:
                state.open_accesses.append(Access(node, index, event.grant or "", event.at))
        waiting = []
        for access in state.open_accesses:
            why = self._offence(access, state.grants.get(access.grant, NOBODY))
            if why and not complete:
                waiting.append(access)
            elif why:
                yield Alarm("access.without_grant", Severity.ALARM, access.node, why, access.index)
        state.open_accesses = waiting

    def _offence(self, access: Access, times: Times) -> str:
        issued, revoked = times
        tolerance = self._trust.clock_tolerance
        if not access.grant:
            return "an allowed access names no grant"
        if issued is None or issued > access.time + tolerance:
            return "an allowed access names a grant that was not issued before it"
        if revoked is not None and revoked + tolerance < access.time:
            return "an allowed access names a grant that was revoked before it"
        return ""


def note_grant(grants: dict[str, Times], event: Event) -> None:
    """Take in the first issue and the first revocation of a grant."""
    if event.grant is None or event.decision is Decision.DENY:
        return
    issued, revoked = grants.get(event.grant, NOBODY)
    if event.action is Action.GRANT_ISSUE:
        issued = min(issued or event.at, event.at)
    elif event.action in GRANT_ENDS:
        revoked = min(revoked or event.at, event.at)
    else:
        return
    grants[event.grant] = (issued, revoked)


def unknown_chain_keys(trust: Trust, records: Sequence[ChainRecord]) -> Iterator[Alarm]:
    """Yield nodes whose log key, as the chain holds it now, is none that the trust file names."""
    newest = {str(record.fields["node"]): str(record.fields["logKeyHash"]) for record in by_block(records)}
    known: dict[str, set[str]] = {}
    for log in trust.logs:
        known.setdefault(log.node, set()).update(sha256(key.public_key).hexdigest() for key in log.verifiers)
    for node, key_hash in newest.items():
        if node in known and key_hash not in known[node]:
            yield Alarm("key.unknown", Severity.ALARM, node, "the chain names a log key that the trust file does not")


def by_block(records: Sequence[ChainRecord]) -> list[ChainRecord]:
    """Return records in the order in which they were mined."""
    return sorted(records, key=lambda record: record.block)
