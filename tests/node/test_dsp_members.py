"""The protocol among members over real TLS: who is let in, who is not, and a contract from end to end."""

import http.client
import json
import socket
import ssl
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from tests.catalog.samples import sample_product
from tests.node.access_stage import vetted_record
from tests.node.consortium import consortium, hdex, hospital, printed

from hdex.catalog.contract import State
from hdex.catalog.lifecycle import ProductState
from hdex.catalog.terms import AccessRequest
from hdex.ledger.event import parse
from hdex.node import pki
from hdex.node.answer_rules import AnswerRule, Answers
from hdex.node.buyer import Wish
from hdex.node.compose.client import knowing, organisation_caller
from hdex.node.compose.dealing import dealing, listen_for_desk
from hdex.node.compose.hospital import HospitalParts
from hdex.node.compose.standing import Standing, now
from hdex.node.config import BuyerConfig, Dataspace, HospitalConfig, dump, load
from hdex.node.demo.setting import APPLICANT, BUYER, TRUST_DOMAIN, Setting
from hdex.node.demo.supervisor import free_ports
from hdex.node.dsp.connector import new_pid
from hdex.node.dsp.process import Kind
from hdex.node.hospital.products import Held
from hdex.node.identity import Identity, server_name
from hdex.node.signed import sign

HOSPITAL = "hospital-a"
ROLE = "privacy_officer"
OFFICER = Identity(f"spiffe://{TRUST_DOMAIN}/hospital/{HOSPITAL}/{ROLE}", "hospital", HOSPITAL, ROLE)
WAIT_S = 60.0


@dataclass
class Served:
    """A hospital's connector, over its own ground, without the rest of its node."""

    setting: Setting
    standing: Standing
    parts: HospitalParts
    port: int

    @property
    def address(self) -> str:
        return f"https://localhost:{self.port}/dsp"

    def ask(self, desk: Path | None, method: str, path: str, body: object = None) -> tuple[int, dict[str, Any]]:
        """Ask with the certificate in a folder, or with none."""
        context = ssl.create_default_context(cafile=str(self.standing.config.identity.ca))
        if desk is not None:
            (certificate,) = desk.glob("*.pem")
            context.load_cert_chain(certificate, certificate.with_suffix(".key"))
        line = http.client.HTTPConnection("localhost", self.port, timeout=WAIT_S)
        raw = socket.create_connection(("127.0.0.1", self.port), timeout=WAIT_S)
        line.sock = context.wrap_socket(raw, server_hostname=server_name(HOSPITAL, TRUST_DOMAIN))
        line.request(method, path, None if body is None else json.dumps(body))
        answer = line.getresponse()
        found = answer.status, json.loads(answer.read())
        line.close()
        return found

    def refusals(self) -> list[tuple[str, str]]:
        log = self.standing.log
        events = [parse(leaf) for leaf in log.entries(0, log.size)]
        return [(event.action.value, str(event.reason)) for event in events if event.decision == "deny"]


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    setting = consortium(tmp_path_factory.mktemp("consortium"))
    (port,) = free_ports(1)
    dsp = Dataspace(port, f"https://localhost:{port}", private_hosts=("localhost",))
    config = replace(hospital(setting), dsp=dsp, data_dir=setting.folder / "dsp-data")
    standing = Standing(config)
    vetted = vetted_record(BUYER, HOSPITAL, "CN", now())
    standing.documents.put("vetting", vetted.digest, vetted.document())
    parts = HospitalParts(standing, config)
    product = sample_product()
    manifest = sign("manifest", product.document(), HOSPITAL, setting.keys[HOSPITAL].secret("sign"))
    parts.records.products.keep(Held(product, manifest, "carotid-stents", ProductState.LISTED))
    parts.contracts.serve_dsp()
    yield Served(setting, standing, parts, port)
    standing.stop.set()
    standing.run()


def buyer_config(served: Served, name: str = BUYER) -> BuyerConfig:
    (port,) = free_ports(1)
    dsp = Dataspace(port, f"https://localhost:{port}", private_hosts=("localhost",))
    return replace(load(served.setting.config_file(name), BuyerConfig), dsp=dsp)


def test_a_buyer_and_a_hospital_come_to_a_contract(served: Served) -> None:
    product, pid = sample_product(), new_pid()
    access = AccessRequest(purpose="DUO:0000007", recipient=BUYER, at="2026-11-22T12:00:00.000Z", disease="I65.2")
    wish = Wish(product.id, "sealed_file", access)
    config = buyer_config(served)
    with dealing(config, HOSPITAL, served.address, wait_s=WAIT_S) as one, ThreadPoolExecutor(1) as pool:
        asked = one.buyer.request(wish, contract_id=pid)
        assert (asked.state, asked.rule) == (State.REQUESTED, "approval.pending")
        decided = pool.submit(served.parts.contracts.negotiations.decide, pid, OFFICER, approved=True)
        assert one.market.awaited(pid).state == State.AGREED
        assert decided.result(WAIT_S).state == State.AGREED
        final = one.buyer.accept(pid)
    record = next(record for record in served.parts.contracts.negotiations.all() if record.contract_id == pid)
    assert (final.state, record.state, record.grant_id) == (State.FINALIZED, State.FINALIZED, final.grant_id)
    with dealing(config, HOSPITAL, served.address, wait_s=0) as later:  # kept: it may be asked later
        assert later.buyer.status(pid).state == State.FINALIZED
    assert served.parts.contracts.processes is not None
    process = served.parts.contracts.processes.opened_by(Kind.NEGOTIATION, BUYER, pid)
    assert process is not None
    path = f"/dsp/negotiations/{process.pid}"
    assert served.ask(served.setting.home(BUYER), "GET", path)[1]["state"] == "FINALIZED"
    assert served.ask(served.setting.home(APPLICANT), "GET", path)[0] == 404


def test_the_command_negotiates_and_goes_on_where_it_stopped(served: Served) -> None:
    config = buyer_config(served)
    path = served.setting.home(BUYER) / "negotiating.toml"
    path.write_text(dump(replace(config, data_dir=Path("negotiating"))), encoding="utf-8")
    asked = ["buy", "negotiate", sample_product().id, "--provider", HOSPITAL, "--connector", served.address]
    asked += ["--purpose", "DUO:0000007", "--disease", "I65.2", "--config", str(path), "--json"]
    first = printed(hdex(*asked, "--wait-s", "0"))
    assert (first["state"], first["rule"]) == ("REQUESTED", "approval.pending")
    served.parts.contracts.negotiations.decide(first["contract"], OFFICER, approved=True)
    again = printed(hdex(*asked, "--wait-s", "40", "--contract", first["contract"]))
    assert (again["state"], again["contract"]) == ("FINALIZED", first["contract"])
    other = hdex(*asked[:6], "https://localhost:1/dsp", *asked[7:], "--wait-s", "0")
    assert "Traceback" not in other.stderr
    assert other.returncode == 3  # the outside world


def test_a_desk_that_listens_hears_an_offer_of_a_rule_accepts_it_and_signs(served: Served, tmp_path: Path) -> None:
    plain = replace(sample_product().terms, modifiers=(), needs_approval=())
    product = replace(sample_product(id="hospital-a.ruled"), terms=plain)
    manifest = sign("manifest", product.document(), HOSPITAL, served.setting.keys[HOSPITAL].secret("sign"))
    served.parts.records.products.keep(Held(product, manifest, "carotid-stents", ProductState.LISTED))
    rule = AnswerRule("six", "offer", products=(product.id,), rounds=6, reason="six are enough", sign_accepted=True)
    path = tmp_path / "ruled.toml"
    path.write_text(dump(replace(hospital(served.setting), answers=Answers((rule,)))), encoding="utf-8")
    served.parts.contracts.answers._answers = load(path, HospitalConfig).answers
    config, stop = buyer_config(served), threading.Event()
    who = organisation_caller(config)
    bargains = listen_for_desk(config, who, stop)
    assert bargains is not None
    line = bargains._line
    access = AccessRequest(purpose="DUO:0000007", recipient=BUYER, at="2026-11-22T12:00:00.000Z", disease="I65.2")
    pid = bargains.request(Wish(product.id, "federated", access, max_rounds=12), HOSPITAL, served.address).contract_id

    def heard(state: State) -> bool:
        with line.desk.moved:
            return line.desk.moved.wait_for(lambda: line.connector.process(pid).state == state, WAIT_S)

    assert heard(State.OFFERED)
    assert bargains.address(HOSPITAL) == served.address
    bargains.accept(pid)
    assert heard(State.AGREED)
    bargains.sign(pid)
    assert heard(State.FINALIZED)
    stop.set()
    assert knowing(config, who).status(pid).state == State.FINALIZED
    assert served.parts.contracts.negotiations.get(pid).asked["max_rounds"] == 6
    assert listen_for_desk(replace(config, dsp=None), who, stop) is None


def test_people_of_a_member_do_not_speak_for_it(served: Served) -> None:
    desk = served.setting.home(HOSPITAL) / "staff" / "privacy_officer"
    status, answer = served.ask(desk, "GET", "/dsp/negotiations/urn:uuid:1")
    assert (status, answer["code"]) == (401, "identity-refused")
    assert served.refusals()[-1] == ("connection.refuse", "identity-refused")


def test_without_a_certificate_there_is_no_connection(served: Served) -> None:
    with pytest.raises((ssl.SSLError, ConnectionError, http.client.RemoteDisconnected)):
        served.ask(None, "GET", "/.well-known/dspace-version")


def test_a_foreign_or_revoked_certificate_is_refused(served: Served, tmp_path: Path) -> None:
    foreign = pki.init(tmp_path / "ca", TRUST_DOMAIN)
    home = tmp_path / "desk"
    home.mkdir()
    write(home, *pki.issue(foreign, f"buyer/{BUYER}"))
    with pytest.raises((ssl.SSLError, ConnectionError, http.client.RemoteDisconnected)):
        served.ask(home, "GET", "/.well-known/dspace-version")
    certificate, key = pki.issue(served.setting.authority, f"buyer/{BUYER}")
    write(home, certificate, key)
    assert served.ask(home, "GET", "/dsp/negotiations/urn:uuid:1")[0] == 404
    pki.revoke(served.setting.authority, x509.load_pem_x509_certificate(certificate).serial_number)
    assert served.ask(home, "GET", "/dsp/negotiations/urn:uuid:1")[0] == 401


def test_a_member_that_the_directory_does_not_list_is_refused(served: Served, tmp_path: Path) -> None:
    write(tmp_path, *pki.issue(served.setting.authority, "buyer/buyer-unlisted"))
    assert served.ask(tmp_path, "GET", "/dsp/catalog/datasets/x")[0] == 401


def write(home: Path, certificate: bytes, key: bytes) -> None:
    (home / "node.pem").write_bytes(certificate)
    (home / "node.key").write_bytes(key)
