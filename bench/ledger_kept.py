"""What must not be lost and what must be refused: kills while writing, a verifier's edge cases. For bench_ledger.py."""

import random
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from ledger_scale import SCALE
from ledger_tree import Found, digest

from hdex.ledger.errors import ProofInvalid
from hdex.ledger.log import Log
from hdex.ledger.merkle import Tree, verify_consistency, verify_inclusion
from hdex.ledger.note import Signer
from hdex.ledger.store_sqlite import SqliteLogStore

ORIGIN = "hdex/bench/2026"
# Appends from four threads and says each acknowledged entry, until it is killed.
WRITER = """
import sys, threading
from pathlib import Path
from hdex.ledger.log import Log
from hdex.ledger.note import Signer
from hdex.ledger.store_sqlite import SqliteLogStore
origin = sys.argv[2]
log = Log(SqliteLogStore(Path(sys.argv[1])), origin, Signer(origin, bytes(range(32))))
turn = threading.Lock()
def work(worker):
    for number in range(100000):
        leaf = f"{sys.argv[3]}-{worker}-{number}"
        receipt = log.append(leaf.encode())
        with turn:
            print(receipt.index, leaf, flush=True)
for worker in range(4):
    threading.Thread(target=work, args=(worker,)).start()
"""


def killed(folder: Path) -> list[Found]:
    """Kill a writer again and again; count what it had acknowledged and the log does not hold."""
    path, chance, told, lost = folder / "killed.db", random.Random(9162), 0, 0
    for run in range(SCALE.kills):
        command = [sys.executable, "-c", WRITER, str(path), ORIGIN, str(run)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as writer:
            assert writer.stdout is not None
            said = [writer.stdout.readline() for _ in range(chance.randrange(1, 30))]
            writer.kill()
            said += writer.stdout.readlines()
        whole = [line.split() for line in said if line.endswith("\n")]
        log = Log(SqliteLogStore(path), ORIGIN, Signer(ORIGIN, bytes(range(32))))
        held = log.entries(0, log.size)
        lost += sum(int(index) >= len(held) or held[int(index)] != leaf.encode() for index, leaf in whole)
        told += len(whole)
        log.close()
    seen = {"kills": SCALE.kills, "acknowledged": told}
    return [Found("kill -9 while writing: acknowledged events lost", [float(lost)], 0, "at most", "events", seen)]


def edge_cases() -> list[Found]:
    """Give a verifier what it must refuse; count what it took."""
    tree = Tree(bytes.fromhex(digest(str(number))) for number in range(11))
    root, old = tree.root(), tree.root(7)
    path, proof = tree.inclusion_proof(6, 11), tree.consistency_proof(7, 11)
    leaf = tree.leaf(6)
    wrong: dict[str, Callable[[], None]] = {
        "old size 0": lambda: verify_consistency(0, 11, [], root, root),
        "old size above new": lambda: verify_consistency(12, 11, proof, old, root),
        "same size, a proof": lambda: verify_consistency(11, 11, proof, root, root),
        "consistency proof too short": lambda: verify_consistency(7, 11, proof[:-1], old, root),
        "consistency proof too long": lambda: verify_consistency(7, 11, [*proof, leaf], old, root),
        "another old root": lambda: verify_consistency(7, 11, proof, leaf, root),
        "leaf hash of 31 bytes": lambda: verify_inclusion(leaf[:-1], 6, 11, path, root),
        "leaf hash of 33 bytes": lambda: verify_inclusion(leaf + b"x", 6, 11, path, root),
        "index at the size": lambda: verify_inclusion(leaf, 11, 11, path, root),
        "negative index": lambda: verify_inclusion(leaf, -1, 11, path, root),
        "inclusion proof too short": lambda: verify_inclusion(leaf, 6, 11, path[:-1], root),
        "inclusion proof too long": lambda: verify_inclusion(leaf, 6, 11, [*path, leaf], root),
        "another leaf": lambda: verify_inclusion(tree.leaf(5), 6, 11, path, root),
        "size 0": lambda: verify_inclusion(leaf, 0, 0, [], root),
    }
    verify_inclusion(leaf, 6, 11, path, root)
    verify_consistency(7, 11, proof, old, root)
    taken = [name for name, act in wrong.items() if not refuses(act)]
    seen = {"cases": list(wrong), "taken": taken}
    return [Found("edge cases that a verifier takes", [float(len(taken))], 0, "at most", "cases", seen)]


def refuses(act: Callable[[], None]) -> bool:
    try:
        act()
    except ProofInvalid:
        return True
    return False
