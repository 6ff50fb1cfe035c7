"""The embedded chain: JSON-RPC as clients know it, block times, its file."""

import hashlib
import json
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, cast

import pytest
from eth_account import Account

from hdex.ledger.contract import account_address, build
from hdex.ledger.errors import ChainUnavailable, ChainWrong
from hdex.ledger.evm import EmbeddedChain
from hdex.ledger.evm.refusal import RpcError

CHAIN_ID = 40426
KEY = hashlib.sha256(b"test account").digest()
ADDRESS = account_address(KEY)
START = datetime(2026, 11, 21, 22, 0, tzinfo=UTC)
INITCODE = "0x602a60005260206000f3"  # returns 32 bytes, 42, as the contract's code


class Clock:
    """A clock that stands until it is set."""

    def __init__(self) -> None:
        self.time = START

    def __call__(self) -> datetime:
        return self.time


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def chain(tmp_path: Path, clock: Clock) -> Iterator[EmbeddedChain]:
    chain = EmbeddedChain(tmp_path / "chain.db", [ADDRESS], clock)
    yield chain
    chain.close()


def ask(chain: EmbeddedChain, method: str, *params: object) -> Any:
    return chain.dispatch(method, params)


def signed(nonce: int, *, chain_id: int | None = CHAIN_ID, gas: int = 100_000, **fields: object) -> str:
    transaction = {"nonce": nonce, "gasPrice": 0, "gas": gas, "to": ADDRESS, "value": 0, "data": b"", **fields}
    if chain_id is not None:
        transaction["chainId"] = chain_id
    return "0x" + bytes(Account.from_key(KEY).sign_transaction(transaction).raw_transaction).hex()


def refusal(call: Callable[[], object]) -> RpcError:
    with pytest.raises(RpcError) as refused:
        call()
    return refused.value


def test_a_new_chain_stands_at_its_funded_genesis(chain: EmbeddedChain) -> None:
    assert ask(chain, "eth_chainId") == hex(CHAIN_ID)
    assert ask(chain, "net_version") == str(CHAIN_ID)
    assert ask(chain, "eth_blockNumber") == "0x0"
    assert int(ask(chain, "eth_getBalance", ADDRESS, "latest"), 16) > 10**20
    assert ask(chain, "eth_getBalance", "0x" + "11" * 20, "latest") == "0x0"
    assert ask(chain, "eth_gasPrice") == "0x0"
    assert ask(chain, "eth_syncing") is False
    genesis = ask(chain, "eth_getBlockByNumber", "0x0", False)
    assert int(genesis["timestamp"], 16) == int(START.timestamp())


def test_a_transaction_is_mined_at_once_into_its_own_block(chain: EmbeddedChain) -> None:
    tx = ask(chain, "eth_sendRawTransaction", signed(0))
    receipt = ask(chain, "eth_getTransactionReceipt", tx)
    block = ask(chain, "eth_getBlockByNumber", "latest", True)
    assert (receipt["status"], receipt["blockNumber"], receipt["blockHash"]) == ("0x1", "0x1", block["hash"])
    assert [shown["hash"] for shown in block["transactions"]] == [tx]
    assert ask(chain, "eth_getBlockByHash", block["hash"], False)["transactions"] == [tx]
    assert ask(chain, "eth_getTransactionByHash", tx)["from"] == ADDRESS
    assert ask(chain, "eth_getTransactionCount", ADDRESS, "pending") == "0x1"


def test_what_is_not_there_is_null(chain: EmbeddedChain) -> None:
    nowhere = "0x" + "00" * 32
    assert ask(chain, "eth_getTransactionReceipt", nowhere) is None
    assert ask(chain, "eth_getTransactionByHash", nowhere) is None
    assert ask(chain, "eth_getBlockByHash", nowhere, False) is None
    assert ask(chain, "eth_getBlockByNumber", "0x99", False) is None
    assert ask(chain, "eth_getCode", ADDRESS, "latest") == "0x"


def test_wrong_transactions_are_refused_in_the_words_clients_know_and_change_nothing(chain: EmbeddedChain) -> None:
    ask(chain, "eth_sendRawTransaction", signed(0))
    raw = {
        "already known": signed(0),
        "nonce too low": signed(0, value=1),
        "nonce too high": signed(2),
        "invalid chain id": signed(1, chain_id=1),
        "exceeds block gas limit": signed(1, gas=29_000_000),
        "cannot be decoded": "0x1234",
    }
    for words, transaction in raw.items():
        assert words in refusal(lambda sent=transaction: ask(chain, "eth_sendRawTransaction", sent)).message  # type: ignore[misc]
    assert "invalid chain id" in refusal(lambda: ask(chain, "eth_sendRawTransaction", signed(1, chain_id=None))).message
    assert "not valid" in refusal(lambda: ask(chain, "eth_sendRawTransaction", signed(1, gas=20_000))).message
    assert ask(chain, "eth_blockNumber") == "0x1"
    ask(chain, "eth_sendRawTransaction", signed(1))


def test_a_dynamic_fee_transaction_is_mined_too(chain: EmbeddedChain) -> None:
    fields = {"nonce": 0, "maxFeePerGas": 5, "maxPriorityFeePerGas": 0, "gas": 21_000, "to": ADDRESS, "value": 1}
    raw = Account.from_key(KEY).sign_transaction({**fields, "chainId": CHAIN_ID, "type": 2}).raw_transaction
    tx = ask(chain, "eth_sendRawTransaction", "0x" + raw.hex())
    assert ask(chain, "eth_getTransactionByHash", tx)["type"] == "0x2"
    assert ask(chain, "eth_getTransactionReceipt", tx)["status"] == "0x1"


def test_an_account_without_funds_can_transact_because_gas_is_free(chain: EmbeddedChain) -> None:
    poor = Account.from_key(hashlib.sha256(b"poor").digest())
    raw = poor.sign_transaction(
        {"nonce": 0, "gasPrice": 0, "gas": 21_000, "to": ADDRESS, "value": 0, "chainId": CHAIN_ID}
    ).raw_transaction
    assert ask(chain, "eth_getTransactionReceipt", ask(chain, "eth_sendRawTransaction", "0x" + raw.hex()))["status"]


def test_gas_stays_free_after_the_fullest_transaction(chain: EmbeddedChain) -> None:
    endless = "0x5b600056"  # JUMPDEST, PUSH1 0, JUMP: burns all it is given
    tx = ask(chain, "eth_sendRawTransaction", signed(0, gas=14_999_999, to=b"", data=bytes.fromhex(endless[2:])))
    assert ask(chain, "eth_getTransactionReceipt", tx)["status"] == "0x0"
    ask(chain, "eth_sendRawTransaction", signed(1))
    assert ask(chain, "eth_getBlockByNumber", "latest", False)["baseFeePerGas"] == "0x0"


def test_calls_see_the_state_and_leave_it_alone(chain: EmbeddedChain) -> None:
    assert int(ask(chain, "eth_call", {"data": INITCODE}, "latest"), 16) == 42
    assert int(ask(chain, "eth_estimateGas", {"from": ADDRESS, "data": INITCODE}), 16) > 21_000
    assert ask(chain, "eth_blockNumber") == "0x0"
    refused = refusal(lambda: ask(chain, "eth_call", {"data": "0x60006000fd"}, "latest"))
    assert (refused.code, refused.data) == (3, "0x")


def test_parameters_of_the_wrong_shape_are_refused(chain: EmbeddedChain) -> None:
    calls: list[tuple[str, tuple[object, ...]]] = [
        ("eth_getBalance", ("0x12", "latest")),
        ("eth_getBalance", ("zz", "latest")),
        ("eth_getBalance", ()),
        ("eth_getBlockByNumber", ("x", False)),
        ("eth_call", ("0x", "latest")),
        ("eth_getTransactionReceipt", ("0x12",)),
        ("eth_getBalance", (ADDRESS, {"blockNumber": "0x0"})),
    ]
    for method, params in calls:
        assert refusal(lambda method=method, params=params: ask(chain, method, *params)).code == -32602  # type: ignore[misc]
    assert refusal(lambda: ask(chain, "eth_sign", ADDRESS, "0x")).code == -32601
    assert refusal(lambda: ask(chain, "eth_getBalance", ADDRESS, "0x99")).message == "header not found"


def test_fee_history_is_all_zero(chain: EmbeddedChain) -> None:
    ask(chain, "eth_sendRawTransaction", signed(0))
    history = ask(chain, "eth_feeHistory", "0x5", "latest", [50.0])
    assert history["oldestBlock"] == "0x0"
    assert set(history["baseFeePerGas"]) == {"0x0"}


def test_block_times_come_from_the_clock_and_never_go_back(chain: EmbeddedChain, clock: Clock) -> None:
    times = []
    for nonce, step_s in enumerate((5, 0, -3600, 7200)):
        clock.time += timedelta(seconds=step_s)
        ask(chain, "eth_sendRawTransaction", signed(nonce))
        times.append(int(ask(chain, "eth_getBlockByNumber", "latest", False)["timestamp"], 16))
    start = int(START.timestamp())
    assert times == [start + 5, start + 5, start + 5, start + 3605]


def test_logs_are_found_by_address_topic_and_block(chain: EmbeddedChain) -> None:
    argument = (32).to_bytes(32, "big") + (2).to_bytes(32, "big") + b"me".ljust(32, b"\0")
    deployment = signed(0, gas=4_000_000, to=b"", data=build().bytecode + argument)
    receipt = ask(chain, "eth_getTransactionReceipt", ask(chain, "eth_sendRawTransaction", deployment))
    ask(chain, "eth_sendRawTransaction", signed(1))
    (log,) = receipt["logs"]
    assert log["blockTimestamp"] == hex(int(START.timestamp()))
    found: list[dict[str, object]] = [
        {"fromBlock": "earliest"},
        {"address": receipt["contractAddress"], "fromBlock": "0x1", "toBlock": "0x1"},
        {"address": [ADDRESS, receipt["contractAddress"]], "fromBlock": "0x0", "topics": [log["topics"][0]]},
        {"fromBlock": "0x0", "topics": [None, [log["topics"][1], "0x" + "00" * 32]]},
        {"blockHash": receipt["blockHash"]},
    ]
    not_found: list[dict[str, object]] = [
        {"fromBlock": "0x2"},
        {},
        {"address": ADDRESS, "fromBlock": "0x0"},
        {"fromBlock": "0x0", "topics": ["0x" + "00" * 32]},
        {"fromBlock": "0x0", "topics": [None, None, None]},
    ]
    assert [ask(chain, "eth_getLogs", wanted) for wanted in found] == [[log]] * len(found)
    assert [ask(chain, "eth_getLogs", wanted) for wanted in not_found] == [[]] * len(not_found)


def test_a_reopened_chain_stands_where_it_stood(tmp_path: Path, clock: Clock) -> None:
    path = tmp_path / "chain.db"
    chain = EmbeddedChain(path, [ADDRESS], clock)
    for nonce in range(3):
        ask(chain, "eth_sendRawTransaction", signed(nonce))
    head = ask(chain, "eth_getBlockByNumber", "latest", True)
    chain.close()
    again = EmbeddedChain(path, None, clock)
    assert ask(again, "eth_getBlockByNumber", "latest", True) == head
    ask(again, "eth_sendRawTransaction", signed(3))
    again.close()


def test_a_missing_file_is_an_error_and_not_a_new_chain(tmp_path: Path, clock: Clock) -> None:
    with pytest.raises(ChainUnavailable, match="there is no chain"):
        EmbeddedChain(tmp_path / "chain.db", None, clock)
    assert not (tmp_path / "chain.db").exists()


def test_a_file_of_another_chain_or_no_chain_is_refused(tmp_path: Path, clock: Clock) -> None:
    EmbeddedChain(tmp_path / "chain.db", [ADDRESS], clock).close()
    with pytest.raises(ChainWrong, match="holds chain 40426, asked for 7"):
        EmbeddedChain(tmp_path / "chain.db", [ADDRESS], clock, chain_id=7)
    (tmp_path / "text.db").write_text("this is no database, it only looks like a file of one" * 100)
    with pytest.raises(ChainWrong, match="is not a chain's file"):
        EmbeddedChain(tmp_path / "text.db", [ADDRESS], clock)


def test_a_second_server_on_the_same_file_is_refused(tmp_path: Path, clock: Clock, chain: EmbeddedChain) -> None:
    ask(chain, "eth_sendRawTransaction", signed(0))
    with pytest.raises(ChainUnavailable, match="cannot be opened"):
        EmbeddedChain(tmp_path / "chain.db", None, clock)


def request_body(method: str, *params: object) -> bytes:
    return json.dumps({"jsonrpc": "2.0", "id": 7, "method": method, "params": params}).encode()


def test_bodies_are_answered_as_json_rpc_says(chain: EmbeddedChain) -> None:
    def answered(body: bytes) -> Any:
        return json.loads(chain.respond(body))

    assert answered(request_body("eth_chainId")) == {"jsonrpc": "2.0", "id": 7, "result": hex(CHAIN_ID)}
    batch = b"[" + request_body("eth_chainId") + b"," + request_body("nothing") + b"]"
    assert [set(answer) - {"jsonrpc", "id"} for answer in answered(batch)] == [{"result"}, {"error"}]
    codes = {body: cast(int, answered(body)["error"]["code"]) for body in (b"{", b"[]", b"3", b'{"method":1}', b"\xff")}
    assert codes == {b"{": -32700, b"[]": -32600, b"3": -32600, b'{"method":1}': -32600, b"\xff": -32700}


def test_deeply_nested_json_does_not_end_the_process(chain: EmbeddedChain) -> None:
    # py-evm lifts the recursion limit to 100,000; without a bound this is a segmentation fault
    for body in (b"[" * 100_000, b'{"a":' * 100_000):
        assert json.loads(chain.respond(body))["error"]["code"] == -32700
    within = b"[" * 4000 + b"]" * 4000  # a batch of one request that is no object
    assert [answer["error"]["code"] for answer in json.loads(chain.respond(within))] == [-32600]


def test_a_contract_that_calls_itself_without_end_ends(chain: EmbeddedChain) -> None:
    # CALL(gas, address(this), 0, 0, 0, 0, 0)
    loop = "6000600060006000600030" + "5af1" + "00"
    code = bytes.fromhex(loop)
    deployment = bytes([0x60, len(code), 0x60, 12, 0x60, 0, 0x39, 0x60, len(code), 0x60, 0, 0xF3]) + code
    raw = signed(0, gas=1_000_000, to=b"", data=deployment)
    receipt = ask(chain, "eth_getTransactionReceipt", ask(chain, "eth_sendRawTransaction", raw))
    with ThreadPoolExecutor(1) as pool:  # as a server's thread has it: the stack of a thread
        body = request_body("eth_call", {"to": receipt["contractAddress"]}, "latest")
        assert json.loads(pool.submit(chain.respond, body).result())["result"] == "0x"
