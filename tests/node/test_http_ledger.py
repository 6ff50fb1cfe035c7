"""Log and witness over HTTPS, driven by a client written from the text of c2sp.org/tlog-witness and tlog-tiles alone.

The client below imports nothing of ours: sockets, TLS, hashes, base64 and an Ed25519 verifier.
"""

import base64
import hashlib
import http.client
import socket
import ssl
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from hypothesis import given
from hypothesis import strategies as st
from tests.node.wire_stage import DOMAIN

from hdex.ledger.errors import StoreCorrupt
from hdex.ledger.log import Log
from hdex.ledger.note import Signer, format_checkpoint, sign_note
from hdex.ledger.store_memory import MemoryLogStore, MemoryWitnessStore
from hdex.ledger.witness import Witness
from hdex.node import pki
from hdex.node.config import IdentityFiles
from hdex.node.errors import CannotListen
from hdex.node.wire.http_ledger import Offer, answer_submission, ledger_app
from hdex.node.wire.http_limits import Rate
from hdex.node.wire.http_server import AgedConnection, serve_https

NOW = datetime(2026, 11, 22, 6, tzinfo=UTC)
OWN, OTHER = "hdex/hospital-a/2026", "hdex/hospital-b/2026"
OTHER_SIGNER = Signer(OTHER, bytes(range(32)))
WITNESS_SIGNER = Signer("hospital-a", bytes(range(1, 33)))


@dataclass(frozen=True)
class Answer:
    status: int
    content_type: str
    cache: str
    body: bytes


class StockClient:
    """A log's side of tlog-witness and a reader's side of tlog-tiles, from the specifications' words."""

    def __init__(self, port: int, ca: Path, name: str) -> None:
        self._context = ssl.create_default_context(cafile=str(ca))
        self._port, self._name = port, name

    def ask(self, method: str, path: str, body: bytes | None = None, headers: dict[str, str] | None = None) -> Answer:
        raw = socket.create_connection(("127.0.0.1", self._port), timeout=10)
        connection = http.client.HTTPSConnection(self._name, self._port, timeout=10)
        connection.sock = self._context.wrap_socket(raw, server_hostname=self._name)
        connection.request(method, path, body, headers or {})
        response = connection.getresponse()
        kind, cache = response.getheader("Content-Type", ""), response.getheader("Cache-Control", "")
        answer = Answer(response.status, kind or "", cache or "", response.read())
        connection.close()
        return answer

    def submit(self, old: int, proof: list[bytes], checkpoint: str) -> Answer:
        lines = [f"old {old}", *(base64.b64encode(value).decode() for value in proof), "", checkpoint]
        return self.ask("POST", "/add-checkpoint", "\n".join(lines).encode())

    def root(self, size: int) -> bytes:
        """Return the root over `size` leaves, from the level 0 tiles."""
        hashes: list[bytes] = []
        for first in range(0, size, 256):
            width = min(256, size - first)
            suffix = f".p/{width}" if width < 256 else ""
            data = self.ask("GET", f"/tile/0/{first // 256:03}{suffix}").body
            assert len(data) == 32 * width
            hashes += [data[at : at + 32] for at in range(0, len(data), 32)]
        return mth(hashes)


def mth(hashes: list[bytes]) -> bytes:
    """RFC 6962, section 2.1."""
    if len(hashes) == 1:
        return hashes[0]
    split = 1 << (len(hashes) - 1).bit_length() - 1
    return hashlib.sha256(b"\x01" + mth(hashes[:split]) + mth(hashes[split:])).digest()


def require_cosignature(line: str, checkpoint: str, signer: Signer) -> int:
    """Check one line as c2sp.org/tlog-cosignature says, and return its POSIX time."""
    assert line.endswith("\n")
    dash, name, encoded = line.removesuffix("\n").split(" ")
    raw = base64.b64decode(encoded, validate=True)
    key_id = hashlib.sha256(name.encode() + b"\n\x04" + signer.public_key).digest()[:4]
    assert (dash, name, raw[:4], len(raw)) == ("—", signer.name, key_id, 76)
    time = int.from_bytes(raw[4:12], "big")
    text = checkpoint.partition("\n\n")[0] + "\n"
    message = f"cosignature/v1\ntime {time}\n{text}".encode()
    Ed25519PublicKey.from_public_bytes(signer.public_key).verify(raw[12:], message)
    return time


class Clock:
    """Seconds that stand until they are set."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def __call__(self) -> float:
        return self.seconds


class FullStore(MemoryWitnessStore):
    """A witness's disk on which nothing can be written."""

    full = False

    def advance(self, *arguments: object) -> bool:
        if self.full:
            raise StoreCorrupt("the disk is full")
        return super().advance(*arguments)  # type: ignore[arg-type]  # handed through


@dataclass
class Served:
    """A participant that serves its own log and witnesses another's."""

    own: Log
    other: Log
    client: StockClient
    clock: Clock
    store: FullStore

    def grow(self, entries: int) -> None:
        for _ in range(entries):
            self.other.append(b"entry %d" % self.other.size)

    def submit(self, old: int) -> Answer:
        proof = self.other.consistency(old, self.other.size) if 0 < old <= self.other.size else []
        return self.client.submit(old, proof, self.other.checkpoint())


def log_of(origin: str, signer: Signer, entries: int) -> Log:
    log = Log(MemoryLogStore(), origin, signer)
    for number in range(entries):
        log.append(b"%s %d" % (origin.encode(), number))
    return log


@st.composite
def mutations(draw: st.DrawFn) -> bytes:
    """Draw a good body with one piece cut out, doubled or overwritten."""
    log = log_of(OTHER, OTHER_SIGNER, 3)
    body = ("old 0\n\n" + log.checkpoint()).encode()
    start = draw(st.integers(0, len(body)))
    stop = draw(st.integers(start, min(len(body), start + 40)))
    piece = draw(st.one_of(st.just(b""), st.just(body[start:stop] * 2), st.binary(max_size=40)))
    return body[:start] + piece + body[stop:]


@pytest.fixture(scope="module")
def identity(tmp_path_factory: pytest.TempPathFactory) -> IdentityFiles:
    folder = tmp_path_factory.mktemp("identity")
    authority = pki.init(folder / "ca", DOMAIN)
    certificate, key = pki.issue(authority, "hospital/hospital-a")
    (folder / "node.pem").write_bytes(certificate)
    (folder / "node.key").write_bytes(key)
    absent = folder / "absent"
    return IdentityFiles(folder / "node.pem", folder / "node.key", folder / "ca/ca.pem", absent, absent, absent, absent)


@pytest.fixture(scope="module")
def own() -> Log:
    return log_of(OWN, Signer(OWN, bytes(32)), 600)


@pytest.fixture
def served(identity: IdentityFiles, own: Log) -> Iterator[Served]:
    clock, store = Clock(), FullStore()
    witness = Witness(WITNESS_SIGNER, store, logs={OTHER: OTHER_SIGNER.public_key}, clock=lambda: NOW)
    offer = Offer(own, own.checkpoint, witness, Rate(1, 30), Rate(1, 12), clock)
    serving = serve_https(ledger_app(offer), ("127.0.0.1", 0), identity)
    client = StockClient(serving.port, identity.ca, f"hospital-a.{DOMAIN}")
    yield Served(own, log_of(OTHER, OTHER_SIGNER, 0), client, clock, store)
    serving.stop()


def test_a_stock_client_gets_each_growth_cosigned(served: Served) -> None:
    old = 0
    for entries in (3, 1, 60, 0):
        served.grow(entries)
        answer = served.submit(old)
        assert (answer.status, answer.content_type) == (200, "text/plain; charset=utf-8")
        assert require_cosignature(answer.body.decode(), served.other.checkpoint(), WITNESS_SIGNER) == NOW.timestamp()
        old = served.other.size


def test_a_wrong_old_size_is_told_where_the_witness_stands_byte_for_byte(served: Served) -> None:
    served.grow(5)
    served.submit(0)
    served.grow(2)
    for old in (0, 4, 6, 7):
        answer = served.submit(old)
        assert (answer.status, answer.content_type, answer.body) == (409, "text/x.tlog.size", b"5\n")
    assert served.submit(5).status == 200


def test_a_client_that_knows_nothing_learns_where_the_witness_stands(served: Served) -> None:
    served.grow(4)
    assert served.submit(0).status == 200
    told = served.submit(0)
    assert served.submit(int(told.body)).status == 200


def test_refusals_carry_the_published_status(served: Served) -> None:
    served.grow(3)
    served.submit(0)
    served.grow(2)
    good = served.other.checkpoint()
    stranger = sign_note(format_checkpoint("x", 5, bytes(32)), Signer("x", bytes(32)))
    forged = sign_note(format_checkpoint(OTHER, 5, bytes(32)), Signer(OTHER, bytes(32)))
    second_root = sign_note(format_checkpoint(OTHER, 3, bytes(32)), OTHER_SIGNER)
    proof = served.other.consistency(3, 5)
    statuses = {
        "unknown origin": served.client.submit(3, proof, stranger).status,
        "unknown key": served.client.submit(3, proof, forged).status,
        "old beyond new": served.client.submit(6, [], good).status,
        "no proof": served.client.submit(3, [], good).status,
        "wrong proof": served.client.submit(3, [bytes(32)] * len(proof), good).status,
        "proof too long": served.client.submit(3, [*proof, bytes(32)], good).status,
        "second root": served.client.submit(3, [], second_root).status,
        "no note": served.client.submit(3, proof, "nothing").status,
    }
    assert statuses == {
        "unknown origin": 404, "unknown key": 403, "old beyond new": 400, "no proof": 422, "wrong proof": 422,
        "proof too long": 422, "second root": 409, "no note": 400,
    }  # fmt: skip
    assert served.submit(3).status == 200


def test_a_second_root_at_a_wrong_old_size_is_told_the_size_first(served: Served) -> None:
    served.grow(3)
    served.submit(0)
    second_root = sign_note(format_checkpoint(OTHER, 3, bytes(32)), OTHER_SIGNER)
    assert served.client.submit(0, [], second_root).body == b"3\n"
    assert served.client.submit(3, [], second_root).content_type.startswith("text/plain")


def test_the_log_is_read_back_from_its_tiles_and_checked_against_its_checkpoint(served: Served) -> None:
    checkpoint = served.client.ask("GET", "/checkpoint")
    assert (checkpoint.status, checkpoint.content_type) == (200, "text/plain; charset=utf-8")
    assert checkpoint.cache == "no-cache"
    origin, size, root = checkpoint.body.decode().split("\n")[:3]
    assert (origin, int(size)) == (OWN, 600)
    assert served.client.root(600) == base64.b64decode(root)
    tile = served.client.ask("GET", "/tile/1/000.p/2")
    assert (tile.status, tile.content_type) == (200, "application/octet-stream")
    assert "immutable" in tile.cache
    first = served.client.ask("GET", "/tile/0/000").body
    assert tile.body[:32] == mth([first[at : at + 32] for at in range(0, 8192, 32)])


NOT_THERE = (
    "/tile/0/002 /tile/0/002.p/89 /tile/1/000 /tile/2/000.p/1 /tile/entries/000 /tile/0/2 / /tile/0/..%2f000 "
    "/add-checkpoint/ /openapi.json"
)


def test_what_is_not_there_is_not_found_and_entries_are_never_there(served: Served) -> None:
    answers = {path: served.client.ask("GET", path) for path in NOT_THERE.split()}
    assert {path: answer.status for path, answer in answers.items() if answer.status != 404} == {}
    assert not any("immutable" in answer.cache for answer in answers.values())


def test_the_other_verbs_are_refused(served: Served) -> None:
    assert served.client.ask("GET", "/add-checkpoint").status == 405
    assert served.client.ask("POST", "/checkpoint", b"x").status == 405


def test_a_body_beyond_the_bound_is_refused_unread(served: Served) -> None:
    assert served.client.ask("POST", "/add-checkpoint", b"x" * 100_000).status == 413


def test_who_asks_too_often_waits(served: Served) -> None:
    served.grow(1)
    statuses = [served.submit(0).status for _ in range(13)]
    assert statuses.count(429) == 1
    assert served.client.ask("GET", "/checkpoint").status == 200  # reading has its own bucket
    served.clock.seconds += 1
    assert [served.submit(1).status for _ in range(2)] == [200, 429]


def test_a_witness_that_cannot_remember_does_not_cosign(served: Served) -> None:
    served.grow(2)
    served.store.full = True
    assert served.submit(0).status == 503
    served.store.full = False
    assert served.submit(0).status == 200


def test_without_tls_or_with_an_old_one_nobody_is_answered(served: Served) -> None:
    port = served.client._port
    with socket.create_connection(("127.0.0.1", port), timeout=10) as raw:
        raw.sendall(b"GET /checkpoint HTTP/1.1\r\nHost: x\r\n\r\n")
        assert b"hdex/" not in raw.makefile("rb").read()
    old = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    old.check_hostname, old.verify_mode = False, ssl.CERT_NONE
    old.maximum_version = ssl.TLSVersion.TLSv1_2
    with pytest.raises(OSError), socket.create_connection(("127.0.0.1", port), timeout=10) as raw:
        old.wrap_socket(raw)


def heard(connection: ssl.SSLSocket, said: bytes) -> bytes:
    """Return what the server says before it closes; nothing when it was faster than we."""
    try:
        connection.sendall(said)
        return connection.recv(100)
    except ConnectionError:
        return b""


class Impatient(AgedConnection):
    age_s = 0.2


@pytest.mark.parametrize("said", [b"", b"POST /add-checkpoint HTTP/1.1\r\nHost: x\r\nX-Slow: "])
def test_a_client_that_says_nothing_or_never_ends_is_let_go(identity: IdentityFiles, own: Log, said: bytes) -> None:
    witness = Witness(WITNESS_SIGNER, MemoryWitnessStore(), logs={}, clock=lambda: NOW)
    app = ledger_app(Offer(own, own.checkpoint, witness))
    serving = serve_https(app, ("127.0.0.1", 0), identity, connection=Impatient)
    context = ssl.create_default_context(cafile=str(identity.ca))
    with socket.create_connection(("127.0.0.1", serving.port), timeout=20) as raw:
        wrapped = context.wrap_socket(raw, server_hostname=f"hospital-a.{DOMAIN}")
        assert heard(wrapped, said) == b""  # closed by the server
    serving.stop()


def test_a_forged_forwarding_header_does_not_lift_the_limit(identity: IdentityFiles, own: Log) -> None:
    witness = Witness(WITNESS_SIGNER, MemoryWitnessStore(), logs={}, clock=lambda: NOW)
    app = ledger_app(Offer(own, own.checkpoint, witness, reads=Rate(1, 2), clock=Clock()))
    serving = serve_https(app, ("127.0.0.1", 0), identity)
    client = StockClient(serving.port, identity.ca, f"hospital-a.{DOMAIN}")
    forged = [{"X-Forwarded-For": f"10.0.0.{number}"} for number in range(3)]
    assert [client.ask("GET", "/checkpoint", headers=one).status for one in forged] == [200, 200, 429]
    serving.stop()


@given(st.one_of(st.binary(max_size=300), st.text(max_size=300).map(str.encode), mutations()))
def test_no_body_is_answered_but_with_a_published_status(body: bytes) -> None:
    witness = Witness(WITNESS_SIGNER, MemoryWitnessStore(), logs={OTHER: OTHER_SIGNER.public_key}, clock=lambda: NOW)
    assert answer_submission(witness, body).status_code in {200, 400, 403, 404, 409, 422}


def test_a_taken_port_is_named(identity: IdentityFiles, served: Served) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken, pytest.raises(CannotListen, match="another process"):
        serve_https(None, ("127.0.0.1", taken.getsockname()[1]), identity)
