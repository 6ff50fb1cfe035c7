"""What this hospital says to each study: a person's yes or no, or a rule that a person signed. Nobody said yes = no.

A decision is signed over the digest of the study's document: a study changed in one letter is another one. Studies on
level 4 and 5 need two persons of two roles, and no rule stands in for them; a no of one person outweighs both.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from datetime import datetime
from typing import Any

from hdex.federated.study import Study
from hdex.ledger.errors import EventInvalid
from hdex.ledger.event import parse_time
from hdex.node.documents import Document, Documents
from hdex.node.errors import AccessDenied, ConfigInvalid, NotFound, RequestInvalid, SignatureInvalid
from hdex.node.hospital.staff import OFFICER, Staff
from hdex.node.identity import Identity
from hdex.node.recorder import Facts, Recorder
from hdex.node.signed import Envelope

COMMITTEE = "ethics_committee"
ROLES = (OFFICER, COMMITTEE)  # never who prepared the data
PAPER = "decision"  # the kind of document that is signed
DECISION, RULE, WAITING = "study_decision", "study_rule", "study_waiting"
APPROVE, DENY = "approve", "deny"
TWO_PERSONS_FROM = 4  # level
DIGEST = re.compile(r"[0-9a-f]{64}")
LONGEST_NAME = 160


@dataclass(frozen=True, slots=True)
class Said:
    """One person's word, about one study (`study_digest`) or as a rule for the studies under one contract."""

    verdict: str  # approve or deny
    study_digest: str = ""
    contract: str = ""  # of a rule: every study under this contract ...
    kind: str = ""  # ... of this kind ...
    expires: str = ""  # ... until then

    def __post_init__(self) -> None:
        if self.verdict not in (APPROVE, DENY):
            raise RequestInvalid(f"the verdict is {APPROVE} or {DENY}")
        if any(not isinstance(getattr(self, field.name), str) for field in fields(self)):
            raise RequestInvalid("a decision is made of texts")
        if bool(self.study_digest) == bool(self.contract):
            raise RequestInvalid("a decision names one study by its digest, or one contract for a rule")
        if self.study_digest and not DIGEST.fullmatch(self.study_digest):
            raise RequestInvalid("a study's digest is 64 digits of hexadecimal")
        if self.contract and not (self.kind and len(self.contract) <= LONGEST_NAME):
            raise RequestInvalid("a rule names a contract and the kind of study it lets pass")
        if self.contract:
            self.until()

    @classmethod
    def from_document(cls, document: Mapping[str, Any]) -> "Said":
        """Return what a document says. Raises RequestInvalid on unknown or missing fields."""
        try:
            return cls(**document)
        except TypeError as error:
            raise RequestInvalid(
                "a decision has verdict and study_digest, or verdict, contract, kind, expires"
            ) from error

    def document(self) -> Document:
        """Return what a person signs."""
        return {field.name: getattr(self, field.name) for field in fields(self) if getattr(self, field.name)}

    def until(self) -> datetime:
        """Return when a rule ends."""
        try:
            return parse_time(self.expires)
        except EventInvalid as error:
            raise RequestInvalid("a rule says until when it holds: 2026-12-31T00:00:00.000Z") from error

    @property
    def key(self) -> str:
        """Return what a later word of the same person replaces."""
        return self.study_digest or f"{self.contract}/{self.kind}"


class StudyApprovals:
    """Keeps what persons said and what waits for them."""

    def __init__(
        self, staff: Staff, documents: Documents, recorder: Recorder, *, clock: Callable[[], datetime]
    ) -> None:
        self._staff = staff
        self._documents = documents
        self._recorder = recorder
        self._clock = clock

    def decide(self, envelope: Envelope, *, actor: Identity) -> Document:
        """Keep what a person signed. Raises AccessDenied, SignatureInvalid, RequestInvalid; refusals are events."""
        with self._recorder.refusals("study.approve", actor):
            if actor.role not in ROLES:
                raise AccessDenied("approve.role", f"ask {' or '.join(ROLES)}", "a study is not this role's to give")
            said = Said.from_document(self._staff.verified(PAPER, envelope, actor.role))
            facts = Facts(contract=said.contract) if said.contract else Facts(policy_digest=said.study_digest)
            kept = {"envelope": envelope, "role": actor.role, "key": said.key}
            name = f"{said.key}/{actor.role}"
            if said.verdict == DENY:  # the no stands even where it cannot be remembered
                self._documents.put(RULE if said.contract else DECISION, name, kept)
                self._recorder.deny("study.approve", actor, "person.refused", **facts)
            else:
                with self._recorder.release("study.approve", actor, **facts):
                    self._documents.put(RULE if said.contract else DECISION, name, kept)
            return {"role": actor.role, **said.document()}

    def require(self, study: Study, contract: str, level: int) -> None:
        """Raise AccessDenied unless enough persons, or a rule of theirs, let this study pass now; else it waits."""
        digest = study.digest()
        said = {role: one for role in ROLES if (one := self._said(DECISION, f"{digest}/{role}", role))}
        if any(one.verdict == DENY for one in said.values()):
            raise AccessDenied("approval.denied", "ask another question", "a person of this hospital said no")
        needed = 2 if level >= TWO_PERSONS_FROM else 1
        if len({self._staff.keys[role] for role in said}) >= needed:  # one key in two roles is one person
            return
        if level < TWO_PERSONS_FROM and self._by_rule(contract, study.kind):
            return
        self._documents.put(WAITING, digest, waiting(study, contract, level))
        if said:
            raise AccessDenied("approval.second", f"one more of {' and '.join(ROLES)} signs", "two persons must agree")
        raise AccessDenied("approval.missing", "a person of this hospital decides", "nobody has approved this study")

    def all(self) -> list[Document]:
        """Return every study that was asked without approval, and what each role has said since."""
        return [{**row, "said": self._verdicts(str(row["digest"]))} for row in self._documents.all(WAITING)]

    def _by_rule(self, contract: str, kind: str) -> bool:
        rules = [one for role in ROLES if (one := self._said(RULE, f"{contract}/{kind}/{role}", role))]
        if any(rule.verdict == DENY for rule in rules):
            return False
        return any(self._clock() < rule.until() for rule in rules)

    def _verdicts(self, digest: str) -> dict[str, str]:
        said = {role: self._said(DECISION, f"{digest}/{role}", role) for role in ROLES}
        return {role: one.verdict for role, one in said.items() if one}

    def _said(self, kind: str, name: str, role: str) -> Said | None:
        """Return what a role said, if its signature is that of who holds the role today."""
        try:
            envelope = self._documents.get(kind, name)["envelope"]
            return Said.from_document(self._staff.verified(PAPER, envelope, role))
        except (NotFound, SignatureInvalid, ConfigInvalid):
            return None


def waiting(study: Study, contract: str, level: int) -> Document:
    """Return what a person reads before deciding: question, columns, purpose and company, no value of a record."""
    return {
        "study": study.id,
        "digest": study.digest(),
        "kind": study.kind,
        "target": study.target,
        "features": list(study.features),
        "columns": list(study.columns),
        "purpose": study.purpose,
        "contract": contract,
        "level": level,
        "sites": list(study.sites),
        "quorum": study.quorum,
        "max_rounds": study.max_rounds,
        "privacy": dict(study.privacy),
        "deadline": study.deadline,
    }
