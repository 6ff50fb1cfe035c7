"""The office that vets organisations, at a hospital or at the exchange: two persons of two roles, rules before both.

A hospital asks its own office first; where that has said nothing of an organisation, the word of the exchange counts,
by a certificate that the exchange signs and the hospital holds against its own rules.
"""

import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from hdex.catalog.organisation import MOST, Organisation
from hdex.catalog.vetting import VETTING, WAITING, VettingArrow, VettingEvidence, VettingState
from hdex.catalog.vetting_rules import Answer, Circumstances, VettingRule, VettingRules
from hdex.ledger.event import format_time
from hdex.node.directory import Directory
from hdex.node.documents import Document, Documents
from hdex.node.errors import AccessDenied, ConfigInvalid, RequestInvalid
from hdex.node.hospital.staff import Staff
from hdex.node.identity import Identity
from hdex.node.recorder import Facts, Recorder
from hdex.node.signed import Envelope, digest, sign, single, verify
from hdex.node.vetting_certificate import Ask, Elsewhere, certified, is_revoked, last_decided, nobody
from hdex.node.vetting_record import (
    APPLICATION,
    CERTIFICATE,
    DECISION,
    STEP,
    VettingRecord,
    end_of_day,
    read_application,
)
from hdex.node.vetting_shelf import VettingShelf

DECISION_FIELDS = {"digest", "participant", "arrow", "reason", "valid_until", "at"}
LONGEST_REASON = 4000
ORDERED = {VettingArrow.ENDORSE, VettingArrow.APPROVE, VettingArrow.REFUSE, VettingArrow.REVOKE}  # by a person's paper
NEXT = {  # rule -> what an organisation does about it
    "vetting.missing": "apply: hdex buy vetting apply, naming this hospital or the exchange",
    "vetting.pending": "wait for the office's decision: hdex buy vetting show",
    "vetting.refused": "read the reason (hdex buy vetting show), mend it and apply again",
    "vetting.expired": "apply again: hdex buy vetting apply",
    "vetting.revoked": "ask the office that revoked it; it may vet anew",
}
UNSETTLED = {
    VettingState.APPLIED: "vetting.pending",
    VettingState.ENDORSED: "vetting.pending",
    VettingState.REFUSED: "vetting.refused",
    VettingState.VALID: "vetting.expired",  # its term is over, the clock has not said so yet
    VettingState.EXPIRED: "vetting.expired",
    VettingState.SUPERSEDED: "vetting.expired",
    VettingState.REVOKED: "vetting.revoked",
}


@dataclass(frozen=True, slots=True)
class Office:
    """Who vets: the participant, its two roles in the order in which they sign, its people and its own key."""

    identity: Identity  # the participant's own process: who acts when the clock does
    roles: tuple[str, str]
    staff: Staff
    sign_key: bytes
    clock: Callable[[], datetime]

    def __repr__(self) -> str:
        return f"Office({self.identity.participant})"

    @property
    def id(self) -> str:
        return self.identity.participant


class Vettings:
    """Applications, decisions and what follows from them. Every verb may be called again with the same paper."""

    def __init__(
        self,
        office: Office,
        documents: Documents,
        directory: Directory,
        *,
        rules: VettingRules,
        recorder: Recorder,
        ask: Ask = nobody,
    ) -> None:
        self._office = office
        self._shelf = VettingShelf(documents)
        self._directory = directory
        self.rules = rules
        self._recorder = recorder
        self._elsewhere = Elsewhere(documents, directory, ask)
        self._changing = threading.RLock()

    def apply(self, envelope: Envelope, actor: Identity) -> VettingRecord:
        """Keep an organisation's application. Raises SignatureInvalid, DocumentInvalid, GuardUnmet, AccessDenied."""
        with self._recorder.refusals("vetting.apply", actor, request_digest=digest(envelope["document"])):
            member = self._directory.require(actor.participant, "buyer")
            paper = verify(APPLICATION, single(envelope), {member.id: member.sign_key})
            organisation = read_application(paper, office=self._office.id, applicant=member.id)
            with self._changing:
                self.expire()
                known = [one for one in self.of(member.id) if one.digest == digest(paper)]
                if known:
                    return known[0]
                self._require_free(organisation)
                record = VettingRecord(envelope, VettingState.NEW, format_time(self._office.clock()))
                evidence = self._evidence(record, signer="applicant")
                return self._move(record, VettingArrow.APPLY, evidence, actor=actor)

    def decide(self, envelope: Envelope, actor: Identity) -> VettingRecord:
        """Carry out what a person of the office has signed: endorse, approve, refuse or revoke."""
        said = envelope["document"]
        action = f"vetting.{said.get('arrow')}" if said.get("arrow") in ORDERED else "vetting.refuse"
        with self._recorder.refusals(action, actor, request_digest=str(said.get("digest", ""))):
            paper, arrow = self._paper(envelope, actor.role)
            with self._changing:
                record = self._shelf.get(str(paper["digest"]))
                if paper["participant"] != record.participant:
                    raise RequestInvalid("the decision names another organisation than the application")
                if is_last(record.history, paper):
                    return record
                self.expire()
                evidence = self._evidence(
                    record,
                    signer=self._place(actor.role),
                    people=len({self._office.staff.keys[role] for role in (*endorsers(record), actor.role)}),
                    reason=str(paper["reason"]),
                    valid_until=instant(str(paper["valid_until"])) if arrow is VettingArrow.APPROVE else None,
                )
                moved = self._move(self._shelf.get(record.digest), arrow, evidence, actor=actor, paper=envelope)
                self._supersede(moved, actor)
                return moved

    def expire(self) -> list[VettingRecord]:
        """End every vetting whose term is over, and return those."""
        with self._changing:
            due = [one for one in self.all() if one.state is VettingState.VALID and not one.is_valid(self._now(one))]
            return [
                self._move(one, VettingArrow.EXPIRE, self._evidence(one), actor=self._office.identity) for one in due
            ]

    def all(self) -> list[VettingRecord]:
        """Return every application, oldest first."""
        return self._shelf.all()

    def read(self, participant: str, actor: Identity) -> list[VettingRecord]:
        """Return the applications of one organisation to itself or to the office's people; remember who read."""
        with self._recorder.refusals("vetting.read", actor):
            if actor.participant not in {participant, self._office.id}:
                raise AccessDenied("vetting.foreign", "", "the vetting is of another organisation")
            self.expire()
            self._recorder.allow("vetting.read", actor)
            return self.of(participant)

    def visible(self, actor: Identity) -> list[VettingRecord]:
        """Return every application to the office's people; remember who read."""
        with self._recorder.refusals("vetting.read", actor):
            if actor.participant != self._office.id:
                raise AccessDenied("vetting.foreign", "ask for your own", "the list is the office's own")
            self.expire()
            self._recorder.allow("vetting.read", actor)
            return self.all()

    @property
    def roles(self) -> tuple[str, str]:
        """The two roles that sign, in their order."""
        return self._office.roles

    def of(self, participant: str) -> list[VettingRecord]:
        """Return one organisation's applications, oldest first."""
        return self._shelf.of(participant)

    def certificate(self, participant: str, actor: Identity) -> Envelope | None:
        """Return this office's signed word on an organisation as it was decided last; None where nothing was."""
        self.expire()
        self._recorder.allow("vetting.read", actor)
        own = self.of(participant)
        record = next((one for one in own if one.is_valid(self._now(one))), last_decided(own))
        if record is None:
            return None
        word = certified(record, office=self._office.id, issued=format_time(self._office.clock()))
        return sign(CERTIFICATE, word, self._office.id, self._office.sign_key)

    def refresh(self, participant: str) -> None:
        """Ask the other office of an organisation that is not settled here. A peer is asked: lock nothing."""
        own = self.of(participant)
        if not is_revoked(own) and not any(one.is_valid(self._now(one)) for one in own):
            self._elsewhere.refresh(participant)

    def require(self, participant: str) -> Organisation:
        """Return the declaration of an organisation that is vetted now. Raises AccessDenied: vetting.missing, .pending,
        .refused, .expired, .revoked. Our own revocation outweighs any other office's word.
        """
        own = self.of(participant)
        for record in own:
            if record.is_valid(self._now(record)):
                return record.organisation
        rule = "vetting.revoked"
        if not is_revoked(own):
            organisation, told = self._elsewhere.says(participant, self._office.clock())
            if organisation is not None:
                return organisation
            state = own[-1].state if own else told
            rule = UNSETTLED[state] if state else "vetting.missing"
        raise AccessDenied(rule, NEXT[rule], f"{participant} is not vetted ({rule.partition('.')[2]})")

    def require_not_revoked(self, participant: str) -> None:
        """Raise AccessDenied where the last word on an organisation is a revocation: older contracts stop with it."""
        try:
            self.require(participant)
        except AccessDenied as refused:
            if refused.rule == "vetting.revoked":
                raise

    def judge(self, organisation: Organisation, *, national_grade: str = "", level: int = 0) -> tuple[VettingRule, ...]:
        """Return the rules that apply, those that refuse first; without grade and level nothing is asked of data."""
        kin = self._kin(organisation)
        around = Circumstances(
            home=self._directory.member(self._office.id).storage_country,
            on=self._office.clock().date(),
            affiliate_revoked=any(is_revoked(self.of(one.participant)) for one in kin),
            national_grade=national_grade,
            level=level,
        )
        asked = self.rules.of_contract if level or national_grade else self.rules.of_organisation
        return asked(with_breaches(organisation, kin), around)

    def _kin(self, organisation: Organisation) -> list[VettingRecord]:
        """Return what was approved here of other organisations of the same group, where it has a record that counts.

        What nobody has approved makes nobody kin: else an applicant could hang its own record on a rival.
        """
        told = [one for one in self.all() if one.has_record and one.participant != organisation.participant]
        return [one for one in told if is_kin(one.organisation, organisation)]

    def _require_free(self, organisation: Organisation) -> None:
        for other in self.all():
            if other.participant == organisation.participant and other.state in WAITING:
                raise AccessDenied("vetting.pending", NEXT["vetting.pending"], "an application waits for its decision")
            taken = other.organisation.code == organisation.code and other.is_valid(self._now(other))
            if taken and other.participant != organisation.participant:
                raise AccessDenied(
                    "vetting.code_taken",
                    "apply under the code of your own organisation",
                    "another participant was vetted under this code",
                )

    def _paper(self, envelope: Envelope, role: str) -> tuple[Document, VettingArrow]:
        roles, staff = self._office.roles, self._office.staff
        if role not in roles:
            raise AccessDenied("vetting.role", f"ask the {roles[0]} and the {roles[1]}", "another role signs this")
        if staff.keys.get(roles[0]) == staff.keys.get(roles[1]):
            raise ConfigInvalid(f"staff.json gives {roles[0]} and {roles[1]} one key: two people sign, with two keys")
        paper = staff.verified(DECISION, single(envelope), role)
        if set(paper) != DECISION_FIELDS or any(type(value) is not str for value in paper.values()):
            raise RequestInvalid(f"a decision has exactly the texts {', '.join(sorted(DECISION_FIELDS))}")
        if paper["arrow"] not in ORDERED or len(paper["reason"]) > LONGEST_REASON:
            known = ", ".join(sorted(ORDERED))
            raise RequestInvalid(f"a decision is one of {known}, with a reason of {LONGEST_REASON} characters at most")
        return paper, VettingArrow(paper["arrow"])

    def _place(self, role: str) -> str:
        return ("first", "second")[self._office.roles.index(role)]

    def _evidence(self, record: VettingRecord, **known: Any) -> VettingEvidence:
        organisation, now = record.organisation, self._now(record)
        listed = self._directory.member(organisation.participant).storage_country
        refusing = [rule for rule in self.judge(organisation) if rule.answer is Answer.REFUSE]
        in_force = [o for o in self.of(organisation.participant) if o.is_valid(now) and o.digest != record.digest]
        soon = now + timedelta(days=self.rules.renew_within_days)
        facts = {"valid_until": instant(record.valid_until)} | known
        return VettingEvidence(
            at=now,
            refused_by=refusing[0].name if refusing else "",
            storage_as_listed=not listed or listed in organisation.storage_countries,
            in_force=bool(in_force),
            renewable=all(datetime.fromisoformat(one.valid_until) <= soon for one in in_force),
            longest_days=self.rules.longest_days,
            papers_until=end_of_day(organisation.papers_until()),
            newer_valid=any(one.entered >= record.entered for one in in_force),
            **facts,
        )

    def _move(
        self, record: VettingRecord, arrow: VettingArrow, evidence: VettingEvidence, *, actor: Identity,
        paper: Envelope | None = None,
    ) -> VettingRecord:  # fmt: skip
        """Return the record after one step that was signed, remembered and kept; refused, nothing changes."""
        target = VETTING.advance(record.state, arrow, evidence)
        step = {
            "digest": record.digest,
            "participant": record.participant,
            "arrow": arrow.value,
            "from": record.state.value,
            "to": target.value,
            "rules": list(VETTING.rules_of(record.state, arrow)),
            "reason": evidence.reason,
            "at": format_time(evidence.at),
        }
        signed = sign(STEP, step, self._office.id, self._office.sign_key)
        changes = {"entered": format_time(evidence.at)}
        if arrow is VettingArrow.APPROVE and evidence.valid_until is not None:
            changes["valid_until"] = format_time(evidence.valid_until)
        facts = Facts(request_digest=record.digest, policy_digest=digest(step))
        with self._recorder.release(f"vetting.{arrow.value}", actor, **facts):
            return self._shelf.store(record.moved(target, {"step": signed, "paper": paper}, **changes))

    def _supersede(self, newer: VettingRecord, actor: Identity) -> None:
        """End what a renewal replaces."""
        if newer.state is not VettingState.VALID:
            return
        for older in self.of(newer.participant):
            if older.state is VettingState.VALID and older.digest != newer.digest:
                self._move(older, VettingArrow.SUPERSEDE, self._evidence(older), actor=actor)

    def _now(self, record: VettingRecord) -> datetime:
        """Return the time, never before the record's last step: a clock set back revives nothing."""
        return max(self._office.clock(), datetime.fromisoformat(record.entered))


def with_breaches(organisation: Organisation, kin: Sequence[VettingRecord]) -> Organisation:
    """Return an organisation with the breaches that its group has declared: they count as its own."""
    breaches = [breach for one in kin for breach in one.organisation.breaches]
    return replace(organisation, breaches=(*organisation.breaches, *breaches)[:MOST]) if breaches else organisation


def is_kin(one: Organisation, other: Organisation) -> bool:
    """Return whether two organisations are one group, by what either declares."""
    return one.code in other.codes() or other.code in one.codes()


def is_last(history: tuple[Document, ...], paper: Mapping[str, Any]) -> bool:
    """Return whether the last step was carried out by this very paper: sent again, it changes nothing."""
    last = history[-1]["paper"] if history else None
    return last is not None and digest(last["document"]) == digest(paper)


def endorsers(record: VettingRecord) -> tuple[str, ...]:
    """Return the roles whose endorsement stands in the record."""
    papers = [one["paper"] for one in record.history if one["paper"]]
    signed = [one for one in papers if one["document"].get("arrow") == VettingArrow.ENDORSE.value]
    return tuple(str(one["signatures"][0]["signer"]).rpartition("/")[2] for one in signed)


def instant(text: str) -> datetime | None:
    """Return a time with its zone, None for an empty text. Raises RequestInvalid."""
    try:
        found = datetime.fromisoformat(text) if text else None
    except ValueError as error:
        raise RequestInvalid("a time is RFC 3339, as in 2027-06-30T16:00:00Z") from error
    if found is not None and found.tzinfo is None:
        raise RequestInvalid("a time names its zone, as in 2027-06-30T16:00:00Z")
    return found
