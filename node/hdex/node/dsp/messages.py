"""The protocol's messages as they leave: compact JSON under the fixed context, and the path each is sent to."""

from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import quote

from hdex.catalog.contract import Message, State, TransferMessage
from hdex.catalog.dsp import CONTEXT
from hdex.node.dsp.process import AnyMessage, Document, Kind, Process

PAPER = "urn:hdex:paper"  # a signed paper beside the protocol's own members; an IRI needs no context
CARRYING = frozenset({Message.REQUEST, Message.OFFER, Message.ACCEPT, Message.AGREEMENT, Message.VERIFICATION})
ENDING = {"contract_id", "reason", "at"}  # members of a consumer's termination paper
VERSION, PATH = "2025-1", "/dsp"
FOLDER = {Kind.NEGOTIATION: "negotiations", Kind.TRANSFER: "transfers"}
LONGEST_REASON = 500
IN_SEGMENT = "!$&'()*+,;=:@"  # what RFC 3986 lets stand in one part of a path, beside letters, digits and -._~


@dataclass(frozen=True, slots=True)
class Act:
    """What one side may do of its own accord: the message it sends and the last part of its path."""

    message: AnyMessage
    verb: str


ACTS: Mapping[Kind, Mapping[str, Act]] = {
    Kind.NEGOTIATION: {
        "counter": Act(Message.REQUEST, "request"),
        "offer": Act(Message.OFFER, "offers"),
        "accept": Act(Message.ACCEPT, "events"),
        "agree": Act(Message.AGREEMENT, "agreement"),
        "verify": Act(Message.VERIFICATION, "agreement/verification"),
        "finalize": Act(Message.FINALIZE, "events"),
        "terminate": Act(Message.TERMINATION, "termination"),
    },
    Kind.TRANSFER: {
        "start": Act(TransferMessage.START, "start"),
        "suspend": Act(TransferMessage.SUSPENSION, "suspension"),
        "complete": Act(TransferMessage.COMPLETION, "completion"),
        "terminate": Act(TransferMessage.TERMINATION, "termination"),
    },
}
# Last part of a path -> the types of message it takes.
TAKES: Mapping[Kind, Mapping[str, frozenset[str]]] = {
    kind: {
        act.verb: frozenset({one.message.partition(":")[0] for one in acts.values() if one.verb == act.verb})
        for act in acts.values()
    }
    for kind, acts in ACTS.items()
}


def path_of(process: Process, act: Act) -> str:
    """Return where a message about a process goes, below the other side's address."""
    return f"{shown_path(process)}/{act.verb}"


def shown_path(process: Process) -> str:
    """Return where the other side shows a process. Its id is any text, a URL too, and stays one part of the path."""
    return f"/{FOLDER[process.kind]}/{quote(process.peer_pid, safe=IN_SEGMENT)}"


def request_path(kind: Kind) -> str:
    """Return where a first request goes."""
    return f"/{FOLDER[kind]}/request"


def message_of(process: Process, message: AnyMessage, *, callback: str = "") -> Document:
    """Return the message by which `process`, as it stands after it, tells the other side. callback: first requests."""
    kind, _, event = message.partition(":")
    told: Document = {"@context": [CONTEXT], "@type": kind, **pids(process)}
    if event:
        told["eventType"] = event
    if message in {Message.REQUEST, Message.OFFER}:
        told["offer"] = process.offer
    if message is Message.AGREEMENT:
        told["agreement"] = process.agreement
    if message is TransferMessage.REQUEST:
        told |= {"agreementId": process.agreement_id, "format": process.format}
    if message is TransferMessage.START and process.data_address is not None:
        told["dataAddress"] = process.data_address
    if message in {Message.TERMINATION, TransferMessage.TERMINATION, TransferMessage.SUSPENSION}:
        told |= {"code": message_code(process), "reason": [process.reason[:LONGEST_REASON] or "no reason was given"]}
    if callback:
        told["callbackAddress"] = callback
    if process.paper is not None and (message in CARRYING or is_ending(process.paper, message)):
        told[PAPER] = process.paper
    return told


def is_ending(paper: Document, message: AnyMessage) -> bool:
    """Return whether a paper is the signed word by which a consumer ends a negotiation."""
    return message is Message.TERMINATION and set(paper.get("document", {})) == ENDING


def message_code(process: Process) -> str:
    """Return the code of a termination or suspension: the state it led to."""
    return process.state


def pids(process: Process) -> Document:
    """Return the ids of both sides, as far as they are known."""
    both = {"providerPid": process.provider_pid, "consumerPid": process.consumer_pid}
    return {name: value for name, value in both.items() if value}


def shown(process: Process) -> Document:
    """Return a process as the protocol shows it to the other side."""
    kind = "ContractNegotiation" if process.kind is Kind.NEGOTIATION else "TransferProcess"
    return {"@context": [CONTEXT], "@type": kind, **pids(process), "state": process.state}


def catalog(participant: str, address: str, datasets: list[Document]) -> Document:
    """Return a catalogue of one page of data sets."""
    inner = [{name: value for name, value in one.items() if name != "@context"} for one in datasets]
    service = {"@id": f"{address}#service", "@type": "DataService", "endpointURL": address}
    found: Document = {
        "@context": [CONTEXT],
        "@id": f"{address}/catalog",
        "@type": "Catalog",
        "participantId": participant,
        "service": [service],
    }
    return found | ({"dataset": inner} if inner else {})


def versions() -> Document:
    """Return the answer of the well-known address: which version stands where."""
    one = {"version": VERSION, "path": PATH, "binding": "HTTPS", "auth": {"protocol": "mTLS", "version": "1.3"}}
    return {"protocolVersions": [one]}


def error(kind: str, code: str, reason: str, ids: Mapping[str, str] | None = None) -> Document:
    """Return an error body. kind: "CatalogError", "ContractNegotiationError" or "TransferError"."""
    return {"@context": [CONTEXT], "@type": kind, **(ids or {}), "code": code, "reason": [reason]}


def state_of(document: Mapping[str, object]) -> str:
    """Return the state that the other side shows; empty when it shows none."""
    state = document.get("state")
    return state if isinstance(state, str) and state in {*State, "STARTED", "SUSPENDED", "COMPLETED"} else ""
