"""Which witnesses together are enough: k of n, in named groups. Pure, no I/O.

Source: c2sp.org/tlog-policy. The same policy as text:

    log hdex/hospital-a/2026+d1e2f3a4+AX...
    witness hospital-b hospital-b+0a1b2c3d+BF...
    witness hospital-c hospital-c+0b1c2d3e+BG...
    witness registry registry+0c1d2e3f+BH...
    group hospitals any hospital-b hospital-c
    group hospitals-and-registry all hospitals registry
    quorum hospitals-and-registry
"""

import re
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass

from hdex.ledger.errors import EvidenceUnreadable, NoteInvalid
from hdex.ledger.note import SignatureType, Verifier

NONE = "none"
MAX_LINES = 1024
_FORBIDDEN = re.compile(r"[\x00-\x08\x0b-\x1f\x7f]")
_COUNT = re.compile(r"[1-9][0-9]{0,3}", re.ASCII)


@dataclass(frozen=True, slots=True)
class Group:
    """Witnesses or groups of which `threshold` must have witnessed a checkpoint."""

    name: str
    threshold: int
    members: tuple[str, ...]

    def __post_init__(self) -> None:
        if not 1 <= self.threshold <= len(self.members):
            raise EvidenceUnreadable(f"a group asks for {self.threshold} of {len(self.members)} members")


@dataclass(frozen=True, slots=True)
class Quorum:
    """The rule by which a checkpoint counts: `name` is a witness, a group, or none. Groups name only earlier ones."""

    witnesses: tuple[str, ...]
    groups: tuple[Group, ...]
    name: str

    def __post_init__(self) -> None:
        defined, used = set(self.witnesses), set[str]()
        for group in self.groups:
            if not set(group.members) <= defined:
                raise EvidenceUnreadable(f"the group {group.name} names a member that is not defined before it")
            if used & set(group.members) or len(set(group.members)) != len(group.members):
                raise EvidenceUnreadable(f"a member of the group {group.name} is listed twice: it would count twice")
            if group.name in defined:
                raise EvidenceUnreadable(f"the name {group.name} is defined twice")
            used |= set(group.members)
            defined.add(group.name)
        if NONE in defined or self.name not in defined | {NONE}:
            raise EvidenceUnreadable("the quorum names no witness and no group, or a witness or group is called none")

    def met(self, cosigners: Collection[str]) -> bool:
        """Return whether these witnesses are enough."""
        witnessed = set(cosigners) & set(self.witnesses)
        for group in self.groups:
            if sum(member in witnessed for member in group.members) >= group.threshold:
                witnessed.add(group.name)
        return self.name == NONE or self.name in witnessed

    def least(self) -> int:
        """Return how many witnesses are enough when they are the right ones."""
        cost = dict.fromkeys(self.witnesses, 1) | {NONE: 0}
        for group in self.groups:
            cost[group.name] = sum(sorted(cost[member] for member in group.members)[: group.threshold])
        return cost[self.name]


@dataclass(frozen=True, slots=True)
class Policy:
    """A policy file: logs and witnesses by their keys, and the quorum over the witnesses' key names."""

    logs: tuple[Verifier, ...]
    witnesses: tuple[Verifier, ...]
    quorum: Quorum


def any_of(witnesses: Sequence[str], threshold: int) -> Quorum:
    """Return the rule that `threshold` of all witnesses are enough."""
    if threshold == 0:
        return Quorum(tuple(witnesses), (), NONE)
    return Quorum(tuple(witnesses), (Group("quorum-of-all", threshold, tuple(witnesses)),), "quorum-of-all")


def threshold_of(word: str | int, members: int) -> int:
    """Return k of "any", "all" or a number. Raises EvidenceUnreadable."""
    known = {"any": 1, "all": members}
    if isinstance(word, str) and word in known:
        return known[word]
    if type(word) is int or (isinstance(word, str) and _COUNT.fullmatch(word)):
        return int(word)
    raise EvidenceUnreadable('the threshold of a group is "any", "all" or a number from 1')


def parse_policy(text: str) -> Policy:
    """Return a policy file's content. Raises EvidenceUnreadable naming the line."""
    reader = _Reader()
    lines = text.split("\n")
    if len(lines) > MAX_LINES or _FORBIDDEN.search(text):
        raise EvidenceUnreadable(f"the policy has more than {MAX_LINES} lines, or a control character")
    for number, line in enumerate(lines, 1):
        words = [word for word in re.split(r"[ \t]+", line) if word]
        if words and not words[0].startswith("#"):
            try:
                reader.read(words)
            except (EvidenceUnreadable, NoteInvalid) as error:
                raise EvidenceUnreadable(f"line {number} of the policy: {error}") from error
    return reader.policy()


def format_policy(policy: Policy) -> str:
    """Return the policy as a file that others' tools read; witnesses are named by their keys' names."""
    lines = [f"log {log.vkey}" for log in policy.logs]
    lines += [f"witness {witness.name} {witness.vkey}" for witness in policy.witnesses]
    lines += [f"group {group.name} {group.threshold} {' '.join(group.members)}" for group in policy.quorum.groups]
    return "\n".join([*lines, f"quorum {policy.quorum.name}", ""])


class _Reader:
    """What the lines so far have said. Owner: one parse_policy call."""

    def __init__(self) -> None:
        self.logs: list[Verifier] = []
        self.witnesses: list[Verifier] = []
        self.groups: list[Group] = []
        self.names: dict[str, str] = {}  # as the file calls it -> key name of the witness, or name of the group
        self.quorum: str | None = None

    def read(self, words: list[str]) -> None:
        """Take in one line."""
        kind, *rest = words
        if kind == "log" and len(rest) in (1, 2):
            self.logs.append(_unused(Verifier.from_vkey(rest[0]), SignatureType.ED25519, self.logs))
        elif kind == "witness" and len(rest) in (2, 3):
            self._define(rest[0], self._witness(rest[1]))
        elif kind == "group" and len(rest) >= 3:
            members = tuple(self._known(name) for name in rest[2:])
            self.groups.append(Group(rest[0], threshold_of(rest[1], len(members)), members))
            self._define(rest[0], rest[0])
        elif kind == "quorum" and len(rest) == 1 and self.quorum is None:
            self.quorum = rest[0] if rest[0] == NONE else self._known(rest[0])
        else:
            raise EvidenceUnreadable("it is no log, witness, group or single quorum line")

    def policy(self) -> Policy:
        """Return all that was read."""
        if self.quorum is None:
            raise EvidenceUnreadable("the policy has no quorum line")
        names = tuple(witness.name for witness in self.witnesses)
        return Policy(tuple(self.logs), tuple(self.witnesses), Quorum(names, tuple(self.groups), self.quorum))

    def _witness(self, vkey: str) -> str:
        found = _unused(Verifier.from_vkey(vkey), SignatureType.COSIGNATURE_V1, self.witnesses)
        self.witnesses.append(found)
        return found.name

    def _define(self, name: str, meaning: str) -> None:
        if name in self.names or name == NONE or meaning in self.names.values():
            raise EvidenceUnreadable("a name is defined twice, or is none")
        self.names[name] = meaning

    def _known(self, name: str) -> str:
        if name not in self.names:
            raise EvidenceUnreadable("it names a witness or group that no line before it defines")
        return self.names[name]


def _unused(verifier: Verifier, kind: SignatureType, known: Iterable[Verifier]) -> Verifier:
    if verifier.type is not kind:
        raise EvidenceUnreadable("the key is of a type that its owner does not sign with")
    if any(one.public_key == verifier.public_key for one in known):
        raise EvidenceUnreadable("the key is listed before under this or another name")
    return verifier
