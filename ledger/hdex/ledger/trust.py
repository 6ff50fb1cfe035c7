"""The trust file: whose signatures an auditor believes, and which witnesses must agree. Brought by the auditor.

{"policy": {"witnesses": 2, "clock_tolerance_s": 120},
 "logs": [{"node": "hospital-a", "log_key": "<hex>"}],
 "witnesses": [{"name": "hospital-b", "key": "<hex>", "earlier": [{"key": "<hex>", "until": "2026-03-01T00:00:00Z"}]}],
 "chain": {"chain_id": 31337, "contract": "0x...", "operator": "1 operator: demonstration"}}

A log named so is trusted in every year: each year's shard is signed under `hdex/<node>/<year>` with one key. An entry
with "origin": "hdex/hospital-a/2026" trusts that shard alone.

Instead of a number of witnesses the policy may name groups: {"groups": [{"name": "hospitals", "threshold": "any",
"members": ["hospital-b", "hospital-c"]}], "quorum": "hospitals"}. A C2SP tlog-policy file is read as well.
"""

from collections.abc import Collection, Iterable
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from hdex.ledger.document import load
from hdex.ledger.errors import EvidenceUnreadable, NoteInvalid
from hdex.ledger.note import SignatureType, Verifier
from hdex.ledger.policy import Group, Policy, Quorum, any_of, parse_policy, threshold_of
from hdex.ledger.shard import origin_of, parse_origin

ChainFacts = dict[str, str | int]
EVERY_YEAR = "*"
_KNOWN = {"policy", "logs", "witnesses", "chain"}
_POLICY_KEYS = {"witnesses", "clock_tolerance_s", "groups", "quorum"}
_CHAIN_KEYS = {"chain_id", "contract", "operator"}


@dataclass(frozen=True, slots=True)
class EarlierKey:
    """A key that was replaced. What it signed counts when a cosignature dates it at or before `until`.

    A key that was stolen and not merely replaced is left out of the trust file: its holder can write any date.
    """

    verifier: Verifier
    until: datetime


@dataclass(frozen=True, slots=True)
class TrustedLog:
    """A log, who keeps it and under which key it signs; earlier keys hold for what was cosigned in their time.

    Of every year, it is no shard yet: `shard` makes it one.
    """

    node: str
    verifier: Verifier
    earlier: tuple[EarlierKey, ...] = ()

    @property
    def origin(self) -> str:
        """The log's origin is the name of its key; `hdex/<node>/*` for every year."""
        return self.verifier.name

    @property
    def is_of_every_year(self) -> bool:
        """Whether each shard of this node is trusted."""
        return self.origin == every_year_of(self.node)

    def shard(self, origin: str) -> "TrustedLog | None":
        """Return this log under an origin, None when that is not one of it."""
        if origin == self.origin and not self.is_of_every_year:
            return self
        if not self.is_of_every_year or not is_shard_of(self.node, origin):
            return None
        earlier = tuple(replace(key, verifier=replace(key.verifier, name=origin)) for key in self.earlier)
        return replace(self, verifier=replace(self.verifier, name=origin), earlier=earlier)

    @property
    def verifiers(self) -> tuple[Verifier, ...]:
        """The present key and all earlier ones."""
        return (self.verifier, *(key.verifier for key in self.earlier))


@dataclass(frozen=True, slots=True)
class Trust:
    """What an auditor believes before reading any evidence."""

    logs: tuple[TrustedLog, ...]
    witnesses: tuple[Verifier, ...]
    min_witnesses: int  # at least so many must have cosigned the newest checkpoint of each log
    chain: ChainFacts
    clock_tolerance: timedelta = timedelta(seconds=120)
    quorum: Quorum | None = None  # the exact rule where groups are named
    earlier_witnesses: tuple[EarlierKey, ...] = field(default=())

    def __post_init__(self) -> None:
        if not 0 <= self.min_witnesses <= len(self.witnesses):
            raise EvidenceUnreadable(f"{self.min_witnesses} witnesses are asked for, {len(self.witnesses)} are named")
        for names in ([log.origin for log in self.logs], [witness.name for witness in self.witnesses]):
            if len(set(names)) != len(names):
                raise EvidenceUnreadable("the trust file names a log or a witness twice")

    def log(self, origin: str) -> TrustedLog | None:
        """Return the log of an origin, None when it is not trusted. One that is named by its origin comes first."""
        ordered = sorted(self.logs, key=lambda log: log.is_of_every_year)
        return next((shard for log in ordered if (shard := log.shard(origin)) is not None), None)

    def among(self, origins: Iterable[str]) -> list[TrustedLog]:
        """Return the trusted logs of these origins, and as it is named each of which there is none, oldest first."""
        held = sorted(set(origins))
        named = {log.origin for log in self.logs}
        found: list[TrustedLog] = []
        for log in self.logs:
            free = [one for one in held if one not in named] if log.is_of_every_year else held
            found += [shard for one in free if (shard := log.shard(one)) is not None] or [log]
        return found

    def witnesses_of(self, log: TrustedLog) -> tuple[Verifier, ...]:
        """Return who may vouch for a log: everybody but its own keeper."""
        return tuple(witness for witness in self.witnesses if witness.name != log.node)

    def earlier_witnesses_of(self, log: TrustedLog) -> tuple[EarlierKey, ...]:
        """Return the replaced keys of those who may vouch for a log."""
        return tuple(key for key in self.earlier_witnesses if key.verifier.name != log.node)

    @property
    def asked(self) -> str:
        """Who must have cosigned, in words."""
        return f"the witnesses of {self.quorum.name}" if self.quorum else f"{self.min_witnesses} witnesses"

    def is_witnessed_by(self, cosigners: Collection[str]) -> bool:
        """Return whether these witnesses are enough for a checkpoint to count."""
        rule = self.quorum or any_of([witness.name for witness in self.witnesses], self.min_witnesses)
        return rule.met(cosigners)


def read_trust(path: Path) -> Trust:
    """Return the trust file's content, JSON or a C2SP tlog-policy file. Raises EvidenceUnreadable."""
    try:
        raw = path.read_bytes()
        if not raw.lstrip().startswith((b"{", b"[", b'"')):
            return trust_from_policy(parse_policy(raw.decode()))
        found = load(raw)
    except OSError as error:
        raise EvidenceUnreadable(f"the trust file {path} cannot be read: {error.strerror}") from error
    except ValueError as error:
        says = f"the trust file {path} cannot be read as JSON or as a tlog-policy file; ask the consortium for its own"
        raise EvidenceUnreadable(says) from error
    return trust_from_document(found)


def trust_from_policy(policy: Policy) -> Trust:
    """Return the trust of a tlog-policy file: a log's keeper is the second part of its origin hdex/<node>/<year>."""
    logs = tuple(TrustedLog(keeper_of(log.name), log) for log in policy.logs)
    return Trust(logs, policy.witnesses, policy.quorum.least(), {}, quorum=policy.quorum)


def keeper_of(origin: str) -> str:
    """Return who keeps the log of an origin hdex/<node>/<year>; of another form, the origin itself."""
    parts = origin.split("/")
    return parts[1] if len(parts) == 3 else origin


def every_year_of(node: str) -> str:
    """Return what stands for the origins of all years of a node's log."""
    return f"hdex/{node}/{EVERY_YEAR}"


def is_shard_of(node: str, origin: str) -> bool:
    """Return whether an origin is that of some year of a node's log."""
    try:
        keeper, year = parse_origin(origin)
    except NoteInvalid:
        return False
    return (keeper, origin) == (node, origin_of(node, year))


def policy_of(trust: Trust) -> Policy:
    """Return what a tlog-policy file can say of a trust file: present keys and the quorum, no chain, no earlier key.

    It knows no years: a log that is trusted in every year is to be named by an origin (`shard`) first.
    """
    rule = trust.quorum or any_of([witness.name for witness in trust.witnesses], trust.min_witnesses)
    return Policy(tuple(log.verifier for log in trust.logs), trust.witnesses, rule)


def trust_from_document(found: object) -> Trust:
    """Return the trust of a parsed JSON document; unknown keys are errors. Raises EvidenceUnreadable."""
    try:
        if not isinstance(found, dict) or found.keys() - _KNOWN:
            raise EvidenceUnreadable("the trust file is not an object of policy, logs, witnesses and chain")
        policy, chain = found["policy"], found.get("chain", {})
        if policy.keys() - _POLICY_KEYS or chain.keys() - _CHAIN_KEYS:
            raise EvidenceUnreadable("the trust file has an unknown key in policy or chain")
        witnesses = tuple(_witness(witness) for witness in found["witnesses"])
        quorum = _quorum(policy, tuple(witness.name for witness in witnesses))
        return Trust(
            tuple(_log(log) for log in found["logs"]),
            witnesses,
            quorum.least() if quorum else int(policy["witnesses"]),
            dict(chain),
            timedelta(seconds=float(policy.get("clock_tolerance_s", 120))),
            quorum,
            tuple(
                key
                for witness in found["witnesses"]
                for key in _earlier(witness, witness["name"], SignatureType.COSIGNATURE_V1)
            ),
        )
    except (KeyError, TypeError, ValueError, AttributeError, NoteInvalid) as error:
        raise EvidenceUnreadable("the trust file lacks a field, or one is malformed") from error


def _quorum(policy: dict[str, Any], witnesses: tuple[str, ...]) -> Quorum | None:
    if "quorum" not in policy and "groups" not in policy:
        return None
    if "witnesses" in policy:
        raise EvidenceUnreadable("the policy names a number of witnesses and a quorum: one of the two")
    groups = tuple(
        Group(str(group["name"]), threshold_of(group["threshold"], len(group["members"])), tuple(group["members"]))
        for group in policy.get("groups", [])
    )
    return Quorum(witnesses, groups, str(policy["quorum"]))


def _log(found: dict[str, Any]) -> TrustedLog:
    node = str(found["node"])
    verifier = Verifier(found.get("origin", every_year_of(node)), bytes.fromhex(found["log_key"]))
    return TrustedLog(node, verifier, _earlier(found, verifier.name, SignatureType.ED25519))


def _witness(found: dict[str, Any]) -> Verifier:
    return Verifier(found["name"], bytes.fromhex(found["key"]), SignatureType.COSIGNATURE_V1)


def _earlier(found: dict[str, Any], name: str, kind: SignatureType) -> tuple[EarlierKey, ...]:
    return tuple(
        EarlierKey(Verifier(name, bytes.fromhex(key["key"]), kind), _moment(key["until"]))
        for key in found.get("earlier", [])
    )


def _moment(text: str) -> datetime:
    found = datetime.fromisoformat(text)
    if found.tzinfo is None:
        raise EvidenceUnreadable("the end of an earlier key is a time with its zone: 2026-03-01T00:00:00Z")
    return found
