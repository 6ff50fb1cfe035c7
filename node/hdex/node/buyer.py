"""A buyer's verbs: find, request, accept, fetch, open, study. What arrives is checked before it is believed."""

import hashlib
import json
import threading
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from hdex.catalog.contract import State
from hdex.catalog.documents import to_document
from hdex.catalog.product import DataProduct
from hdex.catalog.quote import Order, ordered_price
from hdex.catalog.terms import AccessRequest
from hdex.ledger.document import load
from hdex.ledger.event import Action, format_time
from hdex.node.access_proof import AccessProof, require_logged
from hdex.node.container import Header, Part
from hdex.node.container_file import Receiver, open_frame, open_header
from hdex.node.contract_record import ContractRecord, order_of, require_as_asked
from hdex.node.directory import Directory
from hdex.node.durable import write_atomic
from hdex.node.errors import AccessDenied, ContainerInvalid, NotFound, PeerUnavailable, RemoteRefused
from hdex.node.keys import KeyProvider
from hdex.node.question import Question, question_of
from hdex.node.signed import Envelope, canonical, countersign, digest, sign, verify

if TYPE_CHECKING:
    import polars as pl

Say = Callable[[str, str], None]
ALL = Order()  # the first price that the product offers, all columns
KEPT_MANIFESTS = 64
RECONNECTS, RECONNECT_S = 60, 1.0  # how often a broken line to a running study is dialled again, and how soon
UNSAID: dict[str, Any] = {  # of a question
    "kind": "logistic", "standardize": "global", "l2": 0.0, "secure": "paillier", "quorum": 0,
    "options": {}, "levels": {}, "privacy": {}, "threshold": None,
}  # fmt: skip


class Market(Protocol):
    """The exchange as a buyer uses it."""

    def find(self, text: str, *, lang: str = "en", mode: str = "", provider: str = "") -> list[DataProduct]: ...
    def show(self, product_id: str) -> Envelope: ...
    def request(self, request: Envelope) -> ContractRecord: ...
    def verify(self, agreement: Envelope) -> ContractRecord: ...
    def status(self, contract_id: str) -> ContractRecord: ...
    def plan(self, question: Mapping[str, Any]) -> dict[str, Any]: ...
    def start(self, study: Envelope, say: Say) -> dict[str, Any]: ...


class Counter(Protocol):
    """A provider's delivery counter: one range of sealed chunks a call."""

    def deliver(self, provider: str, contract_id: str, first_chunk: int) -> Iterator[Part]:
        """Yield the beginning of one range with the log's proof, then its sealed chunks."""
        ...

    def acknowledge(self, provider: str, receipt: Envelope) -> None: ...

    def query(self, provider: str, contract_id: str, question: Mapping[str, Any]) -> tuple[bytes, bytes]:
        """Return (an answer's JSON as it was logged, the log's proof)."""
        ...

    def open_share(self, provider: str, contract_id: str) -> dict[str, Any]: ...
    def submit_run(self, provider: str, contract_id: str, script: bytes) -> dict[str, Any]: ...
    def get_run(self, provider: str, contract_id: str, run_id: str) -> tuple[dict[str, Any], dict[str, bytes]]: ...


@dataclass(frozen=True, slots=True)
class Wish:
    """What a buyer asks for."""

    product: str
    delivery_mode: str
    access: AccessRequest
    max_rounds: int = 0
    statement: str = ""
    order: Order = ALL
    renews: str = ""  # the contract whose place it takes


@dataclass(frozen=True, slots=True)
class Delivered:
    """What a fetch brought: the sealed file once `complete`, bytes received in this call, chunks held so far."""

    path: Path
    complete: bool
    received: int
    chunks: int


class Buyer:
    """One organisation at the exchange. `folder` keeps what was fetched, chunk by chunk."""

    def __init__(
        self, me: str, keys: KeyProvider, directory: Directory, *,
        market: Market, counter: Counter, folder: Path, clock: Callable[[], datetime],
    ) -> None:  # fmt: skip
        self._me = self.me = me
        self._keys = keys
        self._directory = directory
        self._market = market
        self._counter = counter
        self._folder = folder
        self._clock = clock
        self._manifests: dict[str, tuple[DataProduct, str]] = {}  # that were verified, by their whole text

    def find(self, text: str, *, lang: str = "en", mode: str = "", provider: str = "") -> list[DataProduct]:
        """Return the products that match, best first."""
        return self._market.find(text, lang=lang, mode=mode, provider=provider)

    def show(self, product_id: str) -> tuple[DataProduct, str]:
        """Return a product and its manifest's digest, after checking its provider's signature."""
        envelope = self._market.show(product_id)
        return self._checked(envelope, product_id)

    def _checked(self, envelope: Envelope, product_id: str) -> tuple[DataProduct, str]:
        text = json.dumps(envelope)
        if text not in self._manifests:  # the same words are shown at every step of a contract
            product = DataProduct.from_document(envelope["document"])
            provider = self._directory.require(product.provider.id, "hospital")
            manifest = verify("manifest", envelope, {provider.id: provider.sign_key})
            if len(self._manifests) >= KEPT_MANIFESTS:
                self._manifests.clear()
            self._manifests[text] = product, digest(manifest)
        found = self._manifests[text]
        if found[0].id != product_id:
            raise AccessDenied("manifest.other", "tell the exchange", "the exchange showed another product")
        return found

    def request(self, wish: Wish, *, contract_id: str = "") -> ContractRecord:
        """Sign a request and send it; raise AccessDenied with rule and next step where the provider's rules refuse.

        The paper is kept before it is sent: asked again under its contract id, the very same paper is sent again.
        """
        product, manifest_digest = self.show(wish.product)
        document = {
            "contract_id": contract_id or str(uuid.uuid4()),
            "product": product.id,
            "version": product.version,
            "provider": product.provider.id,
            "manifest_digest": manifest_digest,
            "consumer": self._me,
            "delivery_mode": wish.delivery_mode,
            "max_rounds": wish.max_rounds,
            "statement": wish.statement,
            "access": to_document(wish.access),
        }
        if wish.order != ALL:
            document["order"] = to_document(wish.order)
        if wish.renews:
            document["renews"] = wish.renews
        answer = self._market.request(self._request_paper(document))
        return accepted(self._mine(answer, str(document["contract_id"])))

    def _request_paper(self, document: dict[str, Any]) -> Envelope:
        path = self._folder / f"{document['contract_id']}.request.json"
        if path.exists():
            kept: Envelope = json.loads(path.read_text(encoding="utf-8"))
            if without_time(kept["document"]) == without_time(document):
                return kept
        envelope = sign("request", document, self._me, self._keys.secret("sign"))
        write_atomic(path, json.dumps(envelope, ensure_ascii=False).encode())
        return envelope

    def accept(self, contract_id: str) -> ContractRecord:
        """Check the agreement against the request and sign it; raise AccessDenied while there is none."""
        record = accepted(self.status(contract_id))
        if record.state == State.FINALIZED:
            return record
        if record.agreement is None:
            raise AccessDenied(
                "agreement.pending", "wait for the provider's decision", f"the contract is {record.state}"
            )
        self._require_as_asked(record)
        signed = countersign("agreement", record.agreement, self._me, self._keys.secret("sign"))
        return accepted(self._mine(self._market.verify(signed), contract_id))

    def status(self, contract_id: str) -> ContractRecord:
        """Return where a contract stands, after checking that it is the contract asked for."""
        return self._mine(self._market.status(contract_id), contract_id)

    def fetch(self, contract_id: str, *, stop_after: int | None = None) -> Delivered:
        """Receive the product range by range, from where an earlier call stopped, and verify it.

        `stop_after` ends the call once so many chunks are here, as a cut line would. Each chunk is checked when it
        arrives and the whole when it is complete; only then does the file have its name.
        """
        record = self.status(contract_id)
        provider = str(record.asked["provider"])
        path = self._folder / f"{contract_id}.hdx"
        if path.exists():
            with suppress(AccessDenied, RemoteRefused):  # what is here stays here, whatever has ended since
                self._acknowledge(record, path)
            return Delivered(path, True, 0, 0)
        receiver = self._receiver(path, provider)
        received = 0
        while not receiver.complete:
            for part in self._counter.deliver(provider, contract_id, receiver.next_index):
                if part.prologue:
                    receiver.begin(part.prologue, contract=contract_id)
                    require_as_agreed(receiver.header, record)
                    self._keep_proof(part.log_proof, receiver.header)
                    continue
                receiver.accept(part.index, part.chunk)
                received += len(part.chunk)
                if stop_after is not None and receiver.next_index >= stop_after:
                    return Delivered(path, False, received, receiver.next_index)
        receiver.finish(sha256=self._listed_digest(record))
        self._acknowledge(record, path)
        return Delivered(path, True, received, receiver.next_index)

    def query(self, contract_id: str, question: Question) -> dict[str, Any]:
        """Return {"rows", "left"}: one row per cell, and how many different questions the contract has left.

        What is told must stand in the hospital's log by its digest; else it is not believed.
        """
        provider = self._provider(contract_id)
        body, data = self._counter.query(provider, contract_id, question.document())
        proof = AccessProof.from_bytes(data)
        root = hashlib.sha256(body).hexdigest()
        keeper = self._directory.member(provider)
        require_logged(proof, keeper, contract=contract_id, root=root, action=Action.QUERY_RUN)
        answer = load(body)
        if not isinstance(answer, dict) or question_of(answer["question"]).digest() != question.digest():
            raise AccessDenied("query.other", "tell the hospital", "the answer is to another question")
        return {"rows": answer["rows"], "left": answer["left"]}

    def share(self, contract_id: str, path: Path) -> Path:
        """Write the Delta Sharing profile of a contract for nobody else to read, and return its path."""
        profile = self._counter.open_share(self._provider(contract_id), contract_id)
        write_atomic(path, canonical(profile), mode=0o600)
        return path

    def submit(self, contract_id: str, script: bytes) -> dict[str, Any]:
        """Hand in a script for the enclave and return how its run stands."""
        return self._counter.submit_run(self._provider(contract_id), contract_id, script)

    def run(self, contract_id: str, run_id: str) -> tuple[dict[str, Any], dict[str, bytes]]:
        """Return how a run stands, and {name: bytes} once a person has released its output."""
        return self._counter.get_run(self._provider(contract_id), contract_id, run_id)

    def _provider(self, contract_id: str) -> str:
        return str(self.status(contract_id).asked["provider"])

    def first_range(self, contract_id: str) -> int:
        """Ask for the first range of a delivery, keep nothing, and return how many chunks came."""
        provider = str(self.status(contract_id).asked["provider"])
        return sum(bool(part.chunk) for part in self._counter.deliver(provider, contract_id, 0))

    def open(self, contract_id: str) -> "pl.DataFrame":
        """Return a delivered product as a frame; every chunk is verified again while it is read."""
        provider = str(self.status(contract_id).asked["provider"])
        path = self._folder / f"{contract_id}.hdx"
        if not path.exists():
            raise NotFound(f"nothing of this contract was received here whole yet: hdex buy fetch {contract_id}")
        return open_frame(path, self._keys.secret("hpke"), self._directory.member(provider).sign_key)

    def study(self, question: Mapping[str, Any], say: Say) -> dict[str, Any]:
        """Have the exchange plan a study, sign the plan when it is what was asked, start it and return its result."""
        plan = self._market.plan(question)
        for name, value in (UNSAID | dict(question)).items():  # what was not asked for must not be slipped in
            if plan.get(name) != value:
                raise AccessDenied("study.plan", "", f"the plan's {name} is not what was asked")
        return follow(self._market, sign("study", plan, self._me, self._keys.secret("sign")), say)

    def _mine(self, record: ContractRecord, contract_id: str) -> ContractRecord:
        """Return the record when it answers the request that we signed under this id: the exchange only carries it."""
        asked = verify("request", record.request, {self._me: self._keys.public("sign")})
        if (record.contract_id, asked.get("contract_id"), asked.get("consumer")) != (
            contract_id,
            contract_id,
            self._me,
        ):
            raise AccessDenied("contract.other", "tell the exchange", "the exchange answered with another contract")
        return record

    def _require_as_asked(self, record: ContractRecord) -> None:
        """Raise unless the provider has signed what was asked, at the price it listed, for our own keys."""
        provider = self._directory.require(str(record.asked["provider"]), "hospital")
        agreement = verify("agreement", record.agreement or {}, {provider.id: provider.sign_key})
        require_as_asked(record.asked, agreement)
        product_id = str(record.asked["product"])
        envelope = self._market.show(product_id)
        product, manifest_digest = self._checked(envelope, product_id)
        keys = {"sign_key": self._keys.public("sign").hex(), "hpke_key": self._keys.public("hpke").hex()}
        price = to_document(ordered_price(product, order_of(record.asked)))
        quota = to_document(product.quota)
        wanted = {"manifest_digest": manifest_digest, "price": price, "consumer_keys": keys, "quota": quota}
        for name, value in wanted.items():
            if agreement.get(name) != value:
                raise AccessDenied("agreement.differs", "ask the provider", f"the agreement has another {name}")
        write_atomic(self._manifest_path(record), canonical(envelope))  # the exchange may list another version by then

    def _listed_digest(self, record: ContractRecord) -> str:
        """Return the SHA-256 of the file that the agreed manifest names, "" where it was accepted in another folder."""
        path = self._manifest_path(record)
        if not path.exists():
            return ""
        product, manifest_digest = self._checked(json.loads(path.read_bytes()), str(record.asked["product"]))
        if manifest_digest != record.asked["manifest_digest"] or product.release is None:
            raise ContainerInvalid("the manifest kept beside the delivery is of another version than agreed")
        return "" if is_fingerprinted(record) else product.release.sha256  # a copy of our own: the signed root holds

    def _manifest_path(self, record: ContractRecord) -> Path:
        return self._folder / f"{record.contract_id}.manifest.json"

    def _keep_proof(self, data: bytes, header: Header) -> None:
        """Keep what the provider's log says of this range, once it is checked: it binds the provider's later word."""
        proof = AccessProof.from_bytes(data)
        require_logged(proof, self._directory.member(header.provider), contract=header.contract, root=header.root)
        with (self._folder / f"{header.contract}.log.jsonl").open("ab") as file:
            file.write(proof.to_bytes() + b"\n")

    def _receiver(self, path: Path, provider: str) -> Receiver:
        public = self._directory.member(provider).sign_key
        return Receiver(path, hpke_private=self._keys.secret("hpke"), provider_public=public)

    def _acknowledge(self, record: ContractRecord, path: Path) -> None:
        """Tell the provider that the file is here, once: the receipt stands beside the file when it was heard."""
        told = path.with_suffix(".receipt.json")
        if told.exists():
            return
        provider = str(record.asked["provider"])
        public = self._directory.member(provider).sign_key
        receipt = {
            "contract_id": record.contract_id,
            "agreement_digest": digest(record.agreement["document"]) if record.agreement else "",
            "root": open_header(path, self._keys.secret("hpke"), public).root,
            "received": format_time(self._clock()),
        }
        envelope = sign("receipt", receipt, self._me, self._keys.secret("sign"))
        self._counter.acknowledge(provider, envelope)
        write_atomic(told, canonical(envelope))


def follow(market: Market, study: Envelope, say: Say) -> dict[str, Any]:
    """Start a study and return its result; where the line breaks on the way, ask again: it goes on, or answers.

    A line lasts no longer than the exchange lets a connection live, a study may.
    """
    tries, pause = RECONNECTS, threading.Event()

    def hear(step: str, words: str) -> None:
        nonlocal tries
        tries = RECONNECTS
        say(step, words)

    while True:
        try:
            return market.start(study, hear)
        except PeerUnavailable as away:
            tries -= 1
            if away.rule or not tries:  # a rule: the exchange answered, somebody else is away
                raise
        say("waiting", "the line to the exchange broke; asking again")
        pause.wait(RECONNECT_S)


def accepted(record: ContractRecord) -> ContractRecord:
    """Return a record that was not refused; raise AccessDenied with the provider's rule and next step."""
    if record.state == State.TERMINATED:
        raise AccessDenied(record.rule, record.next_step, f"the provider refused by rule {record.rule}")
    return record


def require_as_agreed(header: Header, record: ContractRecord) -> None:
    """Raise ContainerInvalid unless a delivery is of the product and version that the contract names."""
    asked = record.asked
    if (header.product, header.version, header.provider, header.consumer) != (
        asked["product"],
        asked["version"],
        asked["provider"],
        asked["consumer"],
    ):
        raise ContainerInvalid("the delivery is of another product, version or consumer than agreed")
    if bool(header.fingerprint) != is_fingerprinted(record):
        raise ContainerInvalid("the delivery's fingerprint is not as the contract says")


def is_fingerprinted(record: ContractRecord) -> bool:
    """Return whether a contract says that values of this buyer's copy differ by a last digit."""
    return bool(record.agreement and record.agreement["document"]["clauses"].get("fingerprint"))


def without_time(asked: Mapping[str, Any]) -> dict[str, Any]:
    """Return a request without the moment at which it was asked."""
    access = {name: value for name, value in asked["access"].items() if name != "at"}
    return {**asked, "access": access}
