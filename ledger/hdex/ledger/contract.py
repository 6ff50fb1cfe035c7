"""The committed build of ExchangeLedger.sol, and how our names become its 32-byte words."""

import hashlib
import json
import re
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from importlib.resources import files
from typing import cast

from coincurve import PrivateKey
from Crypto.Hash import keccak

from hdex.ledger.errors import ChainRefused

NODE_ID = re.compile(r"[a-z0-9][a-z0-9.-]{0,31}")
SHARD = re.compile(r"[1-9][0-9]{3}", re.ASCII)
WORD = 32


@dataclass(frozen=True, slots=True)
class Build:
    """What `contracts/compile.sh` made: the same source and settings give the same bytes."""

    abi: tuple[dict[str, object], ...]
    bytecode: bytes  # sent once, to deploy
    deployed_bytecode: bytes  # what eth_getCode must answer
    compiler: str


@cache
def build() -> Build:
    """Return the build that is committed beside the contract's source."""
    text = files("hdex.ledger").joinpath("contracts/ExchangeLedger.json").read_text("utf-8")
    document = json.loads(text)
    return Build(
        abi=tuple(document["abi"]),
        bytecode=bytes.fromhex(document["bytecode"].removeprefix("0x")),
        deployed_bytecode=bytes.fromhex(document["deployed_bytecode"].removeprefix("0x")),
        compiler=document["compiler"],
    )


def event_names() -> tuple[str, ...]:
    """Return the kinds of facts that the contract emits."""
    return tuple(str(entry["name"]) for entry in build().abi if entry["type"] == "event")


def require_event(kind: str) -> str:
    """Return `kind` when the contract emits such facts, else raise ValueError."""
    if kind not in event_names():
        raise ValueError(f"the contract emits no {kind}; it emits {', '.join(event_names())}")
    return kind


def account_address(account_key: bytes) -> str:
    """Return the account of a secp256k1 private key of 32 bytes, with EIP-55 checksum."""
    public = PrivateKey(account_key).public_key.format(compressed=False)[1:]
    return checksum_address(_keccak(public)[12:])


def checksum_address(address: bytes) -> str:
    """Return 20 bytes as 0x hex whose capitals are a checksum. Source: EIP-55."""
    text = address.hex()
    marks = _keccak(text.encode()).hex()
    return "0x" + "".join(
        letter.upper() if int(mark, 16) >= 8 else letter for letter, mark in zip(text, marks, strict=False)
    )


def _keccak(message: bytes) -> bytes:
    return keccak.new(data=message, digest_bits=256).digest()


@cache
def selector(name: str) -> bytes:
    """Return the four bytes that choose a function of the contract."""
    (entry,) = [one for one in build().abi if (one["type"], one.get("name")) == ("function", name)]
    types = ",".join(one["type"] for one in cast("list[dict[str, str]]", entry["inputs"]))
    return _keccak(f"{name}({types})".encode())[:4]


def call_data(name: str, *words: bytes) -> str:
    """Return a call as 0x hex whose arguments are words of 32 bytes."""
    return "0x" + b"".join([selector(name), *words]).hex()


def grant_words(node: str, agreement_digest: bytes, expires: datetime) -> bytes:
    """Return what the contract holds of a grant that stands, before the blocks of its life."""
    return node_word(node) + digest_word(agreement_digest) + seconds(expires).to_bytes(WORD, "big")


def error_rules() -> dict[str, str]:
    """Return the contract's errors: selector as 0x hex -> name."""
    errors = [entry for entry in build().abi if entry["type"] == "error"]
    return {"0x" + _keccak(f"{entry['name']}()".encode())[:4].hex(): str(entry["name"]) for entry in errors}


def node_word(node_id: str) -> bytes:
    """Return the id as 32 bytes, readable in any block explorer."""
    if not NODE_ID.fullmatch(node_id):
        raise ChainRefused("a node id is 1-32 characters of a-z, 0-9, dot, hyphen", rule="NodeIdInvalid")
    return node_id.encode().ljust(WORD, b"\0")


def node_id(word: bytes) -> str:
    """Return the id that `node_word` wrote."""
    return word.rstrip(b"\0").decode("ascii", "replace")


def shard_of(name: str) -> tuple[str, int]:
    """Return (node id, shard) of the name that a log is anchored under.

    `hospital-a` is the node's first shard, 0 on chain; `hospital-a/2027` the one of that year. One account and one
    enrolment serve them all; the contract takes them in growing order only.
    """
    node, separator, year = name.partition("/")
    if not separator:
        return node, 0
    if not SHARD.fullmatch(year):
        raise ChainRefused("a later shard is named <node>/<year of four digits>", rule="NodeIdInvalid")
    return node, int(year)


def size_word(number: int) -> int:
    """Return a log's size that the contract can hold."""
    if not 0 <= number < 2**48:
        raise ChainRefused("a log's size is 0 or greater and fits 48 bits", rule="OutOfRange")
    return number


def name_word(name: str) -> bytes:
    """Return SHA-256 of a grant or study id: ids are random or public, so the digest hides nothing it must hide."""
    return hashlib.sha256(name.encode()).digest()


def digest_word(digest: bytes) -> bytes:
    """Return `digest` when it is a digest of 32 bytes that are not all zero."""
    if len(digest) != WORD or not any(digest):
        raise ChainRefused(f"a digest has {WORD} bytes and is not zero, this one has {len(digest)}", rule="Empty")
    return digest


def count(number: int) -> int:
    """Return a round number that the contract can hold."""
    if not 0 <= number < 2**64:
        raise ChainRefused("a round is 0 or greater and fits 64 bits", rule="OutOfRange")
    return number


def seconds(time: datetime) -> int:
    """Return whole seconds since 1970 of a time that knows its zone."""
    if time.tzinfo is None:
        raise ValueError("a time without a zone cannot go on chain")
    return int(time.timestamp())


def time_of(timestamp: int) -> datetime:
    """Return a block's timestamp as a time in UTC."""
    return datetime.fromtimestamp(timestamp, UTC)
