"""The consortium's chain: its genesis against Besu's documentation, and our client over answers in QBFT's shape."""

import hashlib
import importlib.util
import json
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import rlp

from hdex.ledger.chain_web3 import Web3Chain, deploy
from hdex.ledger.contract import account_address
from hdex.ledger.evm import EmbeddedChain
from hdex.node.wire.chain_rpc import ChainServer

ROOT = Path(__file__).resolve().parents[2]
CHAIN_ID = 40427
KEY, NODE_KEY = (hashlib.sha256(text).digest() for text in (b"qbft operator", b"qbft node"))
# besu.hyperledger.org, "Configure QBFT consensus", genesis file: the validators and the extra data of the example
VALIDATORS = [
    "0x64a702e6263b7297a96638cac6ae65e6541f4169",
    "0x3923390ad55e90c237593b3b0e401f3b08a03185",
    "0xaefdb9a738c9f433e5b6b212a6d62f6370c2f692",
    "0xc7eeb9a4e00ce683cf93039b212648e01c6c6b78",
]
EXTRA_DATA = (
    "0xf87aa00000000000000000000000000000000000000000000000000000000000000000f854"
    "9464a702e6263b7297a96638cac6ae65e6541f4169943923390ad55e90c237593b3b0e401f3b08a03185"
    "94aefdb9a738c9f433e5b6b212a6d62f6370c2f69294c7eeb9a4e00ce683cf93039b212648e01c6c6b78c080c0"
)


@pytest.fixture(scope="module")
def tool() -> ModuleType:
    spec = importlib.util.spec_from_file_location("qbft_genesis", ROOT / "deploy/besu-qbft/genesis.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_extra_data_is_that_of_besus_example_byte_for_byte(tool: ModuleType) -> None:
    assert "0x" + tool.extra_data([bytes.fromhex(validator[2:]) for validator in VALIDATORS]).hex() == EXTRA_DATA


def test_the_rlp_is_that_of_the_reference_library(tool: ModuleType) -> None:
    for count in (1, 2, 4, 7, 30):
        addresses = [hashlib.sha256(b"%d" % number).digest()[:20] for number in range(count)]
        assert tool.extra_data(addresses) == rlp.encode([bytes(32), addresses, [], b"", []])


def test_everybody_makes_the_same_genesis_in_whatever_order_addresses_came(tool: ModuleType) -> None:
    assert tool.genesis(CHAIN_ID, VALIDATORS) == tool.genesis(CHAIN_ID, VALIDATORS[::-1])


@pytest.mark.parametrize(
    "validators",
    [
        VALIDATORS[:3],
        [*VALIDATORS[:3], VALIDATORS[0]],
        [*VALIDATORS[:3], "0x12"],
        [*VALIDATORS[:3], VALIDATORS[3][2:]],
        [],
    ],
)
def test_too_few_or_no_addresses_make_no_genesis(tool: ModuleType, validators: list[str]) -> None:
    with pytest.raises(ValueError, match="validator"):
        tool.genesis(CHAIN_ID, validators)


def test_gas_is_free_and_the_rules_are_those_the_contract_was_compiled_for(tool: ModuleType) -> None:
    made = tool.genesis(CHAIN_ID, VALIDATORS)
    assert made["config"]["chainId"] == CHAIN_ID
    assert made["config"]["zeroBaseFee"] is True
    assert made["config"]["londonBlock"] == 0
    assert json.loads(json.dumps(made)) == made
    with pytest.raises(ValueError, match="chain id"):
        tool.genesis(0, VALIDATORS)


class Qbft:
    """The embedded chain, answering as Besu does: long extra data, receipts that come later, logs without times."""

    def __init__(self, chain: EmbeddedChain) -> None:
        self._chain = chain
        self._asked: dict[str, int] = {}

    def respond(self, body: bytes) -> bytes:
        request, answer = json.loads(body), json.loads(self._chain.respond(body))
        result, method = answer.get("result"), request["method"]
        if method.startswith("eth_getBlockBy") and result is not None:
            result["extraData"] = EXTRA_DATA
        if method == "eth_getLogs":
            for log in result:
                del log["blockTimestamp"]
        if method == "eth_getTransactionReceipt":
            self._asked[request["params"][0]] = asked = self._asked.get(request["params"][0], 0) + 1
            answer["result"] = result if asked > 3 else None
        return json.dumps(answer).encode()


@pytest.fixture
def url(tmp_path: Path) -> Iterator[str]:
    accounts: Any = []
    chain = EmbeddedChain(tmp_path / "chain.db", accounts, lambda: datetime.now(UTC), chain_id=CHAIN_ID)
    with ChainServer(Qbft(chain).respond) as server:
        yield server.url
    chain.close()


def test_deployment_enrolment_and_anchors_work_by_url_on_a_chain_of_qbft_shape(url: str) -> None:
    address = deploy(url, KEY, "4 validators of 4 organisations", expect_chain_id=CHAIN_ID)
    operator = Web3Chain(url, address, KEY, CHAIN_ID)
    operator.enroll("hospital-a", account_address(NODE_KEY), b"\x01" * 32)
    node = Web3Chain(url, address, NODE_KEY, CHAIN_ID)
    before = datetime.now(UTC).replace(microsecond=0)
    sent = node.anchor("hospital-a", 7, b"\x02" * 32, b"\x03" * 32)
    (anchor,) = Web3Chain(url, address, None, CHAIN_ID).anchors("hospital-a")
    assert (anchor.size, anchor.tx, anchor.block) == (7, sent.tx, sent.block)
    assert anchor.time >= before
    assert node.operator() == "4 validators of 4 organisations"
