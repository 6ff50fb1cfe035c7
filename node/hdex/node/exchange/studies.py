"""Studies at the exchange: planned from contracts, signed by the buyer, run over the sites, sealed round by round."""

import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from hdex.catalog.contract import State
from hdex.federated.dealing import shared
from hdex.federated.disclosure_regimes import LEVEL_5, strictest
from hdex.federated.disclosure_release import verdict
from hdex.federated.draft import Member, Question, draft_study
from hdex.federated.errors import SiteLost
from hdex.federated.shapley import Scores
from hdex.federated.study import Party, RosterEntry, Study, Threshold, parse_time
from hdex.ledger.event import format_time
from hdex.node.contract_record import ContractRecord, named
from hdex.node.directory import Directory
from hdex.node.documents import Document, Documents
from hdex.node.errors import AccessDenied, ConfigInvalid, NotFound, describe
from hdex.node.exchange.contracts import Contracts
from hdex.node.exchange.ports import KeyHolding
from hdex.node.exchange.study_process import StudyProcess, Told
from hdex.node.exchange.study_runs import Runs, Say
from hdex.node.exchange.study_seals import Seals
from hdex.node.facts import ChainFacts
from hdex.node.failpoint import failpoint
from hdex.node.identity import Identity
from hdex.node.recorder import Facts, Recorder
from hdex.node.signed import Envelope, countersign, digest, verify

PLAN, RESULT = "study_plan", "study_result"
LIFE, LONGEST = timedelta(hours=1), timedelta(days=7)


@dataclass(frozen=True, slots=True)
class Coordinator:
    """Who the exchange is when it signs a study."""

    id: str
    sign_key: bytes
    keyholder: str
    clock: Callable[[], datetime]

    def __repr__(self) -> str:
        return f"Coordinator({self.id})"


class Studies:
    """Plans and runs studies. The same study id again returns the same plan and the same result."""

    def __init__(
        self, me: Coordinator, documents: Documents, contracts: Contracts, *,
        directory: Directory, keyholder: KeyHolding, runner: StudyProcess, recorder: Recorder, facts: ChainFacts,
        seals: Seals,
    ) -> None:  # fmt: skip
        self._me = me
        self._documents = documents
        self._contracts = contracts
        self._directory = directory
        self._keyholder = keyholder
        self._runner = runner
        self._recorder = recorder
        self._facts = facts
        self._seals = seals
        self._runs = Runs()

    def plan(self, question: Mapping[str, Any], actor: Identity) -> Document:
        """Return the study document for a buyer's question over its own contracts."""
        study_id = str(question.get("id", ""))
        with self._recorder.refusals("study.plan", actor):
            try:
                return self._plan_of(study_id, actor)
            except NotFound:
                study = self._draft(study_id, question, actor)
            self._recorder.allow("study.plan", actor, purpose=study.purpose, request_digest=study.digest())
            self._documents.add(PLAN, study_id, {"consumer": actor.participant, "study": study.document()})
            return study.document()

    def start(self, envelope: Envelope, actor: Identity, say: Say) -> Document:
        """Run a planned study that its buyer has signed and return its result; again: go on, or answer."""
        with self._recorder.refusals("study.start", actor):
            study_id = named(envelope, "id")
            plan = self._plan_of(study_id, actor)
            if digest(envelope["document"]) != digest(plan):
                raise AccessDenied("study.plan", "plan the study anew", "this is not the study that was planned")
            verify("study", envelope, self._directory.sign_keys(actor.participant))
            signed = countersign("study", envelope, self._me.id, self._me.sign_key)
            with self._runs.join(study_id, say) as tell:
                try:
                    return self._documents.get(RESULT, study_id)
                except NotFound:
                    return self._run(Study.from_document(plan), signed, actor, tell)

    def _plan_of(self, study_id: str, actor: Identity) -> Document:
        """Return a plan to the buyer who had it made, and to nobody else: with it goes the result."""
        kept = self._documents.get(PLAN, study_id)
        if kept["consumer"] != actor.participant:
            raise AccessDenied("study.foreign", "choose another study id", "the study is another buyer's")
        plan: Document = kept["study"]
        return plan

    def _run(self, study: Study, signed: Envelope, actor: Identity, say: Say) -> Document:
        sealed = self._seals.of(study.digest())

        def committed(number: int, row_digest: bytes, step: str) -> None:
            failpoint("exchange.round.committed")
            if row_digest.hex() not in sealed:  # told again after a crash: a round has one record
                facts = Facts(purpose=study.purpose, request_digest=study.digest(), result_digest=row_digest.hex())
                self._recorder.allow("round.seal", actor, **facts)
                sealed.add(row_digest.hex())
            failpoint("exchange.round.logged")
            self._facts.seal_round(study.id, number, row_digest)
            say("round", f"{number}: {step} over {len(study.sites)} sites")
            failpoint("exchange.round.sealed")

        self._recorder.allow("study.start", actor, purpose=study.purpose, request_digest=study.digest())
        say("started", f"{study.kind} over {len(study.sites)} sites, until {study.deadline}")
        failpoint("exchange.study.started")
        try:
            told = Told(committed, lambda words: say("waiting", words), self._unproven(study, say))
            result = self._runner.run(study.id, signed, told)
        except SiteLost as lost:  # the world's doing, so no refusal; that a study ended without an answer is an event
            self._recorder.deny("study.start", actor, describe(lost).rule, request_digest=study.digest())
            raise
        said = verdict(study, result, strictest())
        facts = Facts(purpose=study.purpose, request_digest=study.digest(), policy_digest=said.digest())
        with self._recorder.refusals("study.approve", actor, **facts):
            said.require()
        if scores := result.get("coalition_scores"):  # what a split between the sites rests on
            scored = Scores.from_document(scores).digest()
            self._recorder.allow("study.approve", actor, request_digest=study.digest(), result_digest=scored)
        facts["result_digest"] = digest(result)
        with self._recorder.release("study.approve", actor, **facts):
            self._documents.add(RESULT, study.id, result)
        failpoint("exchange.result.kept")
        return result

    def _unproven(self, study: Study, say: Say) -> Callable[[int, str, str, str], None]:
        """Return what names a share holder that gives no part of a sum, or a false one: to the buyer and in the log."""

        def tell(number: int, party: str, rule: str, why: str) -> None:
            member = self._directory.require(party, "hospital")
            who = Identity(member.spiffe_id, member.kind, member.id)
            self._recorder.deny("aggregate.decrypt", who, rule, request_digest=study.digest())
            say("share", f"round {number}: {party} gives no part of the sum: {why}")

        return tell

    def _draft(self, study_id: str, question: Mapping[str, Any], actor: Identity) -> Study:
        try:
            contracts = {str(site): str(paper) for site, paper in question["contracts"].items()}
            floors = {name: int(question[name]) for name in ("min_sites", "min_rows") if name in question}
            quorum = int(question.get("quorum", 0))
            deadline = self._deadline(question.get("deadline"))
            asked = Question(
                target=str(question.get("target", "")),
                features=tuple(map(str, question.get("features", ()))),
                purpose=str(question["purpose"]),
                standardize=str(question.get("standardize", "global")),
                l2=float(question.get("l2", 0.0)),
                kind=str(question.get("kind", "logistic")),
                options=dict(question.get("options", {})),
                levels={str(name): tuple(map(str, levels)) for name, levels in question.get("levels", {}).items()},
            )
            max_rounds = int(question.get("max_rounds", 12))
            privacy = dict(question.get("privacy", {}))
            threshold = threshold_of(question.get("threshold"))
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise ConfigInvalid(f"the question lacks a field or has one of another type: {error}") from error
        records = [self._record(site, paper, actor) for site, paper in contracts.items()]
        members = [self._member(record) for record in records]
        floors |= require_floor(floors, max(map(self._contracts.level, records), default=0))
        coordinator, keyholder = self._directory.member(self._me.id), self._directory.member(self._me.keyholder)
        study = draft_study(
            study_id,
            asked,
            members,
            coordinator=Party(coordinator.id, coordinator.organisation),
            keyholder=Party(keyholder.id, keyholder.organisation),
            public_key=self._keyholder.create_key(study_id) if threshold is None else "",
            deadline=deadline,
            **floors,
            nonce=secrets.token_hex(16),
            max_rounds=max_rounds,
        )
        study = replace(study, privacy=privacy, quorum=quorum)
        return study if threshold is None else self._shared(study, threshold)

    def _shared(self, study: Study, threshold: Threshold) -> Study:
        """Return the study with a key that the key holder deals to its sites and does not keep."""
        key = self._keyholder.deal_key(study.id, threshold.parties, threshold.needed)
        return shared(study, threshold, key)

    def _deadline(self, asked: object) -> str:
        """Return the deadline a buyer asks, or an hour from now. Raises ConfigInvalid."""
        if asked is None:
            return format_time(self._me.clock() + LIFE)
        if not self._me.clock() < parse_time(str(asked)) <= self._me.clock() + LONGEST:
            raise ConfigInvalid(f"the deadline must lie within the next {LONGEST.days} days")
        return str(asked)

    def _record(self, site: str, contract_id: str, actor: Identity) -> ContractRecord:
        record = self._contracts.status(contract_id, actor)
        if record.asked["provider"] != site or record.asked["consumer"] != actor.participant:
            raise AccessDenied("study.contract", "name your own contract with this site", "the contract is another's")
        if record.state != State.FINALIZED or record.revoked:
            raise AccessDenied(
                "study.contract", "finish the contract first", f"the contract with {site} is {state(record)}"
            )
        return record

    def _member(self, record: ContractRecord) -> Member:
        member = self._directory.require(record.asked["provider"], "hospital")
        entry = RosterEntry(member.id, member.organisation, member.sign_key.hex(), member.mask_key.hex())
        product = (record.asked["product"], record.asked["version"], record.asked["manifest_digest"])
        return Member(entry, record.contract_id, product)


def require_floor(asked: Mapping[str, int], level: int) -> dict[str, int]:
    """Return the `min_rows` that a product of this level needs where none was asked; refuse a lower one."""
    if level < LEVEL_5:
        return {}
    least = strictest().of_level(level).min_rows
    if asked.get("min_rows", least) < least:
        raise ConfigInvalid(f"min_rows must be at least {least} over a product of level {level}; leave it out")
    return {"min_rows": max(asked.get("min_rows", 0), least)}


def threshold_of(asked: object) -> Threshold | None:
    """Return who opens the sums together, as a question says it; None where the key holder does."""
    if asked is None:
        return None
    if not isinstance(asked, dict) or set(asked) != {"parties", "needed"}:
        raise ConfigInvalid("threshold has parties and needed")
    return Threshold(tuple(map(str, asked["parties"])), asked["needed"])


def state(record: ContractRecord) -> str:
    """Return a record's state in one word for people."""
    return "revoked" if record.revoked else record.state
