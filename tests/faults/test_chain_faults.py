"""The chain's process killed, gone, replaced; two processes of one account; nodes that anchor through it all."""

import hashlib
import os
import queue
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from hdex.ledger import merkle
from hdex.ledger.anchor import Anchorer, AnchorState
from hdex.ledger.chain_web3 import Web3Chain, deploy
from hdex.ledger.contract import account_address
from hdex.ledger.errors import ChainUnavailable, ChainWrong, LedgerError
from hdex.ledger.evm import EmbeddedChain
from hdex.ledger.note import Signer, format_checkpoint, sign_note
from hdex.ledger.outbox_sqlite import SqliteOutbox
from hdex.node.wire.chain_rpc import ChainServer

pytestmark = pytest.mark.fault

CHAIN_ID = 40426
OPERATOR = "1 operator: demonstration"
KEY = hashlib.sha256(b"operator").digest()
NODE_KEY = hashlib.sha256(b"hospital-a").digest()
LOG_KEY_HASH = hashlib.sha256(b"log key").digest()
SIGNER = Signer("hdex/hospital-a/2026", hashlib.sha256(b"log seed").digest())
KILLS = 200 if os.environ.get("HDEX_SOAK") else 8
SERVER = """
import sys, threading, pathlib
from hdex.node.wire.chain_rpc import serve
path, port, chain_id, *accounts = sys.argv[1:]
serve(pathlib.Path(path), port=int(port), genesis_accounts=accounts or None, chain_id=int(chain_id),
      ready=lambda url: print(url, flush=True), stop=threading.Event())
"""


def digest(text: str) -> bytes:
    return hashlib.sha256(text.encode()).digest()


def now() -> datetime:
    return datetime.now(UTC)


def checkpoint(size: int) -> str:
    leaves = [merkle.leaf_hash(str(number).encode()) for number in range(size)]
    return sign_note(format_checkpoint(SIGNER.name, size, merkle.root(leaves)), SIGNER)


class ChainProcess:
    """The chain's server as a process of its own that can be killed and started again on its port."""

    def __init__(self, path: Path, *, chain_id: int = CHAIN_ID) -> None:
        self._path, self._chain_id = path, chain_id
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self._port = free.getsockname()[1]
        self.url = f"http://127.0.0.1:{self._port}"
        self.start(account_address(KEY))

    def start(self, *accounts: str) -> None:
        arguments = [str(self._path), str(self._port), str(self._chain_id), *accounts]
        self._process = subprocess.Popen([sys.executable, "-c", SERVER, *arguments], stdout=subprocess.PIPE, text=True)
        assert self._process.stdout is not None
        assert self._process.stdout.readline().strip() == self.url

    def kill(self) -> None:
        self._process.send_signal(signal.SIGKILL)
        self._process.wait()
        assert self._process.stdout is not None
        self._process.stdout.close()


@pytest.fixture
def process(tmp_path: Path) -> Iterator[ChainProcess]:
    process = ChainProcess(tmp_path / "chain.db")
    yield process
    process.kill()


def contract_on(process: ChainProcess) -> str:
    address = deploy(process.url, KEY, OPERATOR, expect_chain_id=CHAIN_ID)
    operator = Web3Chain(process.url, address, KEY, CHAIN_ID)
    operator.enroll("hospital-a", account_address(NODE_KEY), LOG_KEY_HASH)
    return address


def test_what_was_acknowledged_survives_kill_9_and_nothing_is_written_twice(process: ChainProcess) -> None:
    address = contract_on(process)
    chain = Web3Chain(process.url, address, NODE_KEY, CHAIN_ID)
    acknowledged: list[bytes] = []
    sent: queue.Queue[None] = queue.Queue()
    stop = threading.Event()

    def write() -> None:
        number = 0
        while not stop.is_set():
            manifest = digest(f"manifest {number}")
            try:
                chain.list_product("hospital-a", manifest)
            except ChainUnavailable:
                stop.wait(0.01)  # the same fact is sent again: it may or may not stand already
                continue
            acknowledged.append(manifest)
            sent.put(None)
            number += 1

    writer = threading.Thread(target=write)
    writer.start()
    for kill in range(KILLS):
        for _ in range(1 + kill % 4):
            sent.get(timeout=60)
        process.kill()
        process.start()
    sent.get(timeout=60)
    stop.set()
    writer.join(60)
    listed = [record.fields["digest"] for record in chain.records("ProductListed")]
    assert listed == [manifest.hex() for manifest in acknowledged]


def test_with_the_chain_down_heads_wait_and_are_anchored_later(process: ChainProcess, tmp_path: Path) -> None:
    address = contract_on(process)
    anchorer = Anchorer(
        Web3Chain(process.url, address, NODE_KEY, CHAIN_ID), SqliteOutbox(tmp_path / "outbox.db"), "hospital-a"
    )
    anchorer.note(checkpoint(3))
    assert anchorer.run_once().anchored_size == 3
    process.kill()
    for size in (4, 5, 6):
        anchorer.note(checkpoint(size))
        status = anchorer.run_once()
    assert (status.state, status.noted_size, status.anchored_size) == (AnchorState.WAITING, 6, 3)
    process.start()
    assert anchorer.run_once().anchored_size == 6
    auditor = Web3Chain(process.url, address, None, CHAIN_ID)
    assert [anchor.size for anchor in auditor.anchors("hospital-a")] == [3, 6]


def test_a_node_that_starts_before_its_chain_uses_it_once_it_is_there(process: ChainProcess) -> None:
    address = contract_on(process)
    process.kill()
    chain = Web3Chain(process.url, address, NODE_KEY, CHAIN_ID)
    with pytest.raises(ChainUnavailable):
        chain.is_granted("grant", now())
    process.start()
    chain.issue_grant("grant", "hospital-a", digest("agreement"), now() + timedelta(days=1))
    assert chain.is_granted("grant", now())


def test_another_chain_id_is_refused_and_nothing_is_sent(process: ChainProcess) -> None:
    address = contract_on(process)
    other = Web3Chain(process.url, address, NODE_KEY, CHAIN_ID + 1)
    with pytest.raises(ChainWrong, match=f"found chain {CHAIN_ID}, asked for {CHAIN_ID + 1}"):
        other.list_product("hospital-a", digest("manifest"))
    with pytest.raises(ChainWrong):
        deploy(process.url, KEY, OPERATOR, expect_chain_id=1)
    assert Web3Chain(process.url, address, None, CHAIN_ID).records("ProductListed") == []


def test_an_address_without_our_contract_is_refused(process: ChainProcess) -> None:
    empty = Web3Chain(process.url, account_address(KEY), NODE_KEY, CHAIN_ID)
    with pytest.raises(ChainWrong, match="not the committed contract: 0 bytes"):
        empty.operator()


def test_a_chain_that_was_replaced_during_an_outage_is_refused(process: ChainProcess, tmp_path: Path) -> None:
    chain = Web3Chain(process.url, contract_on(process), NODE_KEY, CHAIN_ID)
    chain.list_product("hospital-a", digest("manifest"))
    process.kill()
    with pytest.raises(ChainUnavailable):
        chain.list_product("hospital-a", digest("manifest 2"))
    for left in tmp_path.glob("chain.db*"):
        left.unlink()
    process.start(account_address(KEY))
    with pytest.raises(ChainWrong, match="not the committed contract"):
        chain.list_product("hospital-a", digest("manifest 2"))


def test_something_that_speaks_no_json_rpc_is_not_taken_for_a_chain() -> None:
    with ChainServer(lambda _: b"<html>") as page, pytest.raises(ChainWrong):
        Web3Chain(page.url, account_address(KEY), NODE_KEY, CHAIN_ID).chain_id()


def test_two_processes_of_one_account_leave_no_gap_in_its_nonces(process: ChainProcess) -> None:
    address = contract_on(process)
    clients = [Web3Chain(process.url, address, NODE_KEY, CHAIN_ID) for _ in range(4)]
    work = [(clients[number % 4], digest(f"manifest {number}")) for number in range(24)]
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda item: item[0].list_product("hospital-a", item[1]), work))
    assert len(clients[0].records("ProductListed")) == 24


def list_until_refused(node: Web3Chain, listed: list[str]) -> None:
    for number in range(200):
        node.list_product("hospital-a", digest(f"manifest {number}"))
        listed.append(digest(f"manifest {number}").hex())


def test_a_full_disk_refuses_and_the_chain_goes_on_when_there_is_room(tmp_path: Path) -> None:
    chain = EmbeddedChain(tmp_path / "chain.db", [account_address(KEY)], now)
    with ChainServer(chain.respond) as server:
        address = deploy(server.url, KEY, OPERATOR, expect_chain_id=CHAIN_ID)
        operator = Web3Chain(server.url, address, KEY, CHAIN_ID)
        operator.enroll("hospital-a", account_address(NODE_KEY), LOG_KEY_HASH)
        node = Web3Chain(server.url, address, NODE_KEY, CHAIN_ID)
        database = chain._miner._store._db
        pages = database.execute("PRAGMA page_count").fetchone()[0]
        database.execute(f"PRAGMA max_page_count={pages + 4}")  # SQLite answers as on a full disk
        listed: list[str] = []
        with pytest.raises(LedgerError):
            list_until_refused(node, listed)
        database.execute(f"PRAGMA max_page_count={pages + 10_000}")
        node.list_product("hospital-a", digest("when there is room"))
        told = [record.fields["digest"] for record in node.records("ProductListed")]
        assert told == [*listed, digest("when there is room").hex()]
    chain.close()
