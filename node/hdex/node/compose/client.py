"""Those who call and are not called: buyers, staff, auditors. One identity, channels, keys."""

import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hdex.ledger.ports import Chain
from hdex.node import directory as directories
from hdex.node.applicant import Applicant
from hdex.node.auditor import Auditor
from hdex.node.buyer import Buyer
from hdex.node.compose.standing import now, open_chain
from hdex.node.config import BuyerConfig, ExchangeConfig, HospitalConfig, IdentityFiles, Limits
from hdex.node.contract_record import ContractRecord
from hdex.node.customer import Customer
from hdex.node.dataspace_market import record_of
from hdex.node.directory import Directory
from hdex.node.dsp.store_sqlite import SqliteProcesses
from hdex.node.egress import allow
from hdex.node.errors import AccessDenied, ConfigInvalid, NotFound
from hdex.node.holder import Holder
from hdex.node.keys import KeyProvider, read_passphrase
from hdex.node.keystore import KeyStore
from hdex.node.reviewer import Reviewer
from hdex.node.signed import Envelope
from hdex.node.steward import Steward
from hdex.node.wire.channels import Channels
from hdex.node.wire.remote import RemoteDesk, RemoteExchange, RemoteHospitals, RemoteLogs
from hdex.node.wire.remote_access import RemoteOffices, RemoteReviews
from hdex.node.wire.remote_searches import RemoteSearches
from hdex.node.wire.remote_settlement import RemoteBilling, RemoteInvoices
from hdex.node.wire.tls import Tls


@dataclass(frozen=True, slots=True)
class Caller:
    """Who calls: certificate, keys, and the channels opened with them."""

    keys: KeyProvider
    directory: Directory
    channels: Channels


class Knowing(RemoteExchange):
    """The exchange, and what this buyer has negotiated itself: contracts that the exchange never saw."""

    def __init__(self, channel: Any, processes: Path) -> None:  # a gRPC channel, whose type is the wire's
        super().__init__(channel)
        self._processes = processes

    def status(self, contract_id: str) -> ContractRecord:
        return negotiated(self._processes, contract_id) or super().status(contract_id)

    def withdraw(self, termination: Envelope) -> ContractRecord:
        if negotiated(self._processes, str(termination["document"]["contract_id"])):
            next_step = "hdex buy negotiate --contract CONTRACT --withdraw REASON: it tells the provider"
            raise AccessDenied("contract.over_dsp", next_step, "it was negotiated without the exchange")
        return super().withdraw(termination)


def negotiated(path: Path, contract_id: str) -> ContractRecord | None:
    """Return a contract that was negotiated over the Dataspace Protocol, None where none of this id was."""
    if not path.exists():
        return None
    processes = SqliteProcesses(path)
    try:
        return record_of(processes.get(contract_id))
    except NotFound:
        return None
    finally:
        processes.close()


def caller(files: IdentityFiles, trust_domain: str, limits: Limits) -> Caller:
    """Return a caller from its identity files."""
    tls = Tls.load(files)
    directory = directories.load(files.directory, tls.ca, trust_domain=trust_domain)
    allow([member.endpoint.rpartition(":")[0].strip("[]") for member in directory.members if member.endpoint])
    keys = KeyStore.open(files.keystore, read_passphrase(files.passphrase_file))
    return Caller(keys, directory, Channels(tls, directory, limits=limits))


def open_buyer(config: BuyerConfig) -> Buyer:
    """Return a buyer at its exchange."""
    return buyer_of(config, organisation_caller(config))


def open_holder(config: BuyerConfig) -> Holder:
    """Return a buyer with the contracts it has."""
    return holder_of(config, organisation_caller(config))


def open_applicant(config: BuyerConfig) -> Applicant:
    """Return an organisation that asks to be vetted and for access."""
    return applicant_of(config, organisation_caller(config))


def open_customer(config: BuyerConfig) -> Customer:
    """Return a buyer about money."""
    return customer_of(config, organisation_caller(config))


def organisation_caller(config: BuyerConfig) -> Caller:
    """Return a buying organisation as a caller."""
    return caller(config.identity, config.trust_domain, config.limits)


def buyer_of(config: BuyerConfig, who: Caller) -> Buyer:
    """Return a buyer over channels and keys that are open already."""
    folder, counter = folder_of(config, "received"), RemoteHospitals(who.channels)
    return Buyer(
        config.id, who.keys, who.directory, market=knowing(config, who), counter=counter, folder=folder, clock=now
    )


def knowing(config: BuyerConfig, who: Caller) -> Knowing:
    """Return the exchange with what was negotiated without it."""
    return Knowing(who.channels(config.exchange.id), config.data_dir / "dsp" / "processes.db")


def holder_of(config: BuyerConfig, who: Caller) -> Holder:
    """Return a buyer with the contracts it has, over channels and keys that are open already."""
    return Holder(
        buyer_of(config, who),
        who.keys,
        custodian=RemoteHospitals(who.channels),
        ending=knowing(config, who),
        folder=folder_of(config, "received"),
        clock=now,
    )


def applicant_of(config: BuyerConfig, who: Caller) -> Applicant:
    """Return an applicant over channels and keys that are open already."""
    offices, reviews = RemoteOffices(who.channels), RemoteReviews(who.channels)
    folder = folder_of(config, "requests")
    return Applicant(config.id, who.keys, offices=offices, reviews=reviews, folder=folder, clock=now)


def customer_of(config: BuyerConfig, who: Caller) -> Customer:
    """Return a customer over channels and keys that are open already."""
    return Customer(
        config.id,
        who.keys,
        who.directory,
        till=RemoteInvoices(who.channels),
        status=buyer_of(config, who).status,
        received=folder_of(config, "received"),
        clock=now,
    )


def folder_of(config: BuyerConfig, name: str) -> Path:
    """Return a folder of the data folder that nobody else may read, made where it is not there."""
    folder = config.data_dir / name
    for one in (config.data_dir, folder):
        one.mkdir(parents=True, exist_ok=True, mode=0o700)
    return folder


def open_billing(config: HospitalConfig, desk: Path) -> RemoteBilling:
    """Return one's own node about money, called by the person whose certificate lies in `desk`."""
    return RemoteBilling(staff_caller(config, desk).channels(config.id))


def open_searches(config: BuyerConfig) -> RemoteSearches:
    """Return a buyer's saved searches at its exchange."""
    who = caller(config.identity, config.trust_domain, config.limits)
    return RemoteSearches(who.channels(config.exchange.id))


def open_auditor(config: BuyerConfig) -> Auditor:
    """Return an auditor of everybody in the directory."""
    who = caller(config.identity, config.trust_domain, config.limits)
    lock, opened = threading.Lock(), list[Chain]()

    def chain() -> Chain:
        with lock:
            if not opened:
                opened.append(open_chain(config.chain, who.keys))
            return opened[0]

    return Auditor(who.directory, RemoteLogs(who.channels), chain=chain, contract=config.chain, clock=now)


def open_steward(config: HospitalConfig, desk: Path, role: str) -> Steward:
    """Return a person of a hospital, with certificate and keys from the folder `desk`."""
    who = staff_caller(config, desk)
    return Steward(f"{config.id}/{role}", who.keys, RemoteDesk(who.channels(config.id)))


def open_reviewer(config: HospitalConfig | ExchangeConfig, desk: Path, role: str) -> Reviewer:
    """Return a person of an office that vets or reviews, with certificate and keys from the folder `desk`."""
    who = staff_caller(config, desk)
    offices, reviews = RemoteOffices(who.channels), RemoteReviews(who.channels)
    return Reviewer(f"{config.id}/{role}", who.keys, offices, reviews, now)


def staff_caller(config: HospitalConfig | ExchangeConfig, desk: Path) -> Caller:
    """Return a person as a caller: the folder's own files, beside what the participant trusts. Raises ConfigInvalid."""
    if not (desk / "staff.pem").is_file():
        raise ConfigInvalid(f"{desk} holds no staff.pem; name the folder of a person of {config.id} with --desk")
    files = IdentityFiles(
        certificate=desk / "staff.pem",
        private_key=desk / "staff.key",
        ca=config.identity.ca,
        directory=config.identity.directory,
        denied=config.identity.denied,
        keystore=desk / "keystore.json",
        passphrase_file=desk / "passphrase",
    )
    return caller(files, config.trust_domain, config.limits)
