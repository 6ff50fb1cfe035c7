"""What an organisation's desk stands on: the verbs of buyer, applicant and customer, and what waits across all of them.

Nothing here decides. Whoever is away is named, and what the others say is shown all the same.
"""

import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from hdex.catalog.attestation import Kept
from hdex.catalog.contract import State
from hdex.catalog.contract_life import LifeState
from hdex.catalog.errors import CatalogError
from hdex.catalog.price import Price
from hdex.catalog.quote import ordered_price
from hdex.ledger.event import format_time
from hdex.node.applicant import Applicant
from hdex.node.bargains import Bargains, require_line
from hdex.node.buyer import Buyer, Wish
from hdex.node.buyer_shelf import Arrived, Shelf
from hdex.node.contract_record import ContractRecord, order_of
from hdex.node.contract_word import Word, read_word
from hdex.node.customer import Customer
from hdex.node.errors import AccessDenied, NodeError, NotFound, PeerUnavailable, Problem, describe
from hdex.node.fetches import Fetch, Fetches
from hdex.node.holder import Holder
from hdex.node.invoice_file import InvoiceFile
from hdex.node.question import Question
from hdex.node.study_diary import StudyDiary

MOST = 50  # contracts, requests or studies of a list, newest first
FRESH = timedelta(seconds=60)  # a list repeats a provider's word so long: each question is an event in its log
Document = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Standing:
    """One contract as it is known here. record: None where nobody could be asked; problem says why."""

    contract_id: str
    asked: Document
    arrived: Arrived
    record: ContractRecord | None = None
    seen: Mapping[str, str] = field(default_factory=dict)  # state -> when it was first seen from here
    fetch: Fetch | None = None
    queries_left: int | None = None  # as the last answer under it told
    problem: Problem | None = None
    word: Word | None = None  # the provider's own about a final contract; None where it was not told
    silent: Problem | None = None  # why it was not


@dataclass(frozen=True, slots=True)
class Asked:
    """One access request: its draft, and where it stands; status is empty where nobody could be asked."""

    name: str
    form: Document
    status: Document
    problem: Problem | None = None


@dataclass(frozen=True, slots=True)
class StudyLook:
    """One study that was started from here: its steps so far, newest last, and its result once there is one."""

    id: str
    lines: tuple[Mapping[str, str], ...]
    result: Document | None

    @property
    def is_running(self) -> bool:
        """Whether no step so far has ended it."""
        return not self.lines or self.lines[-1]["step"] not in ("done", "failed")


@dataclass(frozen=True, slots=True)
class Verbs:
    """Everything that an organisation can do."""

    buyer: Buyer
    applicant: Applicant
    customer: Customer
    holder: Holder
    bargains: Bargains | None = None  # over the Dataspace Protocol; None where the desk does not listen


class BuyerDesk:
    """One organisation's desk. office: who vets by default; hospitals: of the directory; home: the data folder."""

    def __init__(
        self, verbs: Verbs, *, office: str, hospitals: Iterable[str], home: Path, clock: Callable[[], datetime]
    ) -> None:
        self.buyer, self.applicant, self.customer = verbs.buyer, verbs.applicant, verbs.customer
        self.holder, self.bargains = verbs.holder, verbs.bargains
        self.office, self.hospitals = office, tuple(hospitals)
        self.clock = clock
        self.fetches = Fetches(verbs.buyer.fetch)
        self._shelf = Shelf(home / "received")
        self._studies = home / "studies"
        self._lock = threading.Lock()
        self._left: dict[str, int] = {}
        self._words: dict[str, tuple[datetime, Word]] = {}

    @property
    def me(self) -> str:
        """The organisation's id in the directory."""
        return self.buyer.me

    def at(self) -> str:
        """Return the time as papers say it."""
        return format_time(self.clock())

    def vetting(self) -> list[dict[str, Any]]:
        """Return what the office holds of this organisation, newest first."""
        return list(reversed(self.applicant.vettings(self.office)))

    def contracts(self) -> list[Standing]:
        """Return the newest contracts that were asked for from here; nobody waits twice for whoever is away."""
        found, away, silent = list[Standing](), None, dict[str, Problem]()
        for contract_id, asked in self._shelf.contracts()[:MOST]:
            if away is None:
                one = self._standing(contract_id, asked, silent)
                away = one.problem if is_away(one.problem) else None
            else:
                one = Standing(contract_id, asked, self._shelf.arrived(contract_id), problem=away)
            if one.silent is not None and is_away(one.silent):
                silent[str(asked.get("provider", ""))] = one.silent
            found.append(one)
        return found

    def standing(self, contract_id: str) -> Standing:
        """Return one contract, by its provider's own word where it tells it now. Raises NotFound, and what the
        exchange says.
        """
        record = self.buyer.status(contract_id)
        return self._heard(self._of_record(contract_id, record.asked, record), record)

    def ask(self, wish: Wish, connector: str = "") -> ContractRecord:
        """Ask for a contract: through the exchange, or its provider at the address of its connector."""
        if not connector:
            return self.buyer.request(wish)
        provider = self.buyer.show(wish.product)[0].provider.id
        return require_line(self.bargains).request(wish, provider, connector)

    def sign(self, contract_id: str) -> ContractRecord:
        """Check an agreement and sign it, over the way on which it came."""
        ours = self._over_line(contract_id)
        return ours.sign(contract_id) if ours else self.buyer.accept(contract_id)

    def withdraw(self, contract_id: str, reason: str) -> ContractRecord:
        """End a negotiation that is not final, over the way on which it was begun."""
        ours = self._over_line(contract_id)
        return ours.withdraw(contract_id, reason) if ours else self.holder.withdraw(contract_id, reason)

    def price(self, asked: Document) -> Price | None:
        """Return what a request's order costs a unit, by the signed manifest; None where it is not listed so."""
        try:
            product, manifest_digest = self.buyer.show(str(asked["product"]))
            same = manifest_digest == asked["manifest_digest"]
            return ordered_price(product, order_of(asked)) if same else None
        except (NodeError, CatalogError):
            return None

    def _over_line(self, contract_id: str) -> Bargains | None:
        return self.bargains if self.bargains is not None and self.bargains.knows(contract_id) else None

    def attest(
        self, contract_id: str, deleted: Sequence[str], *, copies: int, kept: Sequence[Kept], delete: bool
    ) -> None:
        """Sign that a contract's rows are deleted. delete: this machine's files first. Raises AccessDenied."""
        fetch = self.fetches.of(contract_id)
        if fetch is not None and fetch.is_running:
            raise AccessDenied("attestation.arriving", "wait until it has ended", "a delivery under it is running")
        self.holder.attest(contract_id, deleted, copies=copies, kept=kept, delete=delete)
        with self._lock:
            self._words.pop(contract_id, None)

    def query(self, contract_id: str, question: Question) -> dict[str, Any]:
        """Ask under a contract, and keep what it has left."""
        answer = self.buyer.query(contract_id, question)
        with self._lock:
            self._left[contract_id] = int(answer["left"])
        return answer

    def requests(self) -> list[Asked]:
        """Return the access requests of this organisation, the one touched last first."""
        found, away = list[Asked](), dict[str, Problem]()
        for name in self.applicant.names()[:MOST]:
            form = self.applicant.form(name)
            provider = str(form.get("provider", ""))
            if provider in away:
                found.append(Asked(name, form, {}, away[provider]))
                continue
            try:
                found.append(Asked(name, form, self.applicant.status(name)))
            except NodeError as error:
                problem = describe(error)
                if isinstance(error, PeerUnavailable):
                    away[provider] = problem
                found.append(Asked(name, form, {}, problem))
        return found

    def invoices(self) -> tuple[list[InvoiceFile], dict[str, Problem]]:
        """Return every paper addressed to us, newest first, and by hospital why it could not be asked."""
        found, away = list[InvoiceFile](), dict[str, Problem]()
        for hospital in self.hospitals:
            try:
                found += self.customer.invoices(hospital)
            except NodeError as error:
                away[hospital] = describe(error)
        return sorted(found, key=lambda one: str(one.document["issued"]), reverse=True), away

    def invoice(self, provider: str, number: str) -> InvoiceFile:
        """Return one paper as its hospital gives it out now. Raises NotFound."""
        if provider not in self.hospitals:
            raise NotFound("no hospital of the directory has this id")
        for file in self.customer.invoices(provider):
            if file.number == number:
                return file
        raise NotFound("this hospital has given out no such paper to us")

    def credit_notes(self, file: InvoiceFile) -> list[InvoiceFile]:
        """Return the credit notes that take back from an invoice, oldest first."""
        papers = self.customer.invoices(str(file.document["provider"]["id"]))
        return [one for one in papers if one.document.get("credits_number") == file.number]

    def studies(self) -> list[StudyLook]:
        """Return the studies that were started from this organisation's folder, newest first."""
        paths = sorted(self._studies.glob("*.jsonl"), key=lambda path: path.stat().st_mtime, reverse=True)
        return [self.study(path.stem) for path in paths[:MOST]]

    def study(self, study_id: str) -> StudyLook:
        """Return one study. Raises NotFound, RequestInvalid."""
        diary = StudyDiary(self._studies, study_id)
        lines = tuple(diary.lines(follow=False))
        try:
            return StudyLook(study_id, lines, diary.result())
        except NotFound:
            return StudyLook(study_id, lines, None)

    def _standing(self, contract_id: str, asked: Document, silent: Mapping[str, Problem]) -> Standing:
        """Return one contract of a list. silent: providers that were away a moment ago, and how that was said."""
        try:
            record = self.buyer.status(contract_id)
        except NodeError as error:
            return Standing(contract_id, asked, self._shelf.arrived(contract_id), problem=describe(error))
        one, provider = self._of_record(contract_id, asked, record), str(record.asked["provider"])
        with self._lock:
            at, word = self._words.get(contract_id, (None, None))
        if at is not None and word is not None and (word.life is LifeState.CLOSED or self.clock() - at < FRESH):
            return replace(one, word=word)
        return replace(one, silent=silent[provider]) if provider in silent else self._heard(one, record)

    def _heard(self, one: Standing, record: ContractRecord) -> Standing:
        """Return a contract with its provider's own word, or why there is none."""
        if record.state != State.FINALIZED:
            return one
        try:
            word = read_word(self.holder.told(record), one.contract_id)
        except NodeError as error:
            return replace(one, silent=describe(error))
        with self._lock:
            self._words[one.contract_id] = (self.clock(), word)
        return replace(one, word=word)

    def _of_record(self, contract_id: str, asked: Document, record: ContractRecord) -> Standing:
        with self._lock:
            left = self._left.get(contract_id)
        return Standing(
            contract_id,
            asked,
            self._shelf.arrived(contract_id),
            record,
            self._shelf.seen(contract_id, "REVOKED" if record.revoked else record.state, self.clock()),
            self.fetches.of(contract_id),
            left,
        )


def is_away(problem: Problem | None) -> bool:
    """Return whether somebody did not answer, rather than say no."""
    return problem is not None and problem.status == "UNAVAILABLE"
