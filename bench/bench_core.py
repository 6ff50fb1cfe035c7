"""The parts that carry the load, each in this process: log, proof, encrypted sum, lattice, sealed delivery.

Each is checked for a right answer first and measured then. Under two minutes on two cores.
"""

import hashlib
import math
import secrets
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import phe
import polars as pl
import readme_blocks
import results_file
from results_file import figure, measure

from hdex.deid import hierarchy
from hdex.deid.lattice import anonymize
from hdex.deid.verify import verify_release
from hdex.federated.paillier import PackSpec, aggregate, decrypt, encrypt, generate_keypair, mask_integers
from hdex.federated.paillier.masks import shared_secret
from hdex.federated.paillier.obfuscation import FixedBase
from hdex.ledger.event import Action, Decision, Event, canonical
from hdex.ledger.log import Log
from hdex.ledger.merkle import Tree, leaf_hash, verify_inclusion
from hdex.ledger.note import Signer
from hdex.ledger.store_sqlite import SqliteLogStore
from hdex.node.container import Header, Opener, Sealer, pieces, plaintext_root
from hdex.node.keys import KeyKind, public_of
from hdex.node.signed import key_id

SEED, REPEATS = 7, 5
EVENTS, EVENTS_ALONE, THREADS = 640, 160, 16
LEAVES, PROOFS = 1_000_000, 2_000
KEY_BITS, NUMBERS, PHE_NUMBERS, PARTIES, PAIRS = 3072, 1_000, 24, 3, 3
ROWS, K, JOINED = 30_000, 5, 4  # JOINED: neighbours that one step of a hierarchy joins
COLUMN_SIZES = {"age": 80, "country": 41, "education": 16, "job": 14, "work": 8, "marital": 7, "race": 5, "sex": 2}
DELIVERY_BYTES = 64 << 20
MEGA, MICRO = 1e6, 1e6


def main() -> None:
    figures: dict[str, Any] = {}
    for part in (ledger, merkle, paillier, lattice, delivery):
        began = time.perf_counter()
        figures |= part()
        print(f"{part.__name__}: {time.perf_counter() - began:.1f} s")
    inputs = {
        "seed": SEED,
        "events": [EVENTS, EVENTS_ALONE],
        "leaves": LEAVES,
        "key_bits": KEY_BITS,
        "numbers": NUMBERS,
        "numbers_for_phe": PHE_NUMBERS,
        "parties": PARTIES,
        "rows": ROWS,
        "columns": len(COLUMN_SIZES),
        "generalisations": math.prod(ladder_levels(size) for size in COLUMN_SIZES.values()),
        "k": K,
        "delivery_bytes": DELIVERY_BYTES,
    }
    path = results_file.write("core", command="bench/bench_core.py", inputs=inputs, figures=figures)
    readme_blocks.rewrite()
    print(f"{path.relative_to(results_file.ROOT)} and README.md are rewritten")


def ledger() -> dict[str, Any]:
    """Durable appends: every call returns after its entry is on disk; callers at the same time share one flush."""
    with tempfile.TemporaryDirectory(prefix="hdex-bench-") as folder:
        log = Log(SqliteLogStore(Path(folder) / "log.db"), "hdex/bench/2026", Signer("hdex/bench/2026", bytes(32)))
        leaves = [event(number) for number in range(EVENTS)]
        many = measure(lambda: append(log, leaves, THREADS), repeats=REPEATS)
        one = measure(lambda: append(log, leaves[:EVENTS_ALONE], 1), repeats=REPEATS)
        written = (REPEATS + 1) * (EVENTS + EVENTS_ALONE)
        assert log.check() == written  # nothing lost, nothing twice, every hash read back
        log.close()
    return {
        "append_16_threads": figure([EVENTS / seconds for seconds in many], "events/s"),
        "append_1_thread": figure([EVENTS_ALONE / seconds for seconds in one], "events/s"),
    }


def event(number: int) -> bytes:
    """Return an event as a node writes it."""
    return canonical(
        Event(
            event_id=f"{number:032x}",
            time="2026-11-21T22:00:00.000Z",
            node="hospital-a",
            action=Action.EXPORT,
            role="buyer",
            actor=hashlib.sha256(number.to_bytes(8, "big")).hexdigest(),
            decision=Decision.ALLOW,
            product="hospital-a.stents",
            version="1.0.0",
            rows=850,
        )
    )


def append(log: Log, leaves: list[bytes], threads: int) -> None:
    """Append all leaves from that many threads and check the receipts."""
    receipts: list[int] = []

    def work(mine: list[bytes]) -> None:
        receipts.extend(log.append(leaf).index for leaf in mine)

    workers = [threading.Thread(target=work, args=(leaves[start::threads],)) for start in range(threads)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert len(set(receipts)) == len(leaves)


def merkle() -> dict[str, Any]:
    """Make and check inclusion proofs in a tree of a million leaves."""
    hashes = [leaf_hash(number.to_bytes(8, "big")) for number in range(LEAVES)]
    tree = Tree(hashes)
    root = tree.root()
    step = LEAVES // PROOFS

    def prove() -> None:
        for index in range(0, LEAVES, step):
            verify_inclusion(hashes[index], index, LEAVES, tree.inclusion_proof(index, LEAVES), root)

    return {"merkle_proof": figure([s / PROOFS * MICRO for s in measure(prove, repeats=REPEATS)], "µs")}


def paillier() -> dict[str, Any]:
    """Encrypt, mask, add, decrypt: ours packed, phe number by number, taken in turns.

    cold: every party first builds its table for the study's key. phe's cost is linear in the numbers, so it is
    measured on fewer and told for as many as ours.
    """
    public, private = generate_keypair(KEY_BITS)
    values = np.random.default_rng(SEED).normal(scale=100, size=(PARTIES, NUMBERS))
    exact = values.sum(axis=0)
    warm = [FixedBase(public) for _ in range(PARTIES)]
    assert np.abs(packed_sum(public, private, values, warm) - exact).max() < 1e-5
    assert np.allclose(naive_sum(public, private, values[:, :2]), exact[:2])
    seconds: dict[str, list[float]] = {"cold": [], "warm": [], "phe": []}
    for _ in range(PAIRS):
        seconds["cold"] += cpu(lambda: packed_sum(public, private, values, [FixedBase(public) for _ in range(PARTIES)]))
        seconds["warm"] += cpu(lambda: packed_sum(public, private, values, warm))
        measured = cpu(lambda: naive_sum(public, private, values[:, :PHE_NUMBERS]))
        seconds["phe"] += [value * NUMBERS / PHE_NUMBERS for value in measured]
    told = {f"paillier_{name}": figure(values, "CPU s") for name, values in seconds.items()}
    for name in ("cold", "warm"):
        ratios = [naive / ours for naive, ours in zip(seconds["phe"], seconds[name], strict=True)]
        told[f"paillier_ratio_{name}"] = figure(ratios, "x")
    return told


def cpu(work: Callable[[], object]) -> list[float]:
    return measure(work, repeats=1, warm_up=0, clock=time.process_time)


def packed_sum(public: Any, private: Any, values: Any, tables: list[FixedBase]) -> Any:
    """Return the sum as a study makes it: packed, masked pairwise, multiplied, opened once."""
    spec = PackSpec(40, 20, PARTIES, KEY_BITS)
    secrets_of = {f"site-{number}": secrets.token_bytes(32) for number in range(PARTIES)}
    roster = {site: public_of(KeyKind.X25519, secret) for site, secret in secrets_of.items()}
    vectors = []
    for table, numbers, (site, secret) in zip(tables, values, secrets_of.items(), strict=True):
        masks = mask_integers(
            site,
            roster,
            lambda peer, mine=secret: shared_secret(mine, peer),
            context=bytes(32),
            n=public.n,
            count=spec.plaintexts(NUMBERS),
        )
        vectors.append(encrypt(public, numbers, spec, obfuscator=table, masks=masks))
    return decrypt(private, aggregate(vectors), contributors=PARTIES)


def naive_sum(public: phe.PaillierPublicKey, private: phe.PaillierPrivateKey, values: Any) -> list[float]:
    """Return the sum with phe alone, one ciphertext a number."""
    encrypted = [[public.encrypt(float(value)) for value in numbers] for numbers in values]
    return [private.decrypt(sum(column[1:], column[0])) for column in zip(*encrypted, strict=True)]


def lattice() -> dict[str, Any]:
    """Generalise a generated table to k with the least loss; the independent verifier counts the result."""
    generator = np.random.default_rng(SEED)
    frame = pl.DataFrame({name: codes(generator, size) for name, size in COLUMN_SIZES.items()})
    ladders = {name: ladder(frame[name], size) for name, size in COLUMN_SIZES.items()}
    result = anonymize(frame, ladders, k=K)
    assert verify_release(result.frame, list(ladders), K).ok
    assert result.suppressed <= 0.05 * ROWS
    seconds = measure(lambda: anonymize(frame, ladders, k=K), repeats=REPEATS, warm_up=0, clock=time.process_time)
    return {"lattice": figure(seconds, "CPU s")}


def codes(generator: np.random.Generator, size: int) -> pl.Series:
    """Return a column of `size` codes, a few of them common and many rare, as clinical columns are."""
    weights = 1 / np.arange(1, size + 1)
    drawn = generator.choice(size, size=ROWS, p=weights / weights.sum())
    return pl.Series([f"{code:03}" for code in drawn])


def ladder(values: pl.Series, size: int) -> hierarchy.Hierarchy:
    """Return a hierarchy in which every level joins JOINED neighbours of the one before."""
    steps, width = [], JOINED
    while width < size:
        labels = {f"{code:03}": f"{code // width:03}/{width}" for code in range(size)}
        steps.append(labels)
        width *= JOINED
    return hierarchy.groups(values, steps)


def ladder_levels(size: int) -> int:
    """Return how many levels `ladder` makes: the values, the steps, and one group for all."""
    return 2 + sum(1 for power in range(1, size) if JOINED**power < size)


def delivery() -> dict[str, Any]:
    """Seal a file to a buyer's key with its root, open it and verify it, all in memory."""
    content = np.random.default_rng(SEED).bytes(DELIVERY_BYTES)
    sign_key, buyer, secret = (bytes([number]) * 32 for number in (1, 2, 3))
    to, provider = public_of(KeyKind.X25519, buyer), public_of(KeyKind.ED25519, sign_key)

    def source(start: int, length: int) -> bytes:
        return content[start : start + length]

    def seal() -> tuple[bytes, list[bytes]]:
        root = plaintext_root(pieces(source, len(content)))
        sealer = Sealer(header(root, key_id(to)), source, to=to, sign_key=sign_key, secret=secret)
        return sealer.prologue, list(sealer.stream())

    def unseal(prologue: bytes, chunks: list[bytes]) -> list[bytes]:
        opener = Opener(prologue, hpke_private=buyer, provider_public=provider)
        opened = [opener.open_chunk(index, chunk) for index, chunk in enumerate(chunks)]
        opener.finish()
        return opened

    sealed = seal()
    assert b"".join(unseal(*sealed)) == content
    size = DELIVERY_BYTES / MEGA
    return {
        "delivery_seal": figure([size / s for s in measure(seal, repeats=REPEATS)], "MB/s"),
        "delivery_open": figure([size / s for s in measure(lambda: unseal(*sealed), repeats=REPEATS)], "MB/s"),
    }


def header(root: str, consumer_key_id: str) -> Header:
    return Header(
        product="hospital-a.stents",
        version="1.0.0",
        contract="contract-1",
        provider="hospital-a",
        consumer="buyer-heartline",
        consumer_key_id=consumer_key_id,
        bytes=DELIVERY_BYTES,
        root=root,
        rows=1,
        columns=("age",),
        expires="2027-11-21T22:00:00.000Z",
    )


if __name__ == "__main__":
    main()
