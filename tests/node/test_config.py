"""Configuration: what is written is what is meant, or an error says where."""

from dataclasses import dataclass, fields
from pathlib import Path

import pytest

from hdex.federated.paillier.keys import ALLOWED_BITS
from hdex.node import config
from hdex.node.errors import ConfigInvalid

HOSPITAL = """
id = "hospital-a"
organisation = "First Hospital"
data_dir = "data"
staff = "staff.json"
witnesses = 2

[listen]
grpc_port = 7001
http_port = 7002

[identity]
certificate = "a.pem"
private_key = "a.key"
ca = "/etc/hdex/ca.pem"
directory = "directory.json"
denied = "denied.txt"
keystore = "keys.json"
passphrase_file = "pass"

[exchange]
id = "exchange"
endpoint = "127.0.0.1:7000"

[chain]
url = "http://127.0.0.1:8545"
contract = "0xabc"
chain_id = 1337

[[witness_peers]]
id = "hospital-b"
endpoint = "127.0.0.1:7010"
"""


def write(folder: Path, text: str) -> Path:
    path = folder / "hospital.toml"
    path.write_text(text, encoding="utf-8")
    return path


def test_a_hospital_is_read(tmp_path: Path) -> None:
    read = config.load(write(tmp_path, HOSPITAL), config.HospitalConfig)
    assert read.listen.grpc == "127.0.0.1:7001"
    assert read.identity.certificate == tmp_path / "a.pem"
    assert read.identity.ca == Path("/etc/hdex/ca.pem")
    assert read.witness_peers == (config.Peer("hospital-b", "127.0.0.1:7010"),)
    assert read.keyholder is None
    assert read.limits == config.Limits()


def test_what_is_dumped_is_read_back(tmp_path: Path) -> None:
    read = config.load(write(tmp_path, HOSPITAL), config.HospitalConfig)
    again = config.load(write(tmp_path, config.dump(read)), config.HospitalConfig)
    assert again == read


@dataclass(frozen=True, slots=True)
class Kept:
    """A configuration with a path that may be left out."""

    where: Path = Path("kept")


def test_a_default_path_is_relative_to_the_file_too(tmp_path: Path) -> None:
    assert config.load(write(tmp_path, ""), Kept).where == tmp_path / "kept"


def test_text_of_any_language_survives_a_dump(tmp_path: Path) -> None:
    made = config.ChainConfig('第一"医院"\\', "o\n", tmp_path, config.Listen(), 7, accounts=("0x1", "0x2"))
    assert config.load(write(tmp_path, config.dump(made)), config.ChainConfig) == made


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('data_dir = "data"', 'data_dri = "data"', "unknown key data_dri; did you mean data_dir"),
        ("grpc_port = 7001", "grcp_port = 7001", "listen.grcp_port; did you mean listen.grpc_port"),
        ('id = "hospital-a"', "", "the key id is missing"),
        ("grpc_port = 7001", 'grpc_port = "7001"', "listen.grpc_port must be a whole number, not text"),
        ("grpc_port = 7001", "grpc_port = true", "must be a whole number, not true or false"),
        ("grpc_port = 7001", "grpc_port = 70010", "a port is 0 to 65535"),
        ("witnesses = 2", "witnesses = [2]", "not a list"),
        ("witnesses = 2", "witnesses = 2\nkeyholder = 3", "keyholder must be a table"),
        ('certificate = "a.pem"', 'certificate = ""', "identity.certificate must be a path"),
        ("witnesses = 2", "witnesses = ", "is not TOML"),
        ("witnesses = 2", "witnesses = 2\nlimits = {workers = 0}", "limits.workers must be above 0"),
        ("[[witness_peers]]", "[witness_peers]", "witness_peers must be a list"),
        ('id = "hospital-a"', 'id = "hospital-a"\npassword = "x"', "unknown key password"),
    ],
)
def test_a_mistake_is_named(tmp_path: Path, old: str, new: str, message: str) -> None:
    assert old in HOSPITAL
    with pytest.raises(ConfigInvalid, match=message.replace("[", r"\[")) as caught:
        config.load(write(tmp_path, HOSPITAL.replace(old, new, 1)), config.HospitalConfig)
    assert "hospital.toml" in str(caught.value)


def test_an_absent_file_is_an_error_and_not_a_default(tmp_path: Path) -> None:
    with pytest.raises(ConfigInvalid, match="cannot be read"):
        config.load(tmp_path / "none.toml", config.HospitalConfig)


def test_whole_numbers_serve_as_numbers(tmp_path: Path) -> None:
    read = config.load(write(tmp_path, HOSPITAL + "\n[limits]\nunary_deadline_s = 30\n"), config.HospitalConfig)
    assert read.limits.unary_deadline_s == 30.0


def test_a_key_holder_makes_keys_of_allowed_sizes_only(tmp_path: Path) -> None:
    assert config.KEY_BITS == ALLOWED_BITS
    text = "key_bits = 1024" + HOSPITAL.replace('staff = "staff.json"', "").split("[[witness_peers]]")[0]
    with pytest.raises(ConfigInvalid, match="key_bits = 1024 is asked; there are 2048, 3072, 4096"):
        config.load(write(tmp_path, text), config.KeyholderConfig)


def test_no_secret_can_stand_in_a_configuration() -> None:
    kinds = (
        config.HospitalConfig,
        config.ExchangeConfig,
        config.KeyholderConfig,
        config.ChainConfig,
        config.BuyerConfig,
    )
    names = {entry.name for kind in kinds for entry in fields(kind)}
    assert not {name for name in names if "secret" in name or "passphrase" in name}
