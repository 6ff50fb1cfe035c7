"""Log and tree beside pymerkle, the raw disk and themselves without group commit. Part of bench_ledger.py."""

import hashlib
import importlib.util
import os
import statistics
import threading
import time
import uuid
from base64 import b64encode
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pymerkle
from ledger_scale import SCALE
from results_file import figure

from hdex.ledger.event import Action, Decision, Event, canonical, format_time, parse
from hdex.ledger.index_sqlite import SqliteEventIndex
from hdex.ledger.log import Log
from hdex.ledger.merkle import Tree, leaf_hash, node_hash, verify_inclusion
from hdex.ledger.note import Signer, add_signatures, cosign, parse_checkpoint
from hdex.ledger.store_sqlite import SqliteLogStore

ORIGIN = "hdex/bench/2026"
START = datetime(2026, 11, 21, tzinfo=UTC)
BATCH, PEER_CALLERS, CALLERS, PEER_PROOFS, WITNESSES = 1_000, 16, 64, 3, 4
RUNS, PROOFS, COLD = SCALE.runs, SCALE.proofs, SCALE.cold
TURNS, IN_A_TURN, EACH = SCALE.turns, SCALE.in_a_turn, SCALE.each


@dataclass(frozen=True, slots=True)
class Found:
    """One bar: our measure over the other's, and what it must reach. `sense` says which side of the bar is good."""

    name: str
    values: list[float]
    bar: float
    sense: str  # "at least" or "at most"
    unit: str
    seen: dict[str, Any]

    def document(self) -> dict[str, Any]:
        told = figure(self.values, self.unit)
        middle = float(str(told["median"]))
        met = middle >= self.bar if self.sense == "at least" else middle <= self.bar
        asked = f"{self.sense} {self.bar:g} {self.unit}"
        return {"bar": self.name, "pass": asked, "measured": middle, "met": met, "spread": told, "seen": self.seen}


def facts(number: int) -> dict[str, Any]:
    """Return what a node would say of one export."""
    return {
        "event_id": str(uuid.UUID(int=number)),
        "time": format_time(START + timedelta(milliseconds=number)),
        "node": "hospital-a",
        "organisation": "Hospital A",
        "role": "buyer",
        "actor": digest(f"actor {number}"),
        "action": Action.EXPORT,
        "product": "hospital-a.stents",
        "version": "2026.1",
        "purpose": "DUO:0000007",
        "contract": f"c-{number % 97}",
        "grant": digest(f"grant {number % 97}"),
        "decision": Decision.ALLOW,
        "rows": 1 + number % 1000,
        "request_digest": digest(f"request {number}"),
        "result_digest": digest(f"result {number}"),
    }


def event(number: int) -> Event:
    return Event(**facts(number))


def digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def signer() -> Signer:
    return Signer(ORIGIN, bytes(range(32)))


def open_log(path: Path) -> Log:
    return Log(SqliteLogStore(path), ORIGIN, signer())


def batches(items: Sequence[Any]) -> Iterator[Sequence[Any]]:
    for start in range(0, len(items), BATCH):
        yield items[start : start + BATCH]


@contextmanager
def timed(into: list[float], clock: Callable[[], float] = time.perf_counter) -> Iterator[None]:
    began = clock()
    yield
    into.append(clock() - began)


def disk(folder: Path) -> list[Found]:
    """One caller over the raw disk of the same minute; 64 callers over 16 that share nothing."""
    alone, shared = list[float](), list[float]()
    seen: dict[str, Any] = {"fdatasync/s": [], "one caller/s": [], "64 grouped/s": [], "16 ungrouped/s": []}
    for run in range(RUNS):
        log = open_log(folder / f"alone{run}.db")
        raw, one = by_turns(raw_sync(folder / f"raw{run}"), lambda n, log=log: log.append(canonical(event(n))))
        log.close()
        many = crowd(folder / f"many{run}.db")
        single = ungrouped(folder / f"single{run}.db")
        alone.append(one / raw)
        shared.append(many / single)
        for name, value in zip(seen, (raw, one, many, single), strict=True):
            seen[name].append(round(value))
    return [
        Found("one caller's durable append over raw fdatasync", alone, 0.5, "at least", "x", seen),
        Found("64 callers with group commit over 16 without", shared, 15, "at least", "x", seen),
    ]


def by_turns(first: Callable[[int], object], second: Callable[[int], object]) -> tuple[float, float]:
    """Return how often per second one caller gets through each, taking turns: the disk is not the same all the time."""
    spent = {first: 0.0, second: 0.0}
    for turn in range(TURNS):
        for act in (first, second):
            began = time.perf_counter()
            for number in range(IN_A_TURN):
                act(turn * IN_A_TURN + number)
            spent[act] += time.perf_counter() - began
    return TURNS * IN_A_TURN / spent[first], TURNS * IN_A_TURN / spent[second]


def raw_sync(path: Path) -> Callable[[int], object]:
    """Return what writes a kilobyte at the end of a file and waits for the disk."""
    handle = os.open(path, os.O_WRONLY | os.O_CREAT)

    def act(number: int) -> None:
        os.pwrite(handle, bytes([number % 256]) * 1024, number * 1024)
        os.fdatasync(handle)

    return act


def crowd(path: Path) -> float:
    """Return events/s of 64 blocking callers on one log."""
    log = open_log(path)
    leaves = [canonical(event(number)) for number in range(CALLERS * EACH)]
    seconds = together(CALLERS, lambda caller: [log.append(leaf) for leaf in leaves[caller::CALLERS]])
    assert log.check() == len(leaves)
    log.close()
    return len(leaves) / seconds


def ungrouped(path: Path) -> float:
    """Return events/s of 16 blocking callers of whom each commits for itself, one after another."""
    store, turn, tree = SqliteLogStore(path), threading.Lock(), Tree()
    each = EACH // 4

    def work(caller: int) -> None:
        for number in range(each):
            leaf = canonical(event(caller * each + number))
            with turn:
                store.append(len(tree), [leaf], "head")
                tree.append(leaf_hash(leaf))

    seconds = together(PEER_CALLERS, work)
    store.close()
    return PEER_CALLERS * each / seconds


def together(callers: int, work: Callable[[int], object]) -> float:
    threads = [threading.Thread(target=work, args=(caller,)) for caller in range(callers)]
    began = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return time.perf_counter() - began


def at_size(folder: Path, size: int) -> tuple[list[Found], dict[str, float]]:
    """Build both logs of `size` events, compare, and return what each step cost."""
    ours, theirs = folder / f"log{size}.db", folder / f"peer{size}.db"
    path, hashing, peer = list[float](), list[float](), list[float]()
    log, index = open_log(ours), SqliteEventIndex(folder / f"index{size}.db")
    tree = pymerkle.SqliteTree(str(theirs)) if size <= SCALE.peer_up_to else None
    body = 0
    for numbers in batches(range(size)):
        given = [facts(number) for number in numbers]
        with timed(path, time.process_time):
            events = [Event(**one) for one in given]
            leaves = [canonical(one) for one in events]
            with timed(hashing, time.process_time):
                log.append_all(leaves)
            index.add(numbers[0], events)
        if tree is not None:
            with timed(peer, time.process_time):
                tree.append_entries(leaves)
        body += sum(map(len, leaves))
    log.close()
    index.close()
    if tree is None:
        return alone(ours, size, body, sum(path))
    tree.close()
    size_on_disk = ours.stat().st_size  # after closing: nothing is left in the write-ahead log
    bars, costs = proofs(ours, theirs, size)
    seen = {"hash path, us": 1e6 * sum(hashing) / size, "full path, us": 1e6 * sum(path) / size}
    seen["pymerkle, us"] = 1e6 * sum(peer) / size
    bars += [
        Found("full event path CPU over pymerkle's bulk append", [sum(peer) / sum(path)], 0.25, "at least", "x", seen),
        Found("hash path CPU over pymerkle's bulk append", [sum(peer) / sum(hashing)], 0.25, "at least", "x", seen),
        Found(
            "storage beyond the body", [(size_on_disk - body) / size], 100, "at most", "B/event", {"body": body / size}
        ),
    ]
    return bars, {**costs, "append, us": seen["full path, us"], "pymerkle append, us": seen["pymerkle, us"]}


def alone(ours: Path, size: int, body: int, seconds: float) -> tuple[list[Found], dict[str, float]]:
    """Return what a log of more events than the peer is asked for costs: for the slope, and the storage bar."""
    cold, opened = list[float](), list[float]()
    for run in range(COLD):
        with timed(opened):
            log = open_log(ours)
        with timed(cold):
            proof = log.inclusion(size * run // COLD, size)
        log.close()
    stored = (ours.stat().st_size - body) / size
    costs = {"proof, ms": 1e3 * statistics.median(cold), "open, ms": 1e3 * statistics.median(opened)}
    seen = {"size": size, "hashes of a proof": len(proof)}
    bars = [Found("storage beyond the body", [stored], 100, "at most", "B/event", seen)]
    return bars, {**costs, "append, us": 1e6 * seconds / size}


def proofs(ours: Path, theirs: Path, size: int) -> tuple[list[Found], dict[str, float]]:
    """Compare cold proofs from disk, checks of proofs, and their length."""
    cold, peer_cold, opened = list[float](), list[float](), list[float]()
    for run in range(COLD):
        with timed(opened):
            log = open_log(ours)
        with timed(cold):
            proof = log.inclusion(size * run // COLD, size)
        log.close()
        if run < PEER_PROOFS:
            tree = pymerkle.SqliteTree(str(theirs))
            with timed(peer_cold):
                told = tree.prove_inclusion(size // 3 + 1)
            tree.close()
    log = open_log(ours)
    root, leaf = parse_checkpoint(log.checkpoint()).root, leaf_hash(log.entries(size // 3, size // 3 + 1)[0])
    proof = log.inclusion(size // 3, size)
    own, peer = list[float](), list[float]()
    tree = pymerkle.SqliteTree(str(theirs))
    base, state = tree.get_leaf(size // 3 + 1), tree.get_state()
    for _ in range(RUNS):
        with timed(own, time.process_time):
            for _ in range(PROOFS):
                verify_inclusion(leaf, size // 3, size, proof, root)
        with timed(peer, time.process_time):
            for _ in range(PROOFS):
                pymerkle.verify_inclusion(base, state, told)
    text = evidence_text(log, proof, size // 3)
    log.close()
    tree.close()
    ratios = [statistics.median(peer_cold) / value for value in cold]
    bars = [
        Found("inclusion proof from disk, cold, over pymerkle", ratios, 50, "at least", "x",
              {"ours, ms": [1e3 * v for v in cold], "pymerkle, ms": [1e3 * v for v in peer_cold]}),
        Found("check of an inclusion proof over pymerkle", [b / a for a, b in zip(own, peer, strict=True)], 1,
              "at least", "x", {"ours, us": 1e6 * statistics.median(own) / PROOFS}),
        Found("hashes of a proof", [float(len(proof))], 21, "at most", "hashes", {"size": size}),
        Found("evidence text with 4 cosignatures", [float(len(text))], 2048, "at most", "bytes", {}),
    ]  # fmt: skip
    return bars, {"proof, ms": 1e3 * statistics.median(cold), "pymerkle proof, ms": 1e3 * statistics.median(peer_cold),
                  "open, ms": 1e3 * statistics.median(opened)}  # fmt: skip


def evidence_text(log: Log, proof: Sequence[bytes], index: int) -> bytes:
    """Return the proof of one entry as text (c2sp.org/tlog-proof) under a checkpoint with four cosignatures."""
    note = log.checkpoint()
    for number in range(WITNESSES):
        name = f"hospital-{number}.example/witness"
        note = add_signatures(note, [cosign(note, Signer(name, bytes([number]) * 32), START)])
    lines = ["c2sp.org/tlog-proof@v1", f"index {index}", *(b64encode(value).decode() for value in proof), "", note]
    return "\n".join(lines).encode()


def reader() -> Callable[[bytes], object]:
    """Return what an audit reads an entry with: its bulk reader where it has one."""
    if importlib.util.find_spec("hdex.ledger.verify_leaf") is None:
        return parse
    found: Callable[[bytes], object] = importlib.import_module("hdex.ledger.verify_leaf").read_leaf
    return found


def audit(path: Path, size: int) -> list[Found]:
    """Re-hash a whole log: alone, and with every event read as JSON, over the time of the SHA-256 tree alone."""
    bare, hashed, read = list[float](), list[float](), list[float]()
    log = open_log(path)
    leaves = [leaf for start in range(0, size, BATCH) for leaf in log.entries(start, start + BATCH)]
    with timed(bare, time.process_time):
        level = [hashlib.sha256(b"\0" + leaf).digest() for leaf in leaves]
        while len(level) > 1:
            odd = level[len(level) & ~1 :]
            level = [node_hash(level[i], level[i + 1]) for i in range(0, len(level) - 1, 2)] + odd
    del leaves
    with timed(hashed, time.process_time):
        assert log.check() == size
    read_entry = reader()
    with timed(read, time.process_time):
        for start in range(0, size, BATCH):
            for leaf in log.entries(start, start + BATCH):
                read_entry(leaf)
    log.close()
    seen = {"SHA-256 tree, s": bare[0], "hash path, s": hashed[0], "with JSON, s": read[0]}
    return [
        Found("full check of a log over the pure SHA-256 tree", [hashed[0] / bare[0]], 4, "at most", "x", seen),
        Found("the same with every event parsed", [read[0] / bare[0]], 15, "at most", "x", seen),
    ]
