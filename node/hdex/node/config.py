"""One TOML file per participant. Unknown keys are errors; relative paths are relative to the file."""

import json
import tomllib
import types
from dataclasses import MISSING, Field, dataclass, field, fields, is_dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any, TypeVar, Union, get_args, get_origin, get_type_hints

from hdex.node.answer_rules import Answers
from hdex.node.config_studies import FlowerApi, RegionSites, Supernode, require_regions
from hdex.node.errors import ConfigInvalid

_T = TypeVar("_T")
KEY_BITS = (2048, 3072, 4096)


@dataclass(frozen=True, slots=True)
class Listen:
    """Where a participant listens. Loopback unless its operator says otherwise. An HTTP port of 0 is off.

    http_port: a hospital's or key holder's log and witness (HTTPS), an exchange's pages, the chain's JSON-RPC.
    ledger_port: an exchange's log and witness (HTTPS), beside its pages.
    api_port: REST and OpenAPI (HTTPS). reflection: tell members over gRPC which services there are.
    """

    grpc_port: int = 0
    http_port: int = 0
    host: str = "127.0.0.1"
    ledger_port: int = 0
    api_port: int = 0
    reflection: bool = False

    def __post_init__(self) -> None:
        for name in ("grpc_port", "http_port", "ledger_port", "api_port"):
            if not 0 <= getattr(self, name) <= 65535:
                raise ConfigInvalid(f"{name} is {getattr(self, name)}; a port is 0 to 65535")

    @property
    def grpc(self) -> str:
        """The gRPC address, host:port."""
        return f"{self.host}:{self.grpc_port}"

    @property
    def http(self) -> str:
        """The HTTP address, host:port."""
        return f"{self.host}:{self.http_port}"


@dataclass(frozen=True, slots=True)
class IdentityFiles:
    """The files that make a participant known. Secrets stand in files, never in this configuration."""

    certificate: Path
    private_key: Path
    ca: Path
    directory: Path
    denied: Path  # revoked serials
    keystore: Path
    passphrase_file: Path


@dataclass(frozen=True, slots=True)
class Peer:
    """Another participant: its id in the directory and where it listens."""

    id: str
    endpoint: str


@dataclass(frozen=True, slots=True)
class ChainPeer:
    """The chain that checkpoints are anchored in."""

    url: str
    contract: str = ""
    chain_id: int = 0
    fail_closed_after_s: float = 0.0  # refuse releases when an entry has waited longer for its anchor; 0: never

    def __post_init__(self) -> None:
        if not 0 <= self.fail_closed_after_s < float("inf"):
            raise ConfigInvalid("chain.fail_closed_after_s is a number of seconds, 0 for never")


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds of a server; see SECURITY.md."""

    control_bytes: int = 4 * 1024 * 1024  # largest message of an ordinary call
    data_bytes: int = 8 * 1024 * 1024  # largest message of a stream that carries data
    unary_deadline_s: float = 120.0  # longest deadline a caller may ask of an ordinary call
    stream_deadline_s: float = 3600.0
    workers: int = 128  # a site's stream to an exchange holds one for as long as it is connected
    connection_age_s: float = 600.0  # then the server ends a connection; who dialled dials again
    connection_grace_s: float = 60.0  # its streams may last so much longer

    def __post_init__(self) -> None:
        for entry in fields(self):
            if getattr(self, entry.name) <= 0:
                raise ConfigInvalid(f"limits.{entry.name} must be above 0")


@dataclass(frozen=True, slots=True)
class DeliveryPace:
    """How deliveries are cut: bytes of plaintext a chunk, chunks a range; each range is authorised and logged anew."""

    chunk_bytes: int = 1024 * 1024
    chunks_per_range: int = 64
    share_endpoint: str = ""  # of Delta Sharing, where buyers reach it by another address than we listen on

    def __post_init__(self) -> None:
        if not 4096 <= self.chunk_bytes <= 8 * 1024 * 1024 or self.chunks_per_range < 1:
            raise ConfigInvalid("delivery: chunks have 4 KiB to 8 MiB, a range at least one")


@dataclass(frozen=True, slots=True)
class Dataspace:
    """The Dataspace Protocol's HTTPS binding, off unless a table [dsp] stands in the file.

    address: how others reach the port, https://host[:port]. hosts: where messages may be sent, by name; of these
    `private_hosts` may have addresses that are not on the public network.
    """

    port: int
    address: str
    hosts: tuple[str, ...] = ()
    private_hosts: tuple[str, ...] = ()
    page: int = 50  # data sets a page of the catalogue

    def __post_init__(self) -> None:
        if not 0 <= self.port <= 65535 or not 1 <= self.page <= 1000:
            raise ConfigInvalid("dsp: a port is 0 to 65535, a page has 1 to 1000 data sets")
        if not self.address.startswith("https://") or self.address.endswith("/"):
            raise ConfigInvalid("dsp.address is https://host[:port], without a slash at the end")

    @property
    def callback_hosts(self) -> list[str]:
        """Every host that messages may be sent to, as the process's wall asks for it."""
        return [f"//{host}" for host in (*self.hosts, *self.private_hosts)]


@dataclass(frozen=True, slots=True)
class EnclaveLimits:
    """What a script in the enclave may use. unsafe_unisolated: run it even where the kernel cannot lock it in."""

    seconds: int = 60
    memory_bytes: int = 2 * 1024**3
    unsafe_unisolated: bool = False

    def __post_init__(self) -> None:
        if not 1 <= self.seconds <= 3600 or self.memory_bytes < 2**28:
            raise ConfigInvalid("enclave: a script has 1 to 3600 seconds and at least 256 MiB")


@dataclass(frozen=True, slots=True)
class HospitalConfig:
    """A hospital node."""

    id: str
    organisation: str
    data_dir: Path
    identity: IdentityFiles
    listen: Listen
    exchange: Peer
    chain: ChainPeer
    staff: Path  # roles and public keys of the people who sign here
    delivery: DeliveryPace = field(default_factory=DeliveryPace)
    enclave: EnclaveLimits = field(default_factory=EnclaveLimits)
    keyholder: Peer | None = None
    region: Peer | None = None  # dialled for studies instead of the exchange
    supernode: FlowerApi | None = None  # a stock SuperNode (--isolation process) whose tasks are answered here too
    trust_domain: str = "hdex.test"
    witnesses: int = 0  # cosignatures a checkpoint needs before it counts
    witness_peers: tuple[Peer, ...] = ()
    limits: Limits = field(default_factory=Limits)
    dsp: Dataspace | None = None
    answers: Answers = field(default_factory=Answers)  # rules that answer requests for contracts; none: a person does


@dataclass(frozen=True, slots=True)
class SearchSettings:
    """Saved searches: the hosts that notices may be sent to. Only these are ever called."""

    webhook_hosts: tuple[str, ...] = ()
    webhook_loopback: bool = False  # for tests: notices may go to this machine


@dataclass(frozen=True, slots=True)
class ExchangeConfig:
    """The exchange."""

    id: str
    organisation: str
    data_dir: Path
    identity: IdentityFiles
    listen: Listen
    chain: ChainPeer
    keyholder: Peer | None = None
    trust_domain: str = "hdex.test"
    witnesses: int = 0
    witness_peers: tuple[Peer, ...] = ()
    staff: Path | None = None  # roles and public keys of the people who vet organisations here
    studies_journal: str = ""  # postgresql://...; empty: SQLite beside each study
    studies_people_s: float = 600.0  # a study waits so long for hospitals' people; then it is to be started again
    regions: tuple[RegionSites, ...] = ()  # regional aggregators, asked in place of their sites
    grid: str = "stream"  # who carries studies: the hospitals' own streams, or a stock "superlink"
    superlink: FlowerApi | None = None
    supernodes: tuple[Supernode, ...] = ()
    catalogue_index: str = ""  # postgresql://...; empty: SQLite in the data folder
    public_url: str = (
        "https://exchange.hdex.test"  # of the pages, as visitors reach them: for links in feeds and JSON-LD
    )
    searches: SearchSettings = field(default_factory=SearchSettings)
    limits: Limits = field(default_factory=Limits)
    dsp: Dataspace | None = None

    def __post_init__(self) -> None:
        require_regions(self.regions)
        if self.grid not in ("stream", "superlink"):
            raise ConfigInvalid(f"grid is {self.grid!r}; stream and superlink are known")
        if self.grid == "superlink" and (self.superlink is None or not self.supernodes):
            raise ConfigInvalid("the superlink grid needs [superlink] and [[supernodes]]")
        if self.grid == "superlink" and self.regions:
            raise ConfigInvalid("a SuperLink asks every hospital itself: leave regions or the superlink grid out")
        if not 0 <= self.studies_people_s < float("inf"):
            raise ConfigInvalid("studies_people_s is a number of seconds from 0")


@dataclass(frozen=True, slots=True)
class KeyholderConfig:
    """The key holder of federated studies."""

    id: str
    organisation: str
    data_dir: Path
    identity: IdentityFiles
    listen: Listen
    exchange: Peer
    chain: ChainPeer | None = None
    trust_domain: str = "hdex.test"
    min_sites: int = 3
    regions: tuple[str, ...] = ()  # whose sums are opened though their sites' ciphertexts are not seen here
    witnesses: int = 0
    witness_peers: tuple[Peer, ...] = ()
    limits: Limits = field(default_factory=Limits)
    key_bits: int = 3072  # of a study's Paillier modulus; 2048 is faster, and enough until 2030 (NIST SP 800-57)

    def __post_init__(self) -> None:
        if self.key_bits not in KEY_BITS:
            raise ConfigInvalid(f"key_bits = {self.key_bits} is asked; there are {', '.join(map(str, KEY_BITS))}")


@dataclass(frozen=True, slots=True)
class RegionConfig:
    """A regional aggregator: its hospitals dial it, and it dials the exchange."""

    id: str
    organisation: str
    data_dir: Path
    identity: IdentityFiles
    listen: Listen
    exchange: Peer
    sites: tuple[str, ...]  # as the exchange's configuration names them
    chain: ChainPeer | None = None
    trust_domain: str = "hdex.test"
    witnesses: int = 0
    witness_peers: tuple[Peer, ...] = ()
    limits: Limits = field(default_factory=Limits)

    def __post_init__(self) -> None:
        require_regions((RegionSites(self.id, self.sites),))


@dataclass(frozen=True, slots=True)
class ChainConfig:
    """The embedded chain."""

    id: str
    organisation: str
    data_dir: Path
    listen: Listen
    chain_id: int
    accounts: tuple[str, ...] = ()  # addresses that may pay for transactions


@dataclass(frozen=True, slots=True)
class BuyerConfig:
    """A buyer or an auditor: nobody calls them, so they do not listen, but for a buyer's negotiations with [dsp]."""

    id: str
    organisation: str
    data_dir: Path
    identity: IdentityFiles
    exchange: Peer
    chain: ChainPeer | None = None
    trust_domain: str = "hdex.test"
    limits: Limits = field(default_factory=Limits)
    dsp: Dataspace | None = None


def load(path: Path, kind: type[_T]) -> _T:
    """Return the configuration in `path` as `kind`. Raises ConfigInvalid with file, key and the nearest known key."""
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        says = f"the configuration {path} cannot be read: {error.strerror}; name yours with --config"
        raise ConfigInvalid(says) from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigInvalid(f"{path} is not TOML: {error}") from error
    try:
        return _build(kind, table, path.resolve().parent, "")
    except ConfigInvalid as error:
        raise ConfigInvalid(f"{path}: {error}") from error


def dump(config: object) -> str:
    """Return a configuration as TOML text that `load` reads back to the same value."""
    return "\n".join(_lines(config, "")) + "\n"


def _build(kind: type[_T], table: dict[str, Any], folder: Path, where: str) -> _T:
    if not is_dataclass(kind):
        raise TypeError(f"{kind} is not a configuration")
    known = {entry.name: entry for entry in fields(kind)}
    for key in table:
        if key not in known:
            near = get_close_matches(key, known, n=1)
            hint = f"did you mean {where}{near[0]}?" if near else f"known here are {', '.join(known)}"
            raise ConfigInvalid(f"unknown key {where}{key}; {hint}")
    absent = [name for name, entry in known.items() if name not in table and _is_required(entry)]
    if absent:
        raise ConfigInvalid(f"the key {where}{absent[0]} is missing")
    hints = get_type_hints(kind)
    values = {name: _value(hints[name], value, folder, where + name) for name, value in table.items()}
    for name, entry in known.items():  # a default path, too, is relative to the file
        if name not in table and isinstance(entry.default, Path):
            values[name] = folder / entry.default
    return kind(**values)


def _is_required(entry: "Field[Any]") -> bool:
    return entry.default is MISSING and entry.default_factory is MISSING


def _value(hint: Any, value: object, folder: Path, where: str) -> object:
    if get_origin(hint) in {Union, types.UnionType}:
        hint = next(member for member in get_args(hint) if member is not type(None))
    if get_origin(hint) is tuple:
        if not isinstance(value, list):
            raise ConfigInvalid(f"{where} must be a list")
        return tuple(_value(get_args(hint)[0], item, folder, f"{where}[{n}]") for n, item in enumerate(value))
    if is_dataclass(hint) and isinstance(hint, type):
        if not isinstance(value, dict):
            raise ConfigInvalid(f"{where} must be a table")
        return _build(hint, value, folder, f"{where}.")
    if hint is Path and isinstance(value, str) and value:
        return folder / Path(value).expanduser()
    if hint is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if type(value) is not hint:
        raise ConfigInvalid(f"{where} must be {_word(hint)}, not {_word(type(value))}")
    return value


def _word(kind: type) -> str:
    return {str: "text", int: "a whole number", float: "a number", bool: "true or false", Path: "a path"}.get(
        kind, "a list" if kind is list else "a table"
    )


def _lines(config: Any, prefix: str) -> list[str]:
    """Return key lines first, then tables, as TOML wants them."""
    plain: list[str] = []
    tables: list[str] = []
    for entry in fields(config):
        value = getattr(config, entry.name)
        if value is None:
            continue
        if is_dataclass(value):
            tables += ["", f"[{prefix}{entry.name}]", *_lines(value, f"{prefix}{entry.name}.")]
        elif isinstance(value, tuple) and value and is_dataclass(value[0]):
            for item in value:
                tables += ["", f"[[{prefix}{entry.name}]]", *_lines(item, f"{prefix}{entry.name}.")]
        else:
            plain.append(f"{entry.name} = {_toml(value)}")
    return plain + tables


def _toml(value: object) -> str:
    if isinstance(value, tuple):
        return "[" + ", ".join(_toml(item) for item in value) + "]"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return repr(value)
    return json.dumps(str(value), ensure_ascii=False)
