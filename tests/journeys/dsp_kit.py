"""A conformance kit in small: the sequences of the Eclipse DSP TCK, played against a connector over real HTTP.

Every sequence has a callback address of its own. As in the TCK, a push that nobody waits for is answered by 404, each
expectation takes one message, and what comes is held against the protocol's JSON schemas where they are at hand.
Source of the sequences: eclipse-dataspacetck/dsp-tck, CN, CN_C, TP and TP_C (01 to 03), read 2026-11.
"""

import http.client
import json
import threading
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from hdex.catalog.dsp import CONTEXT

SCHEMAS = Path(__file__).resolve().parents[3] / "shared" / "data" / "standards" / "dsp-schemas"
WAIT_S = 30.0
Document = dict[str, Any]

# A step: "<name" the connector sends it; ">name" we send it; ">!name" we send it and it must be refused; "=STATE" the
# connector shows this state. The first word says what begins the sequence.
CN = {
    "0101": "request <offer >terminate =TERMINATED",
    "0102": "request <offer >counter <terminate =TERMINATED",
    "0103": "request <offer >accept <agreement >verify <finalize =FINALIZED",
    "0104": "request <agreement >verify <finalize =FINALIZED",
    "0201": "request <terminate =TERMINATED",
    "0202": "request >terminate =TERMINATED",
    "0203": "request <agreement >terminate =TERMINATED",
    "0204": "request <offer >terminate =TERMINATED",
    "0205": "request <offer <terminate =TERMINATED",
    "0206": "request <offer >accept <terminate =TERMINATED",
    "0207": "request <agreement >verify <terminate =TERMINATED",
    "0301": "request <agreement >verify <finalize >!terminate =FINALIZED",
    "0302": "request <offer >!verify =OFFERED",
    "0303": "request <offer >accept >!verify =ACCEPTED",
    "0304": "request <offer >counter >!counter =REQUESTED",
}
CN_C = {
    "0101": "begin >offer <accept >agreement <verify >finalize =FINALIZED",
    "0102": "begin >offer <counter >terminate =TERMINATED",
    "0103": "begin >offer <terminate =TERMINATED",
    "0104": "begin >agreement <verify >finalize =FINALIZED",
    "0201": "begin >terminate =TERMINATED",
    "0202": "begin <terminate =TERMINATED",
    "0203": "begin >agreement <terminate =TERMINATED",
    "0204": "begin >offer =OFFERED >terminate =TERMINATED",
    "0205": "begin >offer <accept >terminate =TERMINATED",
    "0206": "begin >agreement <verify >terminate =TERMINATED",
    "0301": "begin >!finalize =REQUESTED",
    "0302": "begin >offer =OFFERED >!agreement =OFFERED",
    "0303": "begin >offer >!finalize =OFFERED",
    "0304": "begin >offer <accept >!finalize =ACCEPTED",
    "0305": "begin >offer <accept >!offer =ACCEPTED",
    "0306": "begin >offer <accept >agreement >!finalize =AGREED",
}
TP = {
    "0101": "request <start <terminate =TERMINATED",
    "0102": "request <start <complete =COMPLETED",
    "0103": "request <start <suspend <terminate =TERMINATED",
    "0104": "request <start <suspend <start <complete =COMPLETED",
    "0105": "request <terminate =TERMINATED",
    "0201": "request <start >terminate =TERMINATED",
    "0202": "request <start >complete =COMPLETED",
    "0203": "request <start >suspend =SUSPENDED >terminate =TERMINATED",
    "0204": "request <start >suspend >start =STARTED >complete =COMPLETED",
    "0205": "request >terminate =TERMINATED",
    "0301": "request =REQUESTED >!complete =REQUESTED",
    "0302": "request =REQUESTED >!suspend =REQUESTED",
    "0303": "request <start >suspend >!complete =SUSPENDED",
    "0304": "request <start >terminate >!start =TERMINATED",
    "0305": "request <start >terminate >!suspend =TERMINATED",
    "0306": "request <start >terminate >!complete =TERMINATED",
}
TP_C = {
    "0101": "begin >start =STARTED >terminate =TERMINATED",
    "0102": "begin >start =STARTED >complete =COMPLETED",
    "0103": "begin >start =STARTED >suspend =SUSPENDED >terminate =TERMINATED",
    "0104": "begin >start >suspend =SUSPENDED >start =STARTED >complete =COMPLETED",
    "0105": "begin >terminate =TERMINATED",
    "0201": "begin >start <terminate =TERMINATED",
    "0202": "begin >start <complete =COMPLETED",
    "0203": "begin >start <suspend <terminate =TERMINATED",
    "0204": "begin >start <suspend <start <complete =COMPLETED",
    "0205": "begin <terminate =TERMINATED",
    "0301": "begin =REQUESTED >!complete =REQUESTED",
    "0302": "begin =REQUESTED >!suspend =REQUESTED",
    "0303": "begin >start >suspend >!complete =SUSPENDED",
    "0304": "begin >start >terminate >!start =TERMINATED",
    "0305": "begin >start >terminate >!suspend =TERMINATED",
    "0306": "begin >start >terminate >!complete =TERMINATED",
}
SUITES = {"ACN": CN, "ACNC": CN_C, "ATP": TP, "ATPC": TP_C}
CASES = [(prefix, number) for prefix, suite in SUITES.items() for number in suite]
# name -> type of message, last part of its path
NEGOTIATION = {
    "request": ("ContractRequestMessage", "request"),
    "counter": ("ContractRequestMessage", "request"),
    "offer": ("ContractOfferMessage", "offers"),
    "accept": ("ContractNegotiationEventMessage", "events"),
    "finalize": ("ContractNegotiationEventMessage", "events"),
    "agreement": ("ContractAgreementMessage", "agreement"),
    "verify": ("ContractAgreementVerificationMessage", "agreement/verification"),
    "terminate": ("ContractNegotiationTerminationMessage", "termination"),
}
TRANSFER = {
    "request": ("TransferRequestMessage", "request"),
    "start": ("TransferStartMessage", "start"),
    "suspend": ("TransferSuspensionMessage", "suspension"),
    "complete": ("TransferCompletionMessage", "completion"),
    "terminate": ("TransferTerminationMessage", "termination"),
}


class Broken(AssertionError):
    """The connector did otherwise than the protocol says."""


def ask(method: str, url: str, document: Document | None = None) -> tuple[int, Document, dict[str, str]]:
    """Return status, JSON body and headers of an answer."""
    parts = urlsplit(url)
    line = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=WAIT_S)
    path = parts.path + (f"?{parts.query}" if parts.query else "")
    line.request(method, path, None if document is None else json.dumps(document), {"Content-Type": "application/json"})
    answer = line.getresponse()
    raw = answer.read()
    line.close()
    return answer.status, json.loads(raw) if raw else {}, {name.lower(): value for name, value in answer.getheaders()}


class Schemas:
    """The protocol's schemas; where they, or who reads them, are absent everything passes."""

    def __init__(self) -> None:
        self._by_type: dict[str, Document] = {}
        self._validators: Any = None
        paths = sorted(SCHEMAS.glob("*/*-schema.json"))
        if not paths or find_spec("jsonschema") is None:
            return
        # some files refer to "x-schema.json#definitions/Y": a pointer that lacks its first slash
        texts = [path.read_text(encoding="utf-8").replace("json#definitions/", "json#/definitions/") for path in paths]
        found = [json.loads(text) for text in texts]
        self._by_type = {kind: one for one in found for kind in one.get("definitions", {})}
        referencing, self._validators = import_module("referencing"), import_module("jsonschema")
        pairs = [(one["$id"], referencing.Resource.from_contents(one)) for one in found]
        self._registry = referencing.Registry().with_resources(pairs)

    def require(self, document: Document) -> None:
        """Raise Broken unless a document fits the schema of its type."""
        kind = str(document.get("@type"))
        if why := self.fault(document, {"Catalog": "RootCatalog", "Dataset": "RootDataset"}.get(kind, kind)):
            raise Broken(f"{kind}: {why}")

    def fault(self, document: Document, kind: str) -> str:
        """Return what a schema says against a document; empty where it fits, or no schema is at hand."""
        schema = self._by_type.get(kind)
        if schema is None:
            return ""
        validator = self._validators.Draft201909Validator(schema, registry=self._registry)
        return next((str(error.message) for error in validator.iter_errors(document)), "")


@dataclass
class Session:
    """One sequence and what its callback address hears."""

    prefix: str
    number: str
    callback: str
    schemas: Schemas
    expected: str = ""
    heard: Document = field(default_factory=dict)
    arrived: threading.Event = field(default_factory=threading.Event)
    lock: threading.Lock = field(default_factory=threading.Lock)
    mine: str = ""
    theirs: str = ""
    theirs_at: str = ""  # where messages to the connector go

    @property
    def is_transfer(self) -> bool:
        return self.prefix.startswith("ATP")

    @property
    def is_provider(self) -> bool:
        """Whether we play the provider: the connector is the consumer."""
        return self.prefix.endswith("C")

    @property
    def names(self) -> dict[str, tuple[str, str]]:
        return TRANSFER if self.is_transfer else NEGOTIATION

    @property
    def folder(self) -> str:
        return "transfers" if self.is_transfer else "negotiations"

    def take(self, document: Document, path: str) -> tuple[int, Document]:
        """Answer a push: 404 unless it is what is waited for, at the path of this process."""
        with self.lock:
            if not self.expected or document.get("@type") != self.expected:
                return 404, {}
            if "callbackAddress" not in document and unquote(path.split("/")[3]) != self.mine:
                return 404, {}
            self.schemas.require(document)
            pulls = document["@type"] == "TransferStartMessage" and not self.is_provider
            if pulls and not document.get("dataAddress", {}).get("endpoint"):
                raise Broken("a pull is started without saying from where")
            self.expected, self.heard = "", document
            if "callbackAddress" in document:
                self.theirs, self.theirs_at = document["consumerPid"], document["callbackAddress"]
                self.mine = self.new_pid()
            self.arrived.set()
            return 200, self.process("REQUESTED")

    def process(self, state: str) -> Document:
        kind = "TransferProcess" if self.is_transfer else "ContractNegotiation"
        return {"@context": [CONTEXT], "@type": kind, **self.pids(), "state": state}

    def pids(self) -> Document:
        ours, other = ("providerPid", "consumerPid") if self.is_provider else ("consumerPid", "providerPid")
        return {ours: self.mine, other: self.theirs}

    def new_pid(self) -> str:
        """Return an id of ours: a URN in one half of the sequences, a URL in the other."""
        one = str(uuid.uuid4())
        return f"urn:uuid:{one}" if int(self.number) % 2 else f"https://kit.test/processes/{one}?x=1#\u00e9"

    def expect(self, name: str) -> None:
        with self.lock:
            self.arrived.clear()
            self.expected = self.names[name][0]

    def wait(self, name: str) -> None:
        if not self.arrived.wait(WAIT_S):
            raise Broken(f"{self.prefix}{self.number}: {name} did not come")


@contextmanager
def kit(connector: str) -> Iterator["Kit"]:
    """Serve callbacks and yield a kit for the connector at this address (scheme, host, port)."""
    sessions: dict[str, Session] = {}

    class Handler(BaseHTTPRequestHandler):
        """Hands every push to the session of its path."""

        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            session = None if "//" in self.path else sessions.get(self.path.split("/")[1])
            status, answer = session.take(body, self.path) if session else (404, {})
            raw = json.dumps(answer).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(raw)))
            self.end_headers()
            self.wfile.write(raw)

        def do_GET(self) -> None:
            self.send_error(404)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield Kit(connector, f"http://localhost:{server.server_port}", sessions)
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@dataclass
class Kit:
    """Plays sequences."""

    connector: str
    callback: str
    sessions: dict[str, Session]
    schemas: Schemas = field(default_factory=Schemas)

    def play(self, prefix: str, number: str) -> Session:
        """Play one sequence. Raises Broken at the first difference."""
        name = uuid.uuid4().hex
        slash = "/" * (int(number) % 2)  # peers write their address with and without one at its end
        session = Session(prefix, number, f"{self.callback}/{name}{slash}", self.schemas)
        self.sessions[name] = session
        first, *steps = SUITES[prefix][number].split()
        self.begin(session) if first == "begin" else self.request(session)
        for step, following in zip(steps, [*steps[1:], ""], strict=True):
            if step.startswith("<"):
                session.expect(step[1:]) if not session.arrived.is_set() and not session.expected else None
                session.wait(step[1:])
                session.arrived.clear()
            elif step.startswith("="):
                self.require_state(session, step[1:])
            else:
                if following.startswith("<"):
                    session.expect(following[1:])  # before what calls it forth, as the TCK does
                self.send(session, step[1:].removeprefix("!"), refused=step.startswith(">!"))
        return session

    def request(self, session: Session) -> None:
        """Ask as a consumer."""
        session.mine = session.new_pid()
        status, answer, _ = ask(
            "POST", f"{self.connector}/dsp/{session.folder}/request", self.message(session, "request")
        )
        if status not in {200, 201}:
            raise Broken(f"{session.prefix}{session.number}: the first request was answered {status} {answer}")
        self.schemas.require(answer)
        if answer["state"] != "REQUESTED" or answer["consumerPid"] != session.mine:
            raise Broken(f"the answer to a request shows {answer}")
        session.theirs, session.theirs_at = answer["providerPid"], f"{self.connector}/dsp"

    def begin(self, session: Session) -> None:
        """Make the connector ask as a consumer."""
        session.expect("request")
        what = {"providerId": "TCK_PARTICIPANT", "connectorAddress": session.callback}
        if session.is_transfer:
            what |= {"agreementId": f"{session.prefix}{session.number}", "format": "HttpData-PULL"}
        else:
            what |= {"datasetId": f"{session.prefix}{session.number}", "offerId": "an offer of ours"}
        status, answer, _ = ask("POST", f"{self.connector}/conformance/{session.folder}", what)
        if status != 200:
            raise Broken(f"the conformance endpoint answered {status} {answer}")
        session.wait("request")
        session.arrived.clear()

    def send(self, session: Session, name: str, *, refused: bool) -> None:
        url = f"{session.theirs_at}/{session.folder}/{session.theirs}/{session.names[name][1]}"
        status, answer, _ = ask("POST", url, self.message(session, name))
        if refused and (not 400 <= status < 500 or status == 404):
            raise Broken(f"{session.prefix}{session.number}: {name} was answered {status}, a refusal is asked")
        if refused and not (answer.get("code") and answer.get("reason")):
            raise Broken(f"a refusal without code and reason: {answer}")
        if not refused and not 200 <= status < 300:
            raise Broken(f"{session.prefix}{session.number}: {name} was answered {status} {answer}")
        self.schemas.require(answer)

    def require_state(self, session: Session, state: str) -> None:
        status, answer, _ = ask("GET", f"{session.theirs_at}/{session.folder}/{session.theirs}")
        if status != 200 or answer.get("state") != state:
            raise Broken(f"{session.prefix}{session.number}: {state} is asked, {status} {answer.get('state')} is shown")
        self.schemas.require(answer)

    def message(self, session: Session, name: str) -> Document:
        """Return a message as the TCK words it: with an id of its own, and members the schemas do not name."""
        told: Document = {"@context": [CONTEXT], "@type": session.names[name][0], "@id": str(uuid.uuid4())}
        told |= {key: value for key, value in session.pids().items() if value}
        target = f"{session.prefix}{session.number}"
        policy = {
            "permission": [{"action": "use", "constraint": []}],
            "target": target,
            "assigner": "a",
            "assignee": "b",
        }
        if name in {"request", "counter", "offer"} and not session.is_transfer:
            told["offer"] = {"@type": "Offer", "@id": f"CD123:{target}:456", **policy}
        if name == "agreement":
            stamp = {"timestamp": "2026-11-22T12:00:00.123456789Z"}
            told["agreement"] = {"@type": "Agreement", "@id": str(uuid.uuid4()), **policy, **stamp}
            told["callbackAddress"] = session.callback
        if name == "start" and session.is_provider:
            told["dataAddress"] = {
                "@type": "DataAddress",
                "endpoint": "http://example.com",
                "endpointType": "https://w3id.org/idsa/v4.1/HTTP",
            }
        if name in {"accept", "finalize"}:
            told["eventType"] = {"accept": "ACCEPTED", "finalize": "FINALIZED"}[name]
        if name in {"terminate", "suspend"}:
            told |= {"code": "1", "reason": [{"message": "it is over"}]}
        if name == "request":
            told["callbackAddress"] = session.callback
            told |= {"agreementId": target, "format": "HttpData-PULL"} if session.is_transfer else {}
        return told
