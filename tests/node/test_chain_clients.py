"""What a stock Web3(HTTPProvider(url)) asks of a chain, and that the embedded chain answers it."""

import hashlib
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from eth_typing import HexStr
from web3 import HTTPProvider, Web3
from web3.exceptions import ContractLogicError, MethodUnavailable, TransactionNotFound
from web3.middleware import SignAndSendRawMiddlewareBuilder

from hdex.ledger import contract
from hdex.ledger.evm import EmbeddedChain
from hdex.ledger.evm.methods import METHODS
from hdex.node.wire.chain_rpc import ChainServer

ROOT = Path(__file__).resolve().parents[2]
KEY = hashlib.sha256(b"stock client").digest()
ADDRESS = Web3.to_checksum_address(contract.account_address(KEY))


@dataclass
class Client:
    """A stock client: nothing of ours in it. `asked` are the methods it sent."""

    web3: Web3
    asked: set[str] = field(default_factory=set)
    ledger: Any = None

    def deploy(self) -> None:
        build = contract.build()
        abi: Any = list(build.abi)
        made = self.web3.eth.contract(abi=abi, bytecode=build.bytecode).constructor("1 operator: test")
        receipt = self.web3.eth.wait_for_transaction_receipt(made.transact(), poll_latency=0.01)
        assert receipt["contractAddress"] is not None
        self.ledger = self.web3.eth.contract(receipt["contractAddress"], abi=abi)


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    folder = tmp_path_factory.mktemp("chain")
    chain = EmbeddedChain(folder / "chain.db", [ADDRESS], lambda: datetime.now(UTC))
    asked: set[str] = set()

    def respond(body: bytes) -> bytes:
        found = json.loads(body)
        asked.update(one["method"] for one in (found if isinstance(found, list) else [found]))
        return chain.respond(body)

    with ChainServer(respond) as server:
        web3 = Web3(HTTPProvider(server.url))
        signing: Any = SignAndSendRawMiddlewareBuilder.build("0x" + KEY.hex())
        web3.middleware_onion.inject(signing, layer=0)
        web3.eth.default_account = ADDRESS
        made = Client(web3, asked)
        made.deploy()
        yield made
    chain.close()


def test_a_stock_client_deploys_sends_calls_and_reads_events(client: Client) -> None:
    eth, node = client.web3.eth, contract.node_word("hospital-a")
    tx = client.ledger.functions.enroll(node, ADDRESS, b"k" * 32).transact()  # dynamic fees, estimate, signing
    receipt = eth.wait_for_transaction_receipt(tx, poll_latency=0.01)
    assert (receipt["status"], receipt["type"]) == (1, 2)
    (log,) = client.ledger.events.NodeEnrolled().get_logs(from_block=0)
    assert log["args"]["node"] == node
    assert client.ledger.functions.nodes(node).call()[0] == ADDRESS
    with pytest.raises(ContractLogicError):
        client.ledger.functions.withdraw(b"p" * 32).call()
    with pytest.raises(ContractLogicError):
        client.ledger.functions.withdraw(b"p" * 32).transact()


def test_every_read_of_the_eth_module_is_answered(client: Client) -> None:
    web3, eth = client.web3, client.web3.eth
    newest = eth.get_block("latest", full_transactions=True)
    number, block_hash = newest["number"], newest["hash"]
    tx: Any = newest["transactions"][0]
    assert web3.is_connected()
    assert web3.client_version.startswith("hdex")
    assert (web3.net.version, web3.net.listening, eth.syncing, list(eth.accounts)) == (
        str(eth.chain_id),
        False,
        False,
        [],
    )
    assert eth.block_number == number
    assert (eth.gas_price, eth.max_priority_fee) == (0, 0)
    assert eth.fee_history(2, "latest", [10.0])["baseFeePerGas"][-1] == 0
    assert eth.get_balance(ADDRESS) > 0
    assert eth.get_transaction_count(ADDRESS) >= 1
    assert bytes(eth.get_code(client.ledger.address)) == contract.build().deployed_bytecode
    assert len(eth.get_storage_at(client.ledger.address, 0)) == 32
    assert eth.get_transaction(tx["hash"])["blockHash"] == block_hash
    assert eth.get_transaction_receipt(tx["hash"])["blockNumber"] == number
    assert eth.get_block(block_hash)["number"] == number
    assert eth.get_block_transaction_count(number) == eth.get_block_transaction_count(block_hash) == 1
    assert eth.get_transaction_by_block(number, 0)["hash"] == tx["hash"]
    assert eth.get_transaction_by_block(block_hash, 0)["hash"] == tx["hash"]
    assert [found["transactionHash"] for found in eth.get_block_receipts(number)] == [tx["hash"]]
    assert len(eth.get_logs({"fromBlock": 0, "toBlock": "latest", "address": client.ledger.address})) >= 1
    assert eth.estimate_gas({"from": ADDRESS, "to": ADDRESS}) >= 21_000
    with pytest.raises(TransactionNotFound):
        eth.get_transaction_by_block(number, 7)
    with pytest.raises(TransactionNotFound):
        eth.get_transaction(HexStr("0x" + "01" * 32))


def test_requests_in_a_batch_are_answered(client: Client) -> None:
    with client.web3.batch_requests() as batch:
        batch.add(client.web3.eth.get_block("latest"))
        batch.add(client.ledger.functions.operator())
        found: Any = batch.execute()
    block, operator = found
    assert operator == "1 operator: test"
    assert block["number"] == client.web3.eth.block_number


def test_filters_are_not_offered_and_the_client_is_told_so(client: Client) -> None:
    with pytest.raises(MethodUnavailable):
        client.web3.eth.filter("latest")


def test_the_operators_guide_names_every_method(client: Client) -> None:
    guide = (ROOT / "docs/operator.md").read_text(encoding="utf-8")
    named = set(re.findall(r"`((?:eth|net|web3)_[A-Za-z0-9]+)`", guide))
    assert named == set(METHODS)


def test_a_stock_client_needs_no_other_method(client: Client) -> None:
    test_a_stock_client_deploys_sends_calls_and_reads_events(client)
    test_every_read_of_the_eth_module_is_answered(client)
    assert client.asked - set(METHODS) <= {"eth_newBlockFilter"}
    assert set(METHODS) - client.asked == set()
