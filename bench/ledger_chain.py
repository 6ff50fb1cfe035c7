"""The anchored log beside one transaction per event on the same node, and with the chain away: for bench_ledger.py."""

import hashlib
import socket
import statistics
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from eth_account import Account
from ledger_scale import SCALE
from ledger_tree import ORIGIN, Found, event, open_log
from web3 import Web3

from hdex.ledger.anchor import Anchorer, AnchorState
from hdex.ledger.chain_web3 import Web3Chain, connect, deploy
from hdex.ledger.contract import account_address
from hdex.ledger.event import canonical
from hdex.ledger.evm import EmbeddedChain
from hdex.ledger.log import Log
from hdex.ledger.note import note_hash, parse_checkpoint
from hdex.ledger.outbox_memory import MemoryOutbox
from hdex.node.wire.chain_rpc import ChainServer

CHAIN_ID, OPERATOR, NODE = 40426, "1 operator: benchmark", "hospital-a"
PER_ANCHOR, ANCHORS, SINGLE = SCALE.per_anchor, SCALE.anchors, SCALE.single
RUNS, APPENDS = SCALE.runs, SCALE.appends
GAS_BASIS = 2_000  # events per anchor, of the bar
KEYS = {name: hashlib.sha256(f"bench {name}".encode()).digest() for name in ("operator", "node")}
WHO = {name: account_address(key) for name, key in KEYS.items()}
# CALLDATACOPY(0, 0, 32); LOG1(0, 32, calldata[0]): stores nothing, checks nobody. The cheapest that could be asked for.
LOGGER = bytes.fromhex("6020600060003760003560206000" + "a100")


class Stage:
    """One embedded chain on disk behind HTTP, with the contract on it."""

    def __init__(self, folder: Path) -> None:
        accounts = list(WHO.values())
        self.chain = EmbeddedChain(folder / "chain.db", accounts, lambda: datetime.now(UTC), chain_id=CHAIN_ID)
        self.server = ChainServer(self.chain.respond)

    @contextmanager
    def served(self) -> Iterator["Stage"]:
        with self.server:
            self.web3 = connect(self.server.url)
            self.address = deploy(self.server.url, KEYS["operator"], OPERATOR, expect_chain_id=CHAIN_ID)
            self.as_("operator").enroll(NODE, WHO["node"], hashlib.sha256(b"log key").digest())
            self.node = self.as_("node")
            yield self
        self.chain.close()

    def as_(self, name: str) -> Web3Chain:
        return Web3Chain(self.server.url, self.address, KEYS[name], CHAIN_ID)

    def send(self, name: str, **fields: Any) -> bytes:
        """Send one transaction; the chain mines it before it answers."""
        nonce = self.web3.eth.get_transaction_count(Web3.to_checksum_address(WHO[name]))
        base = {"chainId": CHAIN_ID, "gas": 500_000, "gasPrice": 0, "value": 0, "nonce": nonce}
        signed = Account.from_key(KEYS[name]).sign_transaction(base | fields)
        return bytes(self.web3.eth.send_raw_transaction(signed.raw_transaction))

    def gas(self, tx: bytes) -> int:
        receipt = self.web3.eth.get_transaction_receipt(tx)
        assert receipt["status"] == 1
        return int(receipt["gasUsed"])


def beside_one_by_one() -> list[Found]:
    """Events a second and gas an event: in anchored groups, and each as its own transaction."""
    speeds, gases, seen = list[float](), list[float](), {"grouped/s": [], "single/s": [], "gas": []}
    with tempfile.TemporaryDirectory(prefix="hdex-bench-") as name, Stage(Path(name)).served() as stage:
        logger = logging_contract(stage)
        log = open_log(Path(name) / "log.db")
        for _ in range(RUNS):
            grouped, anchor_gas = anchored(stage, log)
            single, single_gas = one_by_one(stage, logger)
            speeds.append(grouped / single)
            gases.append(single_gas * GAS_BASIS / anchor_gas)
            for key, value in zip(seen, (round(grouped), round(single), [anchor_gas, single_gas]), strict=True):
                seen[key].append(value)
        log.close()
    return [
        Found("grouped and anchored events/s over one transaction per event", speeds, 150, "at least", "x", seen),
        Found("gas per event at 2,000 per anchor, less than one transaction", gases, 1000, "at least", "x", seen),
    ]


def logging_contract(stage: Stage) -> str:
    size = len(LOGGER)
    initcode = bytes([0x60, size, 0x60, 12, 0x60, 0, 0x39, 0x60, size, 0x60, 0, 0xF3]) + LOGGER
    receipt = stage.web3.eth.get_transaction_receipt(stage.send("operator", data=initcode))
    return str(receipt["contractAddress"])


def anchored(stage: Stage, log: Log) -> tuple[float, int]:
    """Return events/s, from the event to its anchor on the chain, and the gas of one anchor."""
    events = [event(log.size + number) for number in range(PER_ANCHOR * ANCHORS)]
    began = time.perf_counter()
    for start in range(0, len(events), PER_ANCHOR):
        log.append_all([canonical(one) for one in events[start : start + PER_ANCHOR]])
        head = parse_checkpoint(log.checkpoint())
        sent = stage.node.anchor(NODE, head.size, head.root, note_hash(log.checkpoint()))
    seconds = time.perf_counter() - began
    return len(events) / seconds, stage.gas(sent.tx)


def one_by_one(stage: Stage, logger: str) -> tuple[float, int]:
    """Return events/s and gas of events that are a transaction each, sent without waiting for more than its hash."""
    began = time.perf_counter()
    for number in range(SINGLE):
        sent = stage.send("node", to=logger, data=hashlib.sha256(canonical(event(number))).digest())
    seconds = time.perf_counter() - began
    return SINGLE / seconds, stage.gas(sent)


def chain_away() -> list[Found]:
    """Append latency while the chain is asked and answers, and while it does not; then the anchors that came."""
    ratios, seen = list[float](), {"chain up, p99 ms": [], "chain down, p99 ms": []}
    lost = 0
    with tempfile.TemporaryDirectory(prefix="hdex-bench-") as name, Stage(Path(name)).served() as stage:
        log, outbox = open_log(Path(name) / "log.db"), MemoryOutbox()
        nowhere = Web3Chain(f"http://127.0.0.1:{free_port()}", stage.address, KEYS["node"], CHAIN_ID)
        for _ in range(RUNS):
            up = p99(log, Anchorer(stage.node, outbox, NODE))
            down = p99(log, Anchorer(nowhere, outbox, NODE))
            ratios.append(down / up)
            seen["chain up, p99 ms"].append(1e3 * up)
            seen["chain down, p99 ms"].append(1e3 * down)
            back = Anchorer(stage.node, outbox, NODE)
            back.note(log.checkpoint())
            lost += back.run_once().state is not AnchorState.ANCHORED
            lost += stage.node.anchors(NODE)[-1].size != log.size
        log.close()
    return [
        Found("append p99 with the chain down over the chain up", ratios, 1.2, "at most", "x", seen),
        Found("anchors lost by an outage", [float(lost)], 0, "at most", "anchors", {}),
    ]


def p99(log: Log, anchorer: Anchorer) -> float:
    """Return the 99th percentile of one caller's appends while the anchorer runs beside it."""
    stop, seconds = threading.Event(), list[float]()

    def anchor() -> None:
        while not stop.wait(0.05):
            anchorer.note(log.checkpoint())
            anchorer.run_once()

    keeper = threading.Thread(target=anchor)
    keeper.start()
    for number in range(APPENDS):
        began = time.perf_counter()
        log.append(canonical(event(number)))
        seconds.append(time.perf_counter() - began)
    stop.set()
    keeper.join()
    return statistics.quantiles(seconds, n=100)[98]


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


__all__ = ["ORIGIN", "beside_one_by_one", "chain_away"]
