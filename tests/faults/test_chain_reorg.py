"""What only a test node can do, where one is installed: reorganisations, and blocks that take nothing of ours."""

import hashlib
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from web3 import Web3

from hdex.ledger import merkle
from hdex.ledger.anchor import STEADY, Anchorer, AnchorState
from hdex.ledger.chain_sender import Patience
from hdex.ledger.chain_web3 import PATIENCE, Web3Chain, connect, deploy
from hdex.ledger.contract import account_address
from hdex.ledger.errors import ChainUnavailable
from hdex.ledger.note import Signer, format_checkpoint, sign_note
from hdex.ledger.outbox_sqlite import SqliteOutbox

pytestmark = pytest.mark.fault

CHAIN_ID, NODE = 40426, "hospital-a"
KEY, NODE_KEY = (hashlib.sha256(text).digest() for text in (b"reorg operator", b"reorg node"))
SIGNER = Signer("hdex/hospital-a/2026", hashlib.sha256(b"log seed").digest())
LEAVES = [merkle.leaf_hash(b"%d" % number) for number in range(20)]
QUICK = Patience(poll=0.02, replace=0.4, give_up=1.0)


def checkpoint(size: int) -> str:
    return sign_note(format_checkpoint(SIGNER.name, size, merkle.root(LEAVES[:size])), SIGNER)


class Anvil:
    """The node, and what only a test may tell it."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.web3 = connect(url)
        self.tell("anvil_setBalance", account_address(KEY), hex(10**24))
        self.tell("anvil_setBalance", account_address(NODE_KEY), hex(10**24))
        self.address = deploy(url, KEY, "1 operator: test", expect_chain_id=CHAIN_ID)
        Web3Chain(url, self.address, KEY, CHAIN_ID).enroll(NODE, account_address(NODE_KEY), b"\x01" * 32)
        self.tell("anvil_mine", hex(3))

    def tell(self, method: str, *params: object) -> Any:
        found: Any = self.web3.provider.make_request(method, list(params))  # type: ignore[arg-type]  # anvil's own
        assert "error" not in found, found
        return found["result"]

    def chain(self, patience: Patience) -> Web3Chain:
        return Web3Chain(self.url, self.address, NODE_KEY, CHAIN_ID, patience=patience)

    def anchored(self) -> list[int]:
        return [anchor.size for anchor in Web3Chain(self.url, self.address, None, CHAIN_ID).anchors(NODE)]

    def counts(self) -> tuple[int, int]:
        """Return the node account's nonce after what is mined, and after what waits."""
        account = Web3.to_checksum_address(account_address(NODE_KEY))
        eth = self.web3.eth
        return eth.get_transaction_count(account, "latest"), eth.get_transaction_count(account, "pending")


@pytest.fixture
def anvil() -> Iterator[Anvil]:
    program = shutil.which("anvil")
    if program is None:
        pytest.skip("anvil is not installed")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [program, "--host", "127.0.0.1", "--port", str(port), "--chain-id", str(CHAIN_ID), "--quiet"]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        wait_for(port)
        yield Anvil(f"http://127.0.0.1:{port}")
    finally:
        process.terminate()
        process.wait()


def wait_for(port: int) -> None:
    end = time.monotonic() + 30
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
            return
        except OSError:
            assert time.monotonic() < end, "the node did not start"
            time.sleep(0.02)


class Clock:
    """The node's time, which a test moves."""

    def __init__(self) -> None:
        self.time = datetime.now(UTC)

    def __call__(self) -> datetime:
        return self.time


def anchorer(anvil: Anvil, folder: Path, clock: Clock, patience: Patience = PATIENCE) -> Anchorer:
    outbox = SqliteOutbox(folder / "outbox.db")
    return Anchorer(
        anvil.chain(patience), outbox, NODE, root_at=lambda size: merkle.root(LEAVES[:size]), pace=STEADY, clock=clock
    )


def test_an_anchor_that_a_reorganisation_took_back_is_sent_again_and_the_same_one_wins(
    anvil: Anvil, tmp_path: Path
) -> None:
    clock = Clock()
    anchor = anchorer(anvil, tmp_path, clock)
    anchor.note(checkpoint(5))
    before = anchor.run_once()
    assert anvil.anchored() == [5]
    anvil.tell("anvil_reorg", 1, [])
    assert anvil.anchored() == []
    clock.time += timedelta(minutes=1)
    after = anchor.run_once()
    assert (after.state, anvil.anchored()) == (AnchorState.ANCHORED, [5])
    assert after.tx != before.tx
    anchor.note(checkpoint(9))
    clock.time += timedelta(minutes=1)
    assert anchor.run_once().anchored_size == 9
    assert anvil.anchored() == [5, 9]


def test_a_restart_after_a_reorganisation_reconciles_with_the_contract(anvil: Anvil, tmp_path: Path) -> None:
    clock = Clock()
    for size in (5, 9):
        anchor = anchorer(anvil, tmp_path, clock)
        anchor.note(checkpoint(size))
        clock.time += timedelta(minutes=1)
        anchor.run_once()
    anvil.tell("anvil_reorg", 1, [])
    assert anvil.anchored() == [5]
    again = anchorer(anvil, tmp_path, clock)
    assert again.run_once().anchored_size == 9
    assert anvil.anchored() == [5, 9]


def test_a_stuck_anchor_is_replaced_under_its_own_nonce_also_by_the_next_process(anvil: Anvil, tmp_path: Path) -> None:
    clock = Clock()
    anvil.tell("evm_setAutomine", False)
    first = anchorer(anvil, tmp_path, clock, QUICK)
    first.note(checkpoint(5))
    status = first.run_once()
    assert (status.state, "not mined" in status.reason) == (AnchorState.WAITING, True)
    mined, pending = anvil.counts()
    assert pending == mined + 1  # one nonce, however often its price was raised
    again = anchorer(anvil, tmp_path, clock, QUICK)  # another process, which remembers the head and no transaction
    again.note(checkpoint(9))
    assert again.run_once().state is AnchorState.WAITING  # its own waits behind the one that is stuck
    assert anvil.counts() == (mined, mined + 2)
    assert again.run_once().state is AnchorState.WAITING  # and now replaces that one
    anvil.tell("anvil_mine")
    assert anvil.counts() == (mined + 2, mined + 2)
    assert anvil.anchored() == [9]
    assert again.run_once().state is AnchorState.ANCHORED


def test_a_node_that_mines_nothing_delays_and_tells(anvil: Anvil) -> None:
    anvil.tell("evm_setAutomine", False)
    with pytest.raises(ChainUnavailable, match="not mined within"):
        anvil.chain(QUICK).anchor(NODE, 3, merkle.root(LEAVES[:3]), b"\x02" * 32)
    anvil.tell("anvil_mine")
    assert anvil.anchored() == [3]
