"""The connector: takes the other side's messages, makes one's own, and keeps both sides' processes in step.

Order of every step: is it ours, does the message fit the state, do the rules allow it, remember it in the log, then
store the process together with the message it sends. Nothing is sent that is not stored, nothing stored that is not
in the log.
"""

import logging
import threading
import uuid
from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from hashlib import sha256

from hdex.catalog.contract import Message, Party, TransferMessage
from hdex.node.dsp.messages import ACTS, Act, message_of, path_of, request_path, state_of
from hdex.node.dsp.ports import Answer, Courier, Desk, Outgoing, Processes
from hdex.node.dsp.process import AnyMessage, Document, Kind, Process
from hdex.node.dsp.said import Said
from hdex.node.errors import AccessDenied, LimitExceeded, NotFound, RequestInvalid, describe
from hdex.node.failpoint import failpoint
from hdex.node.identity import Identity
from hdex.node.recorder import Facts, Recorder, text_of
from hdex.node.signed import digest

logger = logging.getLogger(__name__)
EVENTS: Mapping[AnyMessage, str] = {
    Message.REQUEST: "contract.request",
    Message.OFFER: "contract.offer",
    Message.ACCEPT: "contract.accept",
    Message.AGREEMENT: "contract.agree",
    Message.VERIFICATION: "contract.verify",
    Message.FINALIZE: "contract.finalize",
    Message.TERMINATION: "contract.terminate",
    TransferMessage.REQUEST: "transfer.request",
    TransferMessage.START: "transfer.start",
    TransferMessage.SUSPENSION: "transfer.suspend",
    TransferMessage.COMPLETION: "transfer.complete",
    TransferMessage.TERMINATION: "transfer.terminate",
}
READS = {Kind.NEGOTIATION: "contract.read", Kind.TRANSFER: "transfer.read"}
FIRST: Mapping[Kind, AnyMessage] = {Kind.NEGOTIATION: Message.REQUEST, Kind.TRANSFER: TransferMessage.REQUEST}
STRIPES = 64
ANSWER_S = 5.0
MOST_OPEN = 1000  # processes of one peer that have not ended


@dataclass(frozen=True, slots=True)
class Me:
    """Who speaks here, and where the others reach it."""

    identity: Identity
    address: str  # of the protocol's paths, without a slash at the end


class Connector:
    """Both roles of one participant. Threads may share it: one process is changed by one thread at a time."""

    def __init__(
        self, me: Me, processes: Processes, *,
        desk: Desk, courier: Courier, recorder: Recorder, answer_s: float = ANSWER_S,
        most_open: int = MOST_OPEN,
    ) -> None:  # fmt: skip
        self.me = me
        self._processes = processes
        self._desk = desk
        self._courier = courier
        self._recorder = recorder
        self._answer_s = answer_s
        self._most_open = most_open
        self._locks = [threading.RLock() for _ in range(STRIPES)]
        self._answered = threading.Condition()  # told of every first request that was answered
        self.wake = threading.Event()  # a message waits in the outbox

    def opened(self, said: Said, peer: Identity) -> tuple[Process, bool]:
        """Return the process of a first message, and whether it is new: the same again returns the same process."""
        kind = kind_of(said.message)
        offered = said.message is Message.OFFER
        peer_pid = said.provider_pid if offered else said.consumer_pid
        with self._lock(peer_pid), self._refusals(EVENTS[said.message], peer, said):
            known = self._processes.opened_by(kind, peer.participant, peer_pid)
            if known is not None:
                return same(known, said), False
            if self._processes.open_of(peer.participant) >= self._most_open:
                raise LimitExceeded(f"{self._most_open} of your processes are open; end one first")
            self._courier.require_address(said.callback)
            role = Party.CONSUMER if offered else Party.PROVIDER
            fresh = Process(
                kind=kind, role=role, pid=new_pid(), peer=peer.participant, peer_pid=peer_pid, address=said.callback
            )
            process = taken(fresh.after(fresh.other, said.message), said).with_(request=said.paper)
            self._require(process)
            with self._recorder.release(EVENTS[said.message], peer, **self._facts(process, said.digest)):
                self._processes.save(process)
        failpoint("dsp.request.kept")
        self._tell(process)
        return process, True

    def receive(self, pid: str, said: Said, peer: Identity) -> Process:
        """Return the process after a message of the other side. Raises NotFound, RequestInvalid, CatalogError."""
        with self._lock(pid), self._refusals(EVENTS[said.message], peer, said):
            found = self._of(kind_of(said.message), pid, peer)
            process = known_by(found, said)
            moved = taken(process.after(process.other, said.message), said)
            require_same_target(process, said)
            self._desk.require_paper(moved)
            with self._recorder.release(EVENTS[said.message], peer, **self._facts(moved, said.digest)):
                self._processes.save(moved)
        self._tell(moved)
        return moved

    def show(self, kind: Kind, pid: str, peer: Identity) -> Process:
        """Return a process to its other side; to anybody else it does not exist. Raises NotFound."""
        process = self._of(kind, pid, peer)
        if not process.state:  # it knows our id, so its answer to our request is on its way to us
            with self._answered:
                self._answered.wait_for(lambda: bool(self._processes.get(pid).state), self._answer_s)
            process = self._of(kind, pid, peer)
        if not process.state:
            raise NotFound("the other side has not answered the first request yet")
        self._recorder.allow(READS[kind], peer, **self._facts(process))
        return process

    def request(
        self, peer: str, address: str, *, offer: Document, paper: Document | None = None, pid: str = ""
    ) -> Process:
        """Ask a provider for an offer of it; return the process, whose state is empty until the provider answers."""
        process = Process(
            kind=Kind.NEGOTIATION, role=Party.CONSUMER, pid=pid or new_pid(), peer=peer, address=address.rstrip("/"),
            dataset=str(offer.get("target", "")), offer=offer, paper=paper, request=paper,
        )  # fmt: skip
        return self._asked(process)

    def request_transfer(self, peer: str, address: str, *, agreement_id: str, format: str) -> Process:
        """Ask a provider for the data of an agreement; return the process."""
        process = Process(
            kind=Kind.TRANSFER, role=Party.CONSUMER, pid=new_pid(), peer=peer, address=address.rstrip("/"),
            agreement_id=agreement_id, format=format,
        )  # fmt: skip
        return self._asked(process)

    def act(self, pid: str, verb: str, **changes: object) -> Process:
        """Do one of ACTS in a process of ours. changes: values of the process that the message carries.

        Raises NotFound, TransitionForbidden; RequestInvalid for a verb that this kind of process does not have.
        """
        with self._lock(pid):
            before = self._processes.get(pid)
            act = ACTS[before.kind].get(verb)
            if act is None:
                raise RequestInvalid(f"a {before.kind} cannot {verb}; it can {', '.join(ACTS[before.kind])}")
            moved = self._filled(before.after(before.role, act.message).with_(**changes), act)
            self._keep(before, moved, act)
        self.wake.set()
        self._tell(moved)
        return moved

    def process(self, pid: str) -> Process:
        """Return one's own view of a process. Raises NotFound."""
        return self._processes.get(pid)

    def resume(self) -> None:
        """Tell the desk of every open process: after a stop, and now and then for what waits for somebody else."""
        self.wake.set()
        for process in self._processes.live():
            if process.state:
                self._tell(process)

    def _tell(self, process: Process) -> None:
        """Tell the desk where a process stands. What fails there fails no peer: `resume` tells it again."""
        try:
            self._desk.entered(process)
        except Exception as error:
            logger.warning("a step waits", extra={"pid": process.pid, "reason": describe(error).message})

    def delivered(self, outgoing: Outgoing, answer: Answer) -> None:
        """Settle a message that the other side took; the answer to a first request names its id and state."""
        with self._lock(outgoing.pid):
            process = self._processes.get(outgoing.pid)
            peer_pid, state = str(answer.document.get("providerPid", "")), state_of(answer.document)
            if process.state or not outgoing.path.endswith("/request"):
                self._processes.settle(outgoing)
                return
            if not peer_pid or not state:
                self._ended(outgoing, process, "the provider's answer names no process")
                return
            begun = process.with_(peer_pid=peer_pid).after(Party.CONSUMER, FIRST[process.kind])
            self._processes.settle(outgoing, begun)
        with self._answered:
            self._answered.notify_all()
        self._tell(begun)

    def undeliverable(self, outgoing: Outgoing, reason: str) -> None:
        """Take back a message that the other side refused for good: it did not move, so we did not either."""
        with self._lock(outgoing.pid):
            process = self._processes.get(outgoing.pid)
            self._recorder.deny(
                "contract.refuse" if process.kind is Kind.NEGOTIATION else "transfer.refuse",
                self.me.identity, "peer.refused", **self._facts(process),
            )  # fmt: skip
            if not process.state:
                self._ended(outgoing, process, reason)
            elif process.version == outgoing.after:
                back = outgoing.before
                again = process.with_(
                    state=back.state, visits=back.visits, reason=reason, paper=back.paper, request=back.request
                )
                self._processes.settle(outgoing, again)
            else:
                self._processes.settle(outgoing)

    def _asked(self, process: Process) -> Process:
        self._courier.require_address(process.address)
        document = message_of(process, FIRST[process.kind], callback=self.me.address)
        facts = self._facts(process, digest(document))
        with self._recorder.release(EVENTS[FIRST[process.kind]], self.me.identity, **facts):
            path = request_path(process.kind)
            self._processes.save(process, Outgoing(process.pid, path, document, process, process.version))
        failpoint("dsp.request.queued")
        self.wake.set()
        return process

    def _keep(self, before: Process, moved: Process, act: Act) -> None:
        document = message_of(moved, act.message)
        outgoing = Outgoing(moved.pid, path_of(moved, act), document, before, moved.version)
        with self._recorder.release(EVENTS[act.message], self.me.identity, **self._facts(moved, digest(document))):
            self._processes.save(moved, outgoing)
        failpoint("dsp.message.queued")

    def _filled(self, moved: Process, act: Act) -> Process:
        """Return a process with what its next message states: our offer or our agreement."""
        if act.message in {Message.OFFER, Message.REQUEST}:
            return moved.with_(offer=self._desk.offer(moved))
        if act.message is Message.AGREEMENT:
            agreement = self._desk.agreement(moved)
            return moved.with_(agreement=agreement, agreement_id=str(agreement["@id"]))
        return moved

    def _ended(self, outgoing: Outgoing, process: Process, reason: str) -> None:
        self._processes.settle(outgoing, process.with_(state="TERMINATED", reason=reason))

    def _of(self, kind: Kind, pid: str, peer: Identity) -> Process:
        process = self._processes.get(pid)
        if process.kind is not kind or process.peer != peer.participant:
            raise NotFound(f"no process {pid} is recorded here")  # the same words as when there is none
        return process

    def _require(self, process: Process) -> None:
        if process.kind is Kind.TRANSFER:
            self._desk.require_transfer(process)
        else:
            self._desk.require_request(process)
            self._desk.require_paper(process)

    def _refusals(self, action: str, peer: Identity, said: Said) -> AbstractContextManager[None]:
        return self._recorder.refusals(action, peer, request_digest=said.digest)

    def _facts(self, process: Process, digest: str = "") -> Facts:
        facts = Facts(contract=process.provider_pid or process.pid)
        if process.dataset:
            facts["product"] = text_of(process.dataset)
        if digest:
            facts["request_digest"] = digest
        return facts

    def _lock(self, pid: str) -> threading.RLock:
        return self._locks[int.from_bytes(sha256(pid.encode()).digest()[:4]) % STRIPES]


def kind_of(message: AnyMessage) -> Kind:
    """Return what a message is about."""
    return Kind.NEGOTIATION if isinstance(message, Message) else Kind.TRANSFER


def new_pid() -> str:
    """Return an id for a process of ours; it cannot be guessed."""
    return f"urn:uuid:{uuid.uuid4()}"


def taken(process: Process, said: Said) -> Process:
    """Return a process with what the other side's message states."""
    told: Document = {}
    if said.offer is not None:
        told |= {"offer": said.offer, "dataset": process.dataset or str(said.offer.get("target", ""))}
    if said.agreement is not None:
        told |= {"agreement": said.agreement, "agreement_id": str(said.agreement["@id"])}
    if said.paper is not None:
        told["paper"] = said.paper
    for name in ("agreement_id", "format", "reason"):
        if value := getattr(said, name):
            told[name] = value
    if said.data_address is not None:
        told["data_address"] = said.data_address
    return process.with_(**told)


def known_by(process: Process, said: Said) -> Process:
    """Return the process if a message means it. Raises RequestInvalid where its ids are those of another.

    A provider's first message may overtake its answer to our request: it names our id, so it has taken the request.
    """
    if not process.state and process.role is Party.CONSUMER and said.provider_pid:
        process = process.with_(peer_pid=said.provider_pid).after(Party.CONSUMER, FIRST[process.kind])
    wrong = [
        name
        for name, ours, theirs in (
            ("providerPid", process.provider_pid, said.provider_pid),
            ("consumerPid", process.consumer_pid, said.consumer_pid),
        )
        if ours != theirs
    ]
    if wrong:
        raise RequestInvalid(f"{' and '.join(wrong)} of the message belong to another process")
    return process


def require_same_target(process: Process, said: Said) -> None:
    """Raise RequestInvalid where an offer or agreement is about another data set than the negotiation."""
    for paper in (said.offer, said.agreement):
        target = str((paper or {}).get("target", ""))
        if target and process.dataset and target != process.dataset:
            raise RequestInvalid("the target is another data set than the one this negotiation is about")


def same(known: Process, said: Said) -> Process:
    """Return a known process if a first message asks for it again. Raises AccessDenied where it asks for another."""
    fresh = taken(known, said)
    asked = (fresh.offer.get("@id"), fresh.offer.get("target", known.dataset), fresh.agreement_id, fresh.format)
    before = (known.offer.get("@id"), known.dataset, known.agreement_id, known.format)
    first = known.visits.get("OFFERED", 0) == 0 or known.kind is Kind.TRANSFER
    if said.callback != known.address or (first and asked != before):
        raise AccessDenied("process.other", "choose a new id", "this id stands for another request of yours already")
    return known
