"""Acts between the hospitals and those who ask: identity, browsing, contracts, delivery, studies, withdrawal."""

import time
import urllib.request
from datetime import UTC, datetime, timedelta
from http.client import HTTPException
from typing import Any

from hdex.catalog.contract import State
from hdex.catalog.terms import AccessRequest
from hdex.ledger.event import format_time
from hdex.node import pki
from hdex.node.buyer import Buyer, Wish
from hdex.node.config import HospitalConfig, IdentityFiles, Limits, load
from hdex.node.demo import rows
from hdex.node.demo.acts_access import admit
from hdex.node.demo.acts_data import offer_version, silent
from hdex.node.demo.memory import DATASET, SUBCOHORT, Memory
from hdex.node.demo.oracle import pooled_fit
from hdex.node.demo.setting import APPLICANT, BUYER, HOSPITALS
from hdex.node.errors import AccessDenied, PeerUnavailable, RemoteRefused
from hdex.node.hospital.datasets import PATIENT
from hdex.node.hospital.populations import THRESHOLD
from hdex.node.hospital.study_approvals import Said
from hdex.node.wire.channels import Channels
from hdex.node.wire.remote import RemoteDesk, RemoteExchange
from hdex.node.wire.tls import Tls

DELIVERY, FEDERATED = "sealed_file", "federated"
ROUNDS = 12  # of one study
AGREED_ROUNDS = 24  # of a contract, over all its studies: the story asks two
RULE_DAYS = 30  # studies under a contract need no new signature for so long
CUT_AFTER = 3  # chunks after which the line is cut


def foreign_peer(memory: Memory) -> None:
    """A peer of a foreign consortium, and a buyer at a hospital's own desk: both are turned away."""
    setting = memory.setting
    folder = setting.folder / "stranger"
    authority = pki.load(folder) if (folder / "ca.pem").exists() else pki.init(folder, "elsewhere.test")
    certificate, key = pki.issue(authority, "hospital/hospital-a")
    channels = Channels(
        Tls(certificate, key, setting.authority.pem), rows.directory_of(setting), limits=Limits()
    )  # trusts our servers, but nobody here trusts it
    try:
        RemoteExchange(channels("exchange")).show("anything")
    except PeerUnavailable:
        if not (why := rows.server_says(setting, "exchange")):
            raise  # no refusal, the exchange is away: once more when it is back
        memory.refused("stranger", "connect to the exchange", "identity-refused", why)
    finally:
        channels.close()
    own = Channels(buyer_tls(memory), rows.directory_of(setting), limits=Limits())
    try:
        RemoteDesk(own(HOSPITALS[0])).status()
    except RemoteRefused as refusal:
        memory.refused(BUYER, f"look at the desk of {HOSPITALS[0]}", refusal.rule, refusal.next_step)
    finally:
        own.close()


def buyer_tls(memory: Memory) -> Tls:
    """Return the buyer's certificate."""
    home, config = memory.setting.home(BUYER), load(memory.setting.config_file(HOSPITALS[0]), HospitalConfig)
    files: IdentityFiles = config.identity
    return Tls((home / "node.pem").read_bytes(), (home / "node.key").read_bytes(), files.ca.read_bytes())


def browse(memory: Memory) -> None:
    """Look at the catalogue as anybody would: pages in English and Chinese, and a search in each."""
    try:
        look_up(memory)
    except (OSError, HTTPException) as error:
        raise PeerUnavailable(f"the exchange's pages do not answer: {error}") from error


def look_up(memory: Memory) -> None:
    words = "stent" if memory.truth is not None else "hypertension"
    chinese = "支架" if memory.truth is not None else "高血压"
    for path, word in ((f"products?q={words}", words), (f"zh/products?q={urllib.request.quote(chinese)}", chinese)):  # type: ignore[attr-defined]  # re-exported
        with urllib.request.urlopen(memory.pages + path, timeout=10) as answer:  # noqa: S310  # our own page
            page, policy = answer.read().decode(), answer.headers.get("Content-Security-Policy", "")
        shown = sum(page.count(f"/products/{product['product']}") > 0 for product in memory.products.values())
        memory.say("browse", f"{word}: {shown} of {len(memory.products)} products on the page; {policy[:18]}")


def contract(memory: Memory) -> None:
    """The buyer asks, rules and a person decide, both sign. A second applicant and a level 5 file are refused."""
    buyer = memory.cast.buyer
    deliver_from = memory.products[HOSPITALS[0]]["product"]
    memory.told = told(memory)
    memory.contracts["delivery"] = agree(memory, buyer, deliver_from, DELIVERY)
    for hospital in HOSPITALS:
        product = memory.products[hospital]["product"]
        memory.contracts[hospital] = agree(memory, buyer, product, FEDERATED)
    memory.say("contract", f"{len(memory.contracts)} contracts FINALIZED, grants on the chain")
    refuse(memory, memory.cast.applicant, APPLICANT, wish(memory, deliver_from, DELIVERY, purpose="HDEX:underwriting"))
    if SUBCOHORT in memory.products:
        refuse(memory, buyer, BUYER, wish(memory, memory.products[SUBCOHORT]["product"], DELIVERY))


def told(memory: Memory) -> tuple[int, str]:
    """Return how many records and patients the catalogue tells of the first hospital's product."""
    product, _ = memory.cast.buyer.show(memory.products[HOSPITALS[0]]["product"])
    return product.records, product.individuals_band


def wish(memory: Memory, product: str, mode: str, *, purpose: str = "") -> Wish:
    """Return what is asked for: one product, one way, for the story's purpose unless another is named."""
    access = AccessRequest(
        purpose=purpose or memory.plot.purpose,
        recipient=BUYER if not purpose else APPLICANT,
        at=format_time(datetime.now(UTC)),
        disease=memory.plot.disease,
    )
    return Wish(
        product, mode, access, max_rounds=AGREED_ROUNDS if mode == FEDERATED else 0, statement="post-market study"
    )


def agree(memory: Memory, buyer: Buyer, product: str, mode: str, *, version: str = "") -> str:
    """Return the id of a finalized contract; a step that was done before the line broke is not done again."""
    contract_id = f"{product}.{mode}{version}"
    hospital = product.split(".", maxsplit=1)[0]
    admit(memory, product, mode)
    record = buyer.request(wish(memory, product, mode), contract_id=contract_id)
    if record.state == State.REQUESTED:
        memory.cast.officers[hospital].desk.decide(contract_id, approve=True)
    record = buyer.accept(contract_id)
    if mode == FEDERATED:
        allow(memory, hospital, contract_id, "logistic")
    memory.say("contract", f"{contract_id}: {record.state}, grant {record.grant_id[:8]}")
    return contract_id


def allow(memory: Memory, hospital: str, contract_id: str, kind: str) -> None:
    """Let the hospital's officer sign that studies of this kind under the contract need no signature of their own."""
    until = format_time(datetime.now(UTC) + timedelta(days=RULE_DAYS))
    rule = Said("approve", contract=contract_id, kind=kind, expires=until)
    memory.cast.officers[hospital].sign("decision", contract_id, rule.document())


def refuse(memory: Memory, buyer: Buyer, who: str, asked: Wish) -> None:
    """Ask for what the rules refuse, and note the rule and the next step."""
    try:
        buyer.request(asked, contract_id=f"{asked.product}.{who}.refused")
    except AccessDenied as refusal:
        memory.refused(who, f"{asked.delivery_mode} of {asked.product}", refusal.rule, refusal.next_step)


def deliver(memory: Memory) -> None:
    """The product streams sealed to the buyer's key, is cut, resumed, verified, opened."""
    contract_id, buyer = memory.contracts["delivery"], memory.cast.buyer
    began = time.monotonic()
    first = buyer.fetch(contract_id, stop_after=CUT_AFTER)
    if not first.complete:
        memory.say("deliver", f"cut after {first.chunks} chunks, {first.received:,} bytes; resuming")
    second = buyer.fetch(contract_id)
    memory.delivery_seconds = max(memory.delivery_seconds, time.monotonic() - began)
    memory.bytes_delivered = second.path.stat().st_size
    memory.delivered = frame = buyer.open(contract_id)
    hospital = HOSPITALS[0]
    memory.values_altered = rows.altered(
        frame, rows.released_frame(memory.setting, hospital, memory.released[hospital])
    )
    memory.say("deliver", f"{memory.bytes_delivered:,} bytes in {memory.delivery_seconds:.2f} s; opened: "
                          f"{frame.height} rows, {frame.width} columns, {memory.values_altered} altered")  # fmt: skip


def federate(memory: Memory) -> None:
    """One regression over three hospitals: encrypted sums leave, rows stay, and the fit equals the pooled one."""
    frames = rows.study_rows(memory)
    memory.target, memory.features, memory.left_out = rows.affordable(memory, frames)
    for name, why in memory.left_out.items():
        memory.say("federate", f"{name} is left out: the disclosure floor of {why}")
    memory.study = run_study(memory, "study-1", {hospital: memory.contracts[hospital] for hospital in HOSPITALS})
    memory.pooled = pooled_fit(list(frames.values()), memory.target, memory.features)
    estimates = [row["estimate"] for row in memory.study["coefficients"]]
    memory.difference = float(abs(memory.pooled.estimates - estimates).max())
    memory.say("federate", f"{memory.study['n']} rows in {memory.study['rounds']} rounds; largest difference to the "
                           f"pooled fit {memory.difference:.1e}")  # fmt: skip


def run_study(memory: Memory, study_id: str, contracts: dict[str, str]) -> dict[str, Any]:
    """Return a study's result."""
    question = {
        "id": study_id,
        "target": memory.target,
        "features": memory.features,
        "purpose": memory.plot.purpose,
        "contracts": contracts,
        "standardize": "global",
        "max_rounds": ROUNDS,
    }
    return memory.cast.buyer.study(question, silent)


def withdraw(memory: Memory) -> None:
    """One patient withdraws: absent from the next version and from the next study's rounds."""
    hospital = HOSPITALS[0]
    memory.withdrawn = memory.withdrawn or rows.somebody(memory, hospital)
    paper = memory.setting.home(hospital) / "withdrawals.txt"
    paper.write_text(memory.withdrawn + "\n", encoding="utf-8")
    memory.cast.officers[hospital].desk.withdraw_consent(DATASET, paper)
    plot = memory.plot
    order = {"preset": "controlled", "purpose": plot.purpose, "recipient_class": plot.recipient_class}
    facts = memory.cast.stewards[hospital].desk.deidentify(DATASET, order, silent)
    listed = offer_version(memory, hospital, DATASET, str(facts["version"]))
    contract_id = agree(memory, memory.cast.buyer, listed["product"], FEDERATED, version=f".{listed['version']}")
    contracts = {name: memory.contracts[name] for name in HOSPITALS} | {hospital: contract_id}
    memory.second_study = run_study(memory, "study-2", contracts)
    frames = rows.study_rows(memory)
    pooled = pooled_fit(list(frames.values()), memory.target, memory.features)
    estimates = [row["estimate"] for row in memory.second_study["coefficients"]]
    difference = float(abs(pooled.estimates - estimates).max())
    memory.difference = max(memory.difference, difference)
    fewer = memory.study["n"] - memory.second_study["n"]
    earlier = memory.released[hospital]["report"]["rows_before"] - facts["report"]["rows_before"]
    memory.withdrawal_honoured = memory.withdrawn not in frames[hospital][PATIENT].to_list()
    memory.withdrawal_visible = told(memory) != memory.told or 0 < min(fewer, earlier) < THRESHOLD
    memory.say("withdraw", f"{hospital}: {facts['version']} and study-2 leave out {earlier} patients, one withdrew; "
                           f"difference to the pooled fit {difference:.1e}")  # fmt: skip


def revoke(memory: Memory) -> None:
    """The hospital revokes the delivery contract: the next range is refused."""
    contract_id, hospital = memory.contracts["delivery"], HOSPITALS[0]
    memory.cast.officers[hospital].desk.revoke(contract_id, "the project ended early; ask for a new licence")
    try:
        memory.cast.buyer.first_range(contract_id)
    except RemoteRefused as refusal:
        memory.refused(BUYER, f"next range of {contract_id}", refusal.rule, refusal.next_step)
