"""The stage: a consortium with its CA, keys, certificates, directory and one configuration per participant."""

import json
import secrets
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from hdex.node import config as configs
from hdex.node import directory as directories
from hdex.node import pki
from hdex.node.demo.supervisor import free_ports
from hdex.node.durable import write_atomic
from hdex.node.keys import STANDARD, KeyKind
from hdex.node.keystore import KeyStore

TRUST_DOMAIN = "hdex.test"
CHAIN_ID = 40426
HOSPITALS = ("hospital-a", "hospital-b", "hospital-c")
BUYER, APPLICANT, AUDITOR = "buyer-heartline", "buyer-surety", "auditor"
ORGANISATIONS = {
    "exchange": "Exchange operator",
    "keyholder": "Key trust",
    "hospital-a": "Hospital A",
    "hospital-b": "Hospital B",
    "hospital-c": "Hospital C",
    BUYER: "Heartline Devices",
    APPLICANT: "Surety Insurance",
    AUDITOR: "Audit office",
}
KINDS = {"exchange": "exchange", "keyholder": "keyholder", **dict.fromkeys(HOSPITALS, "hospital"),
         BUYER: "buyer", APPLICANT: "buyer", AUDITOR: "auditor"}  # fmt: skip
EXCHANGE, OPERATOR, SECURITY = "exchange", "exchange_operator", "security_officer"
STAFF_ROLES = {
    "hospital": ("data_steward", "privacy_officer", "ethics_committee"),
    "exchange": (OPERATOR, SECURITY),
}
LOGGED = ("exchange", "keyholder", *HOSPITALS)  # who keeps a log and witnesses the others


@dataclass(slots=True)
class Setting:
    """Where everything of one demo lies, and on which ports it listens."""

    folder: Path
    authority: pki.Authority
    ports: dict[str, tuple[int, int]]  # participant -> (gRPC, HTTP)
    chain_port: int
    keys: dict[str, KeyStore] = field(default_factory=dict, repr=False)
    contract: str = ""

    def home(self, participant: str) -> Path:
        """Return a participant's folder."""
        return self.folder / participant

    def config_file(self, participant: str) -> Path:
        """Return a participant's configuration file."""
        return self.home(participant) / "config.toml"

    @property
    def chain_url(self) -> str:
        return f"http://127.0.0.1:{self.chain_port}"

    def endpoint(self, participant: str) -> str:
        return f"127.0.0.1:{self.ports[participant][0]}"


def build(folder: Path) -> Setting:
    """Make CA, keystores, certificates and the signed directory; the chain's configuration too, for it starts first."""
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    authority = pki.init(folder / "ca", TRUST_DOMAIN)
    ports = free_ports(2 * len(LOGGED) + 1)
    pairs = {name: (ports[2 * index], ports[2 * index + 1]) for index, name in enumerate(LOGGED)}
    setting = Setting(folder, authority, pairs, ports[-1])
    for participant in ORGANISATIONS:
        enrol(setting, participant)
    members = [member(setting, participant) for participant in ORGANISATIONS]
    envelope = directories.publish(authority, members, now=datetime.now(UTC))
    (folder / "directory.json").write_text(json.dumps(envelope, indent=1), encoding="utf-8")
    write_chain_config(setting)
    return setting


def enrol(setting: Setting, participant: str) -> None:
    """Give a participant its keystore, its certificate, and its staff theirs."""
    home, kind = setting.home(participant), KINDS[participant]
    home.mkdir(parents=True, mode=0o700)
    setting.keys[participant] = new_keystore(home, STANDARD)
    write_certificate(setting, home, f"{kind}/{participant}", "node")
    if kind not in STAFF_ROLES:
        return
    staff = {}
    for role in STAFF_ROLES[kind]:
        desk = home / "staff" / role
        desk.mkdir(parents=True, mode=0o700)
        keys = new_keystore(desk, {"sign": KeyKind.ED25519})
        setting.keys[f"{participant}/{role}"] = keys
        write_certificate(setting, desk, f"{kind}/{participant}/{role}", "staff")
        staff[role] = keys.public("sign").hex()
    (home / "staff.json").write_text(json.dumps(staff, indent=1), encoding="utf-8")


def new_keystore(home: Path, kinds: dict[str, KeyKind]) -> KeyStore:
    """Make a keystore with a random passphrase in a file beside it."""
    passphrase = secrets.token_urlsafe(24).encode()
    write_atomic(home / "passphrase", passphrase + b"\n")
    return KeyStore.create(home / "keystore.json", passphrase, kinds=kinds)


def write_certificate(setting: Setting, home: Path, spiffe_path: str, name: str) -> None:
    """Issue a certificate with its key in `home`."""
    certificate, key = pki.issue(setting.authority, spiffe_path)
    (home / f"{name}.pem").write_bytes(certificate)
    write_atomic(home / f"{name}.key", key)


def member(setting: Setting, participant: str) -> directories.Member:
    """Return a participant as the directory lists it."""
    return directories.member_of(
        participant,
        KINDS[participant],
        organisation=ORGANISATIONS[participant],
        trust_domain=TRUST_DOMAIN,
        keys=setting.keys[participant],
        endpoint=setting.endpoint(participant) if participant in setting.ports else "",
    )


def write_chain_config(setting: Setting) -> None:
    """Write the chain's configuration: every logged participant and the operator may pay for transactions."""
    home = setting.home("chain")
    home.mkdir(mode=0o700)
    keys = new_keystore(home, {"chain": KeyKind.SECP256K1})
    setting.keys["chain"] = keys
    accounts = tuple(address(setting.keys[name]) for name in ("chain", *LOGGED))
    chain = configs.ChainConfig(
        id="chain",
        organisation="Exchange operator",
        data_dir=Path("data"),
        listen=configs.Listen(http_port=setting.chain_port),
        chain_id=CHAIN_ID,
        accounts=accounts,
    )
    setting.config_file("chain").write_text(configs.dump(chain), encoding="utf-8")


def address(keys: KeyStore) -> str:
    """Return the chain address of a keystore's account."""
    from hdex.node.keys import chain_address

    return chain_address(keys.public("chain"))


def write_configs(setting: Setting, contract: str) -> None:
    """Write every other participant's configuration, now that the contract has its address."""
    setting.contract = contract
    chain = configs.ChainPeer(setting.chain_url, contract, CHAIN_ID)
    for participant in ORGANISATIONS:
        text = configs.dump(config_of(setting, participant, chain))
        setting.config_file(participant).write_text(text, encoding="utf-8")


def config_of(setting: Setting, participant: str, chain: configs.ChainPeer) -> object:
    """Return one participant's configuration."""
    kind = KINDS[participant]
    shared = {
        "id": participant,
        "organisation": ORGANISATIONS[participant],
        "data_dir": Path("data"),
        "identity": identity_files(setting),
        "chain": chain,
        "trust_domain": TRUST_DOMAIN,
    }
    if kind in {"buyer", "auditor"}:
        return configs.BuyerConfig(**shared, exchange=peer(setting, "exchange"))  # type: ignore[arg-type]
    others = tuple(peer(setting, name) for name in LOGGED if name != participant)
    shared |= {
        "listen": configs.Listen(*setting.ports[participant]),
        "witness_peers": others,
        "witnesses": len(LOGGED) // 2,
    }
    if kind == "exchange":
        return configs.ExchangeConfig(**shared, keyholder=peer(setting, "keyholder"), staff=Path("staff.json"))  # type: ignore[arg-type]
    if kind == "keyholder":
        return configs.KeyholderConfig(**shared, exchange=peer(setting, "exchange"))  # type: ignore[arg-type]
    pace = configs.DeliveryPace(chunk_bytes=16 * 1024, chunks_per_range=4)  # small, so that a cut has a middle
    peers = {"exchange": peer(setting, "exchange"), "keyholder": peer(setting, "keyholder")}
    return configs.HospitalConfig(**shared, **peers, staff=Path("staff.json"), delivery=pace)  # type: ignore[arg-type]


def identity_files(setting: Setting) -> configs.IdentityFiles:
    """Return the identity files of a participant, relative to its configuration."""
    return configs.IdentityFiles(
        certificate=Path("node.pem"),
        private_key=Path("node.key"),
        ca=setting.folder / "ca" / "ca.pem",
        directory=setting.folder / "directory.json",
        denied=setting.folder / "ca" / "denied.txt",
        keystore=Path("keystore.json"),
        passphrase_file=Path("passphrase"),
    )


def peer(setting: Setting, participant: str) -> configs.Peer:
    return configs.Peer(participant, setting.endpoint(participant))
