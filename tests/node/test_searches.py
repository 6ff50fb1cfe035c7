"""Saved searches: who keeps them, what they match, how notices go out."""

import json
import ssl
import threading
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from tests.catalog.samples import federated_only, sample_product
from tests.node.market_stage import BUYER, Market, person

from hdex.catalog.errors import DocumentInvalid
from hdex.catalog.index import Catalogue
from hdex.catalog.index_memory import MemoryIndex
from hdex.catalog.lifecycle import ProductState
from hdex.catalog.ports import Query
from hdex.node.errors import AccessDenied, LimitExceeded, NotFound, PeerUnavailable, RequestInvalid
from hdex.node.exchange import notices
from hdex.node.exchange.notices import PAUSES, Courier, Outbox, signature
from hdex.node.exchange.searches import MOST_SEARCHES, Searches
from hdex.node.wire.webhooks import Webhooks

BASE = "https://exchange.hdex.test"
HOOK = "https://hooks.buyer.test/new"


class Counter:
    """A webhook that answers with these statuses in turn, then 200; None is no answer."""

    def __init__(self, *statuses: int | None) -> None:
        self.statuses = list(statuses)
        self.told: list[tuple[str, bytes, dict[str, str]]] = []

    def check(self, url: str) -> None:
        if not url.startswith("https://hooks."):
            raise AccessDenied("webhook.host")

    def __call__(self, url: str, body: bytes, headers: dict[str, str]) -> int:
        self.told.append((url, body, headers))
        status = self.statuses.pop(0) if self.statuses else 200
        if status is None:
            raise PeerUnavailable("gone")
        return status


class Stage:
    """Searches over a catalogue in memory, a clock that the test sets, and a counter as the webhook."""

    def __init__(self, folder: Path, *statuses: int | None) -> None:
        self.ground = Market(folder).exchange
        self.now = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
        self.catalogue = Catalogue(MemoryIndex())
        self.counter = Counter(*statuses)
        self.restart()

    def restart(self) -> None:
        """Begin again over the same documents, as after a kill."""
        documents, recorder = self.ground.documents, self.ground.recorder
        self.outbox = Outbox(documents, self.clock)
        self.searches = Searches(
            self.catalogue, documents, recorder=recorder, outbox=self.outbox, door=self.counter,
            key=b"k" * 32, clock=self.clock, base=BASE,
        )  # fmt: skip
        self.courier = Courier(
            self.outbox, self.counter, settle=self.searches.settle, key=self.searches.webhook_key,
            recorder=recorder, me=person("exchange"), clock=self.clock,
        )  # fmt: skip

    def clock(self) -> datetime:
        return self.now

    def publish(self, **given: Any) -> None:
        product = sample_product(**given)
        self.searches.expect(product.id)
        self.catalogue.publish(product.document(), b"")
        self.searches.listed(product.id)

    def save(self, text: str = "carotid", webhook: str = "", who: str = BUYER, **given: Any) -> str:
        return self.searches.save(Query(text=text, **given), text or "all", webhook, person(who))[0].search.id

    def matched(self, who: str = BUYER) -> list[list[str]]:
        found = self.searches.mine(person(who))
        return [[f"{match.product}@{match.version}" for match in told.search.matches] for told in found]


@pytest.fixture
def stage(tmp_path: Path) -> Stage:
    return Stage(tmp_path)


def test_a_search_matches_each_new_version_once(stage: Stage) -> None:
    stage.save()
    stage.save(level=3)
    stage.publish()
    stage.courier.round()
    stage.publish()
    stage.courier.round()
    stage.publish(version="1.1.0")
    stage.restart()
    stage.courier.round()
    stage.courier.round()
    told = "hospital-a.carotid-stents"
    assert stage.matched() == [[f"{told}@1.1.0", f"{told}@1.0.0"], []]


def test_what_is_listed_while_nobody_looks_is_matched_after_a_restart(stage: Stage) -> None:
    stage.save("hiv", webhook=HOOK)
    product = federated_only()
    stage.searches.expect(product.id)
    stage.restart()  # killed before it was listed: nothing is told
    stage.courier.round()
    assert stage.matched() == [[]]
    stage.searches.expect(product.id)
    stage.catalogue.publish(product.document(), b"")
    stage.restart()
    assert stage.courier.round() == 1
    assert stage.matched() == [["hospital-c.hiv-stents@1.0.0"]]


def test_a_suspended_product_is_told_when_it_is_listed_again(stage: Stage) -> None:
    stage.save()
    stage.publish()
    stage.catalogue.mark("hospital-a.carotid-stents", "1.0.0", ProductState.SUSPENDED)
    stage.courier.round()
    assert stage.matched() == [[]]
    stage.searches.expect("hospital-a.carotid-stents")
    stage.courier.round()  # too early: it is on its way
    stage.catalogue.mark("hospital-a.carotid-stents", "1.0.0", ProductState.LISTED)
    stage.searches.listed("hospital-a.carotid-stents")
    stage.courier.round()
    assert stage.matched() == [["hospital-a.carotid-stents@1.0.0"]]


def test_a_search_is_its_organisations_alone(stage: Stage) -> None:
    kept = stage.save()
    assert stage.matched("hospital-a") == []
    with pytest.raises(NotFound):
        stage.searches.remove(kept, person("hospital-a"))
    stage.searches.remove(kept, person(BUYER))
    assert stage.matched() == []
    with pytest.raises(NotFound):
        stage.searches.remove(kept, person(BUYER))


def test_searches_of_one_organisation_are_bounded(stage: Stage) -> None:
    for number in range(MOST_SEARCHES):
        stage.save(f"carotid {number}")
    with pytest.raises(LimitExceeded, match="remove one"):
        stage.save()
    stage.save(who="hospital-a")


@pytest.mark.parametrize(
    ("text", "name", "given"),
    [
        ("x" * 10**6, "n", {}),
        ("!!!", "n", {}),
        ("x", "", {}),
        ("x", "n" * 81, {}),
        ("x", "a\nb", {}),
        ("x", "\u202eevil", {}),
        ("x", "n", {"provider": "\x00"}),
        ("x", "n", {"purpose": "p" * 81}),
    ],
)
def test_a_search_that_cannot_be_kept_is_refused(stage: Stage, text: str, name: str, given: dict[str, str]) -> None:
    with pytest.raises(DocumentInvalid):
        stage.searches.save(Query(text=text, **given), name, "", person(BUYER))  # type: ignore[arg-type]
    assert stage.matched() == []


def test_every_step_is_remembered(stage: Stage) -> None:
    kept = stage.save(webhook=HOOK)
    stage.publish()
    stage.courier.round()
    stage.searches.mine(person(BUYER))
    stage.searches.remove(kept, person(BUYER))
    with pytest.raises(AccessDenied):
        stage.save(webhook="https://elsewhere.test/")
    told = [(event.action.value, str(event.decision)) for event in stage.ground.events()]
    assert told == [
        ("search.save", "allow"),
        ("search.notify", "allow"),
        ("search.read", "allow"),
        ("search.remove", "allow"),
        ("search.save", "deny"),
    ]


def test_a_notice_is_signed_over_time_and_body(stage: Stage) -> None:
    told, secret = stage.searches.save(Query(text="carotid"), "stents", HOOK, person(BUYER))
    stage.publish()
    assert stage.courier.round() == 1
    ((url, body, headers),) = stage.counter.told
    assert url == HOOK
    assert headers["hdex-signature"] == signature(bytes.fromhex(secret), headers["hdex-timestamp"], body)
    assert headers["hdex-timestamp"] == str(int(stage.now.timestamp()))
    notice = json.loads(body)
    assert (notice["product"], notice["search"]) == ("hospital-a.carotid-stents", told.search.id)
    assert notice["link"] == f"{BASE}/products/hospital-a.carotid-stents"


def test_the_signature_is_hmac_sha256_as_published() -> None:
    """RFC 4231, test case 7: its text has a full stop, so that time and body can be cut from it there."""
    text = b"This is a test using a larger than block-size key and a larger than block-size data. The key needs to be "
    text += b"hashed before being used by the HMAC algorithm."
    time, _, body = text.partition(b".")
    expected = "9b09ffa71b942fcb27635fbcd5b0e944bfdc63644f0713938a7f51535c3a35e2"
    assert signature(b"\xaa" * 131, time.decode(), body) == f"v1={expected}"


def test_a_webhook_that_fails_is_tried_again_with_growing_pauses_and_survives_a_restart(tmp_path: Path) -> None:
    stage = Stage(tmp_path, 500, None, 301)
    stage.save(webhook=HOOK)
    stage.publish()
    assert stage.courier.round() == 0
    for pause in PAUSES[:3]:
        stage.restart()
        stage.now += pause - timedelta(seconds=1)
        before = len(stage.counter.told)
        assert stage.courier.round() == 0
        assert len(stage.counter.told) == before
        stage.now += timedelta(seconds=1)
        stage.courier.round()
    assert len(stage.counter.told) == 4
    assert len({headers["hdex-delivery"] for _, _, headers in stage.counter.told}) == 1
    assert stage.outbox.next_due() is None


def test_a_webhook_that_never_answers_is_given_up_and_said(tmp_path: Path) -> None:
    stage = Stage(tmp_path, *[None] * 100)
    stage.save(webhook=HOOK)
    stage.publish()
    for pause in (timedelta(), *PAUSES, timedelta(days=9)):
        stage.now += pause
        stage.courier.round()
    (told,) = stage.searches.mine(person(BUYER))
    assert (told.waiting, told.given_up) == (0, 1)
    assert len(stage.counter.told) == len(PAUSES) + 1


def test_a_full_outbox_gives_up_at_once_and_the_feed_still_tells(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(notices, "MOST_WAITING", 1)
    stage.save(webhook=HOOK)
    stage.publish()
    stage.publish(id="a.second")
    stage.searches.settle()
    (told,) = stage.searches.mine(person(BUYER))
    assert (told.waiting, told.given_up, len(told.search.matches)) == (1, 1, 2)


def test_a_removed_search_sends_nothing_more(tmp_path: Path) -> None:
    stage = Stage(tmp_path, 500)
    kept = stage.save(webhook=HOOK)
    stage.publish()
    stage.courier.round()
    stage.searches.remove(kept, person(BUYER))
    stage.now += timedelta(days=1)
    assert stage.courier.round() == 0
    assert len(stage.counter.told) == 1


def test_a_feed_is_read_by_its_address_only(stage: Stage) -> None:
    stage.save()
    stage.publish()
    stage.courier.round()
    (told,) = stage.searches.mine(person(BUYER))
    token = told.feed.removeprefix("/feeds/")
    feed = stage.searches.feed(token)
    assert feed is not None
    assert b"hospital-a.carotid-stents" in feed.body
    other = "A" if token[-2] != "A" else "B"
    for wrong in ("", told.search.id, f"{told.search.id}.", token[:-2] + other + token[-1], token + "=", "é", "x.y"):
        assert stage.searches.feed(wrong) is None, wrong
    stage.searches.remove(told.search.id, person(BUYER))
    assert stage.searches.feed(token) is None


@pytest.mark.parametrize(
    ("url", "error"),
    [
        ("http://localhost/", RequestInvalid),
        ("https://user:secret@localhost/", RequestInvalid),
        ("https://localhost:0/", RequestInvalid),
        ("https://localhost:99999/", RequestInvalid),
        ("https:///path", RequestInvalid),
        ("https://localhost/#part", RequestInvalid),
        ("https://localhost/a b", RequestInvalid),
        ("https://localhost/" + "x" * 500, RequestInvalid),
        ("https://löcalhost/", RequestInvalid),
        ("file:///etc/passwd", RequestInvalid),
        ("https://[::1", RequestInvalid),
        ("https://elsewhere.test/", AccessDenied),  # not named by the operator
        ("https://localhost/", AccessDenied),  # named, and inwards
    ],
)
def test_a_webhook_that_is_odd_or_not_named_is_refused(url: str, error: type[Exception]) -> None:
    with pytest.raises(error) as caught:
        Webhooks(frozenset({"localhost"})).check(url)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    "address",
    [
        *("127.0.0.1", "::1", "::ffff:127.0.0.1", "10.0.0.1", "172.16.0.1", "192.168.0.1", "169.254.169.254"),
        *("fd00::1", "fe80::1%eth0", "100.64.0.1", "0.0.0.0", "::", "224.0.0.1", "ff02::1", "255.255.255.255"),
        *("64:ff9b:1::1", "2002:7f00:1::", "64:ff9b::7f00:1", "::7f00:1", "feff::1", "240.0.0.1"),
    ],
)
def test_a_name_that_leads_inwards_is_refused_even_beside_a_public_address(address: str) -> None:
    for found in ([address], ["93.184.215.14", address]):
        with pytest.raises(AccessDenied, match="inwards"):
            Webhooks(frozenset({"hooks.test"}), look_up=lambda _host, _port, found=found: found).check(  # type: ignore[misc]
                "https://hooks.test/"
            )
    Webhooks(frozenset({"hooks.test"}), look_up=lambda _host, _port: ["93.184.215.14", "2606:2800:21f::1"]).check(
        "https://hooks.test/"
    )


@pytest.fixture
def https(tmp_path: Path) -> Iterator[tuple[int, ssl.SSLContext, list[tuple[bytes, str | None]]]]:
    """A server on loopback with a certificate for localhost: its port, whom to trust, and what it was told."""
    key, names = ec.generate_private_key(ec.SECP256R1()), x509.Name.from_rfc4514_string("CN=localhost")
    now = datetime.now(UTC)
    built = (
        x509.CertificateBuilder().subject_name(names).issuer_name(names).public_key(key.public_key()).serial_number(1)
        .not_valid_before(now - timedelta(hours=1)).not_valid_after(now + timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )  # fmt: skip
    certificate, secret = tmp_path / "c.pem", tmp_path / "k.pem"
    certificate.write_bytes(built.public_bytes(serialization.Encoding.PEM))
    plain = (serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    secret.write_bytes(key.private_bytes(*plain))
    told: list[tuple[bytes, str | None]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            told.append((self.rfile.read(int(self.headers["content-length"])), self.headers["hdex-signature"]))
            if self.path == "/drip":
                self.drip()
                return
            self.send_response(302 if self.path == "/away" else 204)
            self.send_header("location", "https://localhost:1/")
            self.end_headers()

        def drip(self) -> None:
            """Send a first line that does not end, for ten seconds."""
            try:
                self.wfile.write(b"HTTP/1.1 ")
                for _ in range(200):
                    self.wfile.write(b"x")
                    threading.Event().wait(0.05)
            except OSError:
                told.append((b"hung up", None))

        def log_message(self, format: str, *args: object) -> None:
            return None

    server = HTTPServer(("127.0.0.1", 0), Handler)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, secret)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server.server_port, ssl.create_default_context(cafile=str(certificate)), told
    server.shutdown()
    server.server_close()


def test_a_notice_goes_over_tls_to_the_address_that_was_checked(
    https: tuple[int, ssl.SSLContext, list[tuple[bytes, str | None]]],
) -> None:
    port, context, told = https
    webhooks = Webhooks(frozenset({"localhost", "127.0.0.1"}), loopback=True, context=context)
    assert webhooks(f"https://localhost:{port}/new?x=1", b"body", {"hdex-signature": "v1=00"}) == 204
    assert webhooks(f"https://localhost:{port}/away", b"body", {}) == 302  # followed nowhere
    assert told == [(b"body", "v1=00"), (b"body", None)]
    with pytest.raises(PeerUnavailable):  # who drips bytes keeps others' notices back no longer than that
        replace(webhooks, whole_s=0.3)(f"https://localhost:{port}/drip", b"body", {})
    assert told.pop(2) == (b"body", None)
    with pytest.raises(PeerUnavailable):  # the certificate is for another name
        webhooks(f"https://127.0.0.1:{port}/", b"body", {})
    with pytest.raises(PeerUnavailable):  # and of nobody whom the system knows
        replace(webhooks, context=None)(f"https://localhost:{port}/", b"body", {})
    assert told[2:] == [(b"hung up", None)]
