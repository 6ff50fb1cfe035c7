"""A hospital as one site of a federated study: admission anew at every round, rows that stay, sums that leave."""

import hashlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from typing import cast

import polars as pl
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey

from hdex.catalog.contract import Agreement
from hdex.catalog.errors import CatalogError
from hdex.catalog.product import DataProduct, DeliveryMode
from hdex.federated.dealing import dealt_bytes
from hdex.federated.disclosure_regimes import LEVEL_5, strictest
from hdex.federated.errors import AdmissionRefused, FederatedError
from hdex.federated.ports import Release, RoundRequest
from hdex.federated.privacy import Privacy
from hdex.federated.statistics import installed_algorithms
from hdex.federated.study import Study
from hdex.ledger.document import load
from hdex.node.directory import Directory
from hdex.node.documents import Documents
from hdex.node.errors import NodeError, NotFound, describe
from hdex.node.failpoint import failpoint
from hdex.node.hospital.budgets import CLAUSE, Charge, EpsilonBudget, limit_of
from hdex.node.hospital.negotiation import Negotiations
from hdex.node.hospital.products import Products
from hdex.node.hospital.study_approvals import StudyApprovals
from hdex.node.hospital.study_rows import StudyRows
from hdex.node.hospital.usage_book import UsageBook
from hdex.node.identity import Identity
from hdex.node.keys import KeyProvider
from hdex.node.meter import Meter
from hdex.node.recorder import Facts, Recorder
from hdex.node.signed import Envelope, verify

MIN_SITES = 3
LEVEL_4 = 4
AWAITED = ("approval.missing", "approval.second")  # what people can still give
MOST_STANDINGS = 256


@dataclass(frozen=True, slots=True)
class SiteRooms:
    """What a site looks up and never changes."""

    rows: StudyRows
    products: Products
    negotiations: Negotiations
    directory: Directory
    studies: StudyApprovals
    budget: EpsilonBudget
    book: UsageBook
    documents: Documents  # of the studies seen: a nonce and a name stand for one


class HospitalSite:
    """The node's side of SiteHooks. `coordinator` is the exchange at the other end of the stream."""

    def __init__(
        self, site: str, rooms: SiteRooms, keys: KeyProvider, *,
        coordinator: Identity, recorder: Recorder, meter: Meter, clock: Callable[[], datetime],
    ) -> None:  # fmt: skip
        self._site = site
        self._rooms = rooms
        self._keys = keys
        self._coordinator = coordinator
        self._recorder = recorder
        self._meter = meter
        self._clock = clock
        self._standings: dict[str, str] = {}  # digest of a study -> what its coordinator was told last

    def standing(self, study: Study, envelope: bytes) -> str:
        """Return "" where the study may run, else the rule that people here have yet to meet; it is kept for them.

        Raises AdmissionRefused with the rule. An event where the answer is another than before: who waits asks often.
        """
        facts = self._about(study)
        try:
            self._admissible(study, envelope, 1)
            answer = ""
        except (NodeError, CatalogError, AdmissionRefused) as error:
            answer = describe(error).rule
            if answer not in AWAITED:
                with self._recorder.refusals("study.start", self._coordinator, **facts), as_refusal():
                    raise
        if self._standings.get(study.digest()) != answer:
            if answer:
                self._recorder.deny("study.start", self._coordinator, answer, **facts)
            else:
                self._recorder.allow("study.start", self._coordinator, **facts)
            self._remember(study.digest(), answer)
        return answer

    def _remember(self, digest: str, answer: str) -> None:
        self._standings[digest] = answer
        if len(self._standings) > MOST_STANDINGS:
            self._standings.pop(next(iter(self._standings)), None)

    def admit(self, request: RoundRequest) -> None:
        """Raise AdmissionRefused with the rule unless everything this round needs holds now; refusals are events."""
        facts = self._about(request.study) | Facts(request_digest=request.broadcast_digest)
        study = request.study
        try:
            with self._recorder.refusals("round.join", self._coordinator, **facts), as_refusal():
                agreement = self._check(request)
                facts["result_digest"] = name = round_name(study.digest(), request.round)
                with self._rooms.book.joining(study.contracts[self._site], agreement.quota, round_name=name):
                    self._join(request, agreement, facts)
        except AdmissionRefused:
            self._rooms.rows.forget(study)
            raise
        for kind, name in names_of(study):
            self._rooms.documents.put(kind, name, {"study": study.digest()})
        failpoint("site.round.joined")

    def _join(self, request: RoundRequest, agreement: Agreement, facts: Facts) -> None:
        """Charge what the round costs and remember that it was joined, in one event."""
        privacy = Privacy.of(request.study.privacy)
        if privacy is None:
            self._recorder.allow("round.join", self._coordinator, **facts)
            return
        charge = Charge(
            request.study.contracts[self._site],
            request.study.products[self._site][0],
            request.study.digest(),
            request.broadcast_digest,
            privacy.cost(request.round, request.study.max_rounds),
            privacy.epsilon,
        )
        with self._rooms.budget.charge(charge, limit_of(agreement.clauses.get(CLAUSE))) as epsilon:
            facts["epsilon"] = epsilon
            self._recorder.allow("round.join", self._coordinator, **facts)

    def refuse(self, question: bytes, error: FederatedError) -> None:
        """Remember a refusal before or after admission: a malformed study, rounds out of order, too few rows."""
        digest = hashlib.sha256(question).hexdigest()
        self._recorder.deny("round.join", self._coordinator, describe(error).rule, request_digest=digest)

    def frame(self, study: Study) -> pl.DataFrame:
        """Return the rows of patients whose consent covers this purpose now, study columns only, as numbers."""
        product_id, version, manifest_digest = study.products[self._site]
        with self._recorder.refusals("round.join", self._coordinator, **self._about(study)), as_refusal():
            dataset = self._rooms.products.dataset(product_id)
            level = self._rooms.products.serving(product_id, manifest_digest, self._clock()).product.level
            return self._rooms.rows.frame(study, dataset, version, level=level)

    def shared_secret(self, peer_mask_key: bytes) -> bytes:
        """Return the X25519 secret shared with one other site of the roster."""
        own = X25519PrivateKey.from_private_bytes(self._keys.secret("mask"))
        return own.exchange(X25519PublicKey.from_public_bytes(peer_mask_key))

    def sign(self, message: bytes) -> bytes:
        """Return this hospital's Ed25519 signature."""
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

        failpoint("site.round.summed")
        return Ed25519PrivateKey.from_private_bytes(self._keys.secret("sign")).sign(message)

    def release(self, request: RoundRequest, release: Release) -> None:
        """Remember the sums that are about to leave."""
        failpoint("site.round.kept")
        facts = self._about(request.study) | Facts(request_digest=request.broadcast_digest)
        if release.rows >= 0:
            facts["rows"] = release.rows
        facts["result_digest"] = release.digest
        facts["bytes"] = release.total_bytes
        self._recorder.allow("round.submit", self._coordinator, **facts)
        self._meter.add("ciphertexts", release.total_bytes, count=release.ciphertexts)
        failpoint("site.round.submit")

    def _check(self, request: RoundRequest) -> Agreement:
        study = request.study
        agreement = self._admissible(study, request.envelope, request.round)
        name = round_name(study.digest(), request.round)
        self._rooms.negotiations.require_round(study.contracts[self._site], agreement, name)
        return agreement

    def _admissible(self, study: Study, envelope: bytes, number: int) -> Agreement:
        """Return the agreement under which a round of a study may run; whether one is left is asked apart."""
        self._check_study(study)
        contract_id = study.contracts[self._site]
        consumer = self._rooms.negotiations.consumer_of(contract_id)
        signers = self._rooms.directory.sign_keys(self._coordinator.participant, consumer)
        if verify("study", read_json(envelope), signers) != study.document():
            raise AdmissionRefused("study.other", "the signed study is not the one this round belongs to")
        record, agreement = self._rooms.negotiations.require_live(contract_id, DeliveryMode.FEDERATED, consumer)
        product_id, version, manifest_digest = study.products[self._site]
        product = self._rooms.products.serving(product_id, manifest_digest, self._clock()).product
        if (
            not (product.id, product.version)
            == (record.asked["product"], record.asked["version"])
            == (product_id, version)
        ):
            raise AdmissionRefused("study.product", "the contract is for another product or version")
        self._check_use(study, product, agreement, number)
        self._require_first(study)
        self._rooms.studies.require(study, contract_id, product.level)
        return agreement

    def _require_first(self, study: Study) -> None:
        """Name and nonce belong to the first study that bore them: a changed copy of an approved one is refused."""
        for kind, name in names_of(study):
            with suppress(NotFound):
                if self._rooms.documents.get(kind, name)["study"] != study.digest():
                    raise AdmissionRefused(
                        f"study.{kind.removeprefix('study_')}", "another study has borne this name or nonce"
                    )

    def _check_study(self, study: Study) -> None:
        if study.entry(self._site) is None:
            raise AdmissionRefused("study.roster", "this hospital is not in the study's roster")
        if study.secure != "paillier":
            raise AdmissionRefused("study.plain", "sums leave this hospital encrypted only")
        if study.min_sites < MIN_SITES or len(study.roster) < MIN_SITES:
            raise AdmissionRefused("study.min_sites", f"{len(study.roster)} sites, at least {MIN_SITES} are asked")
        if self._clock() >= study.expires():
            raise AdmissionRefused("study.deadline", "the study's deadline has passed")
        if installed_algorithms().get(study.algorithm.id) != study.algorithm.code_digest:
            raise AdmissionRefused("study.algorithm", "the algorithm is not the one installed and allowed here")
        self._check_parties(study)

    def _check_parties(self, study: Study) -> None:
        """Who takes part is who the directory says: by keys, and by organisation, for one counts once."""
        directory = self._rooms.directory
        if study.coordinator.id != self._coordinator.participant:
            raise AdmissionRefused("study.coordinator", "the study names another coordinator than the one that asks")
        said = [
            (directory.require(study.coordinator.id, "exchange"), study.coordinator.organisation),
            (directory.require(study.keyholder.id, "keyholder"), study.keyholder.organisation),
        ]
        for entry in study.roster:
            member = directory.require(entry.site, "hospital")
            if (entry.mask_key, entry.sign_key) != (member.mask_key.hex(), member.sign_key.hex()):
                raise AdmissionRefused(
                    "study.keys", f"the roster's keys of {entry.site} are not those of the directory"
                )
            said.append((member, entry.organisation))
        for member, organisation in said:
            if member.organisation != organisation:
                raise AdmissionRefused("study.organisation", f"{member.id} is of another organisation than said")
        self._check_dealer(study)

    def _check_dealer(self, study: Study) -> None:
        """A shared key counts only from the key holder: who dealt it could open every contribution."""
        if study.threshold is None or study.dealt is None:
            return
        dealer = self._rooms.directory.require(study.keyholder.id, "keyholder")
        try:
            key = Ed25519PublicKey.from_public_bytes(dealer.sign_key)
            key.verify(bytes.fromhex(study.dealt.signature), dealt_bytes(study))
        except InvalidSignature as error:
            raise AdmissionRefused("study.dealer", f"the shared key is not signed by {dealer.id}") from error

    def _check_use(self, study: Study, product: DataProduct, agreement: Agreement, round_number: int) -> None:
        if not product.allows(DeliveryMode.FEDERATED):
            raise AdmissionRefused(
                f"level.{product.level}.no_federated", "the product is not offered for federated use"
            )
        if not 1 <= round_number <= min(agreement.max_rounds, study.max_rounds):
            raise AdmissionRefused("agreement.rounds", f"round {round_number}, agreed are {agreement.max_rounds}")
        if product.level >= LEVEL_5 and study.min_rows < (least := strictest().of_level(product.level).min_rows):
            raise AdmissionRefused("study.min_rows", f"the study's floor is below the {least} rows of level 5")
        if study.purpose != agreement.purpose:
            raise AdmissionRefused("agreement.purpose", "the study has another purpose than the contract")
        agreement.require_columns(study.columns)
        offered = {column.name: column.level for column in product.columns}
        for name in study.columns:
            if offered.get(name, LEVEL_4) == LEVEL_4:
                raise AdmissionRefused("study.columns", f"{name[:40]!r} is not a column that the product offers")

    def _about(self, study: Study) -> Facts:
        facts = Facts(purpose=study.purpose, policy_digest=study.digest())
        with suppress(KeyError, NotFound):
            facts["product"], facts["version"], _ = study.products[self._site]
            facts["contract"] = study.contracts[self._site]
            if grant := self._rooms.negotiations.grant_of(study.contracts[self._site]):
                facts["grant"] = grant
        return facts


def names_of(study: Study) -> tuple[tuple[str, str], tuple[str, str]]:
    """Return (kind of document, name) under which a study is remembered."""
    return ("study_id", study.id), ("study_nonce", study.nonce)


def round_name(study: str, number: int) -> str:
    """Return how the log names one round of one study, whichever attempt at it: SHA-256 hex."""
    return hashlib.sha256(f"hdex/round/v1\n{study}/{number}".encode()).hexdigest()


@contextmanager
def as_refusal() -> Iterator[None]:
    """Say what the other rooms refuse as this room's refusal, with the same rule: a coordinator is told no more."""
    try:
        yield
    except (NodeError, CatalogError) as error:
        raise AdmissionRefused(describe(error).rule, str(error)) from error


def read_json(envelope: bytes) -> Envelope:
    """Return the envelope in these bytes. Raises AdmissionRefused when it is not JSON."""
    try:
        return cast("Envelope", load(envelope))
    except ValueError as error:
        raise AdmissionRefused("study.envelope", "the envelope is not JSON") from error
