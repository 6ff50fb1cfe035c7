"""Paillier sums beside phe, pypaillier, FATE, HEU and TenSEAL: ours and every peer take turns, in CPU seconds.

The job: an encrypted sum of NUMBERS floats over PARTIES, masks included. A peer whose cost is linear in the numbers is
measured on fewer and told for as many. Sums are checked before they are timed; a bar that is missed is told.
"""

import json
import math
import os
import secrets
import statistics
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import phe
from results_file import ROOT, figure, short

from hdex.federated.paillier import (
    PackSpec,
    aggregate,
    deal,
    decrypt,
    encrypt,
    generate_keypair,
    kernel,
    mask_integers,
    open_vector,
    partial_decrypt,
    verify_opening,
    verify_partial,
)
from hdex.federated.paillier.masks import shared_secret
from hdex.federated.paillier.obfuscation import FixedBase
from hdex.node.keys import KeyKind, public_of

QUICK = os.environ.get("BENCH_QUICK") == "1"
SEED, PARTIES, MANY = 7, 3, 50
NUMBERS, PAIRS, PHE_NUMBERS = (1_200, 1, 4) if QUICK else (10_000, 3, 16)
BITS = (2048,) if QUICK else (2048, 3072)
PEER_NUMBERS = {"pypaillier": 32 if QUICK else 256, "fate": NUMBERS, "heu": 16 if QUICK else 512, "tenseal": NUMBERS}
PYTHON = Path(os.environ.get("HDEX_PEERS_PYTHON", ROOT / ".venv-peers/bin/python"))
CPU_BARS = {2048: 280.0, 3072: 400.0}
KERNEL_BARS = {2048: 1_200.0, 3072: 1_800.0}
BYTE_BARS = {2048: 55.0, 3072: 80.0}
PEER_BARS = {"pypaillier": 60.0, "fate": 4.0, "heu": 20.0}
TENSEAL_BYTES, SHARE, MASKS = 7.0, 2.2, {PARTIES: 2.0, MANY: 15.0}


def measure() -> dict[str, Any]:
    """Return the figures and, under "bars", what each bar asked and what was measured."""
    found: dict[str, Any] = {"kernel": kernel.library() is not None, "bars": []}
    with peers() as ask:
        for bits in BITS:
            found[str(bits)] = at(bits, ask, found["bars"])
    found["masks"] = masks(found["bars"])
    found["share"] = share(found["bars"])
    found["opening"] = opening()
    return found


def at(bits: int, ask: Callable[[str, int], dict[str, Any]], bars: list[dict[str, Any]]) -> dict[str, Any]:
    """Return the figures of one key size, every round of turns with the kernel, without it and of each peer."""
    public, private = generate_keypair(bits)
    values = np.random.default_rng(SEED).normal(scale=100, size=(PARTIES, NUMBERS))
    spec = PackSpec(24, 12, 1024, bits)
    library = kernel.library()
    warm = {"gmpy2": [FixedBase(public) for _ in range(PARTIES)]}
    if library is not None:
        warm["kernel"] = [FixedBase(public, kernel=library) for _ in range(PARTIES)]
    seconds: dict[str, list[float]] = {name: [] for name in (*warm, "cold", "phe", *PEER_NUMBERS)}
    sizes: dict[str, int] = {}
    check(public, private, values, spec, warm)
    for _ in range(PAIRS):
        for name, tables in warm.items():
            with without_kernel(name == "gmpy2"):
                seconds[name].append(cpu(partial(packed_sum, public, private, values, spec, tables)))
        with without_kernel(True):
            seconds["cold"].append(cpu(partial(packed_sum, public, private, values, spec, [])))
        few = cpu(lambda: naive_sum(public, private, values[:, :PHE_NUMBERS]))
        seconds["phe"].append(few * NUMBERS / PHE_NUMBERS)
        for peer, numbers in PEER_NUMBERS.items():
            answer = ask(peer, bits)
            if "seconds" in answer:
                assert answer["off"] < 1e-3, f"{peer} sums wrongly"
                seconds[peer].append(answer["seconds"] * NUMBERS / numbers)
                sizes[peer] = round(answer["bytes"] * NUMBERS / numbers)
    ours = len(packed(public, values[0], spec, warm["gmpy2"][0]).to_bytes())
    naive = NUMBERS * math.ceil(2 * bits / 8)
    told = {name: figure(one, "CPU s") for name, one in seconds.items() if one}
    ratios = {
        f"{peer} over {name}": [theirs / mine for theirs, mine in zip(seconds[peer], seconds[name], strict=True)]
        for peer in ("phe", *PEER_NUMBERS)
        for name in (*warm, "cold")
        if seconds[peer]
    }
    judge(bars, bits, ratios, {"phe": naive / ours} | {peer: size / ours for peer, size in sizes.items()})
    absent = [peer for peer in PEER_NUMBERS if not seconds[peer]]
    return {
        "cpu": told,
        "ratios": {name: figure(one, "x") for name, one in ratios.items()},
        "bytes": {"ours": ours, "phe": naive, **sizes},
        "absent": absent,
    }


def judge(bars: list[dict[str, Any]], bits: int, ratios: dict[str, list[float]], sizes: dict[str, float]) -> None:
    """Add the bars of one key size."""
    at_least(bars, f"CPU of phe, {bits} bits, gmpy2", CPU_BARS[bits], median(ratios["phe over gmpy2"]))
    if "phe over kernel" in ratios:
        at_least(bars, f"CPU of phe, {bits} bits, C kernel", KERNEL_BARS[bits], median(ratios["phe over kernel"]))
    at_least(bars, f"bytes of phe, {bits} bits", BYTE_BARS[bits], sizes["phe"])
    for peer, bar in PEER_BARS.items():
        if f"{peer} over gmpy2" in ratios:
            at_least(bars, f"CPU of {peer}, {bits} bits, gmpy2", bar, median(ratios[f"{peer} over gmpy2"]))
    if "tenseal" in sizes:
        at_least(bars, f"bytes of TenSEAL CKKS, {bits} bits", TENSEAL_BYTES, sizes["tenseal"])
        slower = 1 / median(ratios["tenseal over gmpy2"])
        row = {"bar": f"CPU beside TenSEAL CKKS, {bits} bits, gmpy2: so many times slower", "pass": "reported"}
        bars.append(row | {"measured": short(slower), "met": True})
    bars.append({"bar": f"sum equals the integer sum, {bits} bits", "pass": "exact", "measured": "exact", "met": True})


def masks(bars: list[dict[str, Any]]) -> dict[str, Any]:
    """Return what masks add to a site's encoding and encryption, in percent, for few and for many parties."""
    bits = BITS[-1]
    public, _ = generate_keypair(bits)
    values, table = np.random.default_rng(SEED).normal(scale=100, size=NUMBERS), FixedBase(public)
    spec, found = PackSpec(24, 12, 1024, bits), {}
    with without_kernel(True):
        for parties, bar in MASKS.items():
            percent, own = [], secrets.token_bytes(32)
            keys = {f"site-{number:02}": secrets.token_bytes(32) for number in range(1, parties)} | {"site-00": own}
            roster = {site: public_of(KeyKind.X25519, key) for site, key in keys.items()}
            for _ in range(PAIRS):
                bare = cpu(lambda: encrypt(public, values, spec, obfuscator=table))
                percent.append(100 * cpu(partial(site_masks, public, spec, roster, own)) / bare)
            found[str(parties)] = figure(percent, "%")
            at_most(bars, f"masks, {parties} parties, % of encryption", bar, median(percent))
    return found


def site_masks(public: Any, spec: PackSpec, roster: dict[str, bytes], own: bytes) -> list[int]:
    count = spec.plaintexts(NUMBERS)
    return mask_integers("site-00", roster, partial(shared_secret, own), context=bytes(32), n=public.n, count=count)


def share(bars: list[dict[str, Any]]) -> dict[str, Any]:
    """Return a share holder's part and proof, per ciphertext, beside one encryption of phe."""
    bits = BITS[-1]
    key, shares = deal(bits, parties=3, threshold=2)
    vector = encrypt(key.public_key, np.random.default_rng(SEED).normal(size=NUMBERS), PackSpec(24, 12, 1024, bits))
    found: dict[str, Any] = {}
    count = len(vector.ciphertexts)
    ratios: dict[str, list[float]] = {"gmpy2": []} | ({"C kernel": []} if kernel.library() is not None else {})
    verify_partial(key, vector, partial_decrypt(key, shares[0], vector))
    for _ in range(PAIRS):
        one = cpu(lambda: [key.public_key.encrypt(1.5) for _ in range(PHE_NUMBERS)]) / PHE_NUMBERS
        for name, found_ratios in ratios.items():
            with without_kernel(name == "gmpy2"):
                found_ratios.append(cpu(partial(partial_decrypt, key, shares[0], vector)) / count / one)
    for name, found_ratios in ratios.items():
        bar = f"threshold share per ciphertext over phe's encryption, {bits} bits, {name}"
        at_most(bars, bar, SHARE, median(found_ratios))
        found[name] = figure(found_ratios, "x")
    return found | {"ciphertexts": count}


def opening() -> dict[str, Any]:
    """Return what verifiable decryption adds, beside decryption alone; in CPU milliseconds, as a study pays it."""
    bits = BITS[-1]
    public, private = generate_keypair(bits)
    found = {}
    for length in (24, 1_200):
        vector = encrypt(public, np.random.default_rng(SEED).normal(size=length), PackSpec(104, 50, PARTIES, bits))
        opened = open_vector(private, vector)
        steps = {
            "decrypt": lambda vector=vector: decrypt(private, vector, contributors=1),
            "open": lambda vector=vector: open_vector(private, vector),
            "verify": lambda vector=vector, opened=opened: verify_opening(vector, opened),
        }
        found[str(len(vector.ciphertexts))] = {
            name: figure([1e3 * cpu(work) for _ in range(PAIRS)], "CPU ms") for name, work in steps.items()
        }
    return found


def check(public: Any, private: Any, values: Any, spec: PackSpec, warm: dict[str, list[FixedBase]]) -> None:
    expected = np.round(values * 2**12).sum(axis=0) / 2**12
    for tables in warm.values():
        total = packed_sum(public, private, values, spec, tables)
        assert np.abs(total - expected).max() == 0, "the sum is not the integer sum"
    assert np.allclose(naive_sum(public, private, values[:, :2]), values[:, :2].sum(axis=0))


def packed_sum(public: Any, private: Any, values: Any, spec: PackSpec, tables: list[FixedBase]) -> Any:
    """Return the sum as a study makes it, everything done by this process; without tables each party builds its own."""
    keys = {f"site-{number}": secrets.token_bytes(32) for number in range(len(values))}
    roster = {site: public_of(KeyKind.X25519, secret) for site, secret in keys.items()}
    vectors = []
    for at_site, (numbers, (site, secret)) in enumerate(zip(values, keys.items(), strict=True)):
        count = spec.plaintexts(len(numbers))
        masked = mask_integers(site, roster, partial(shared_secret, secret), context=bytes(32), n=public.n, count=count)
        table = tables[at_site] if tables else FixedBase(public)
        vectors.append(encrypt(public, numbers, spec, obfuscator=table, masks=masked))
    return decrypt(private, aggregate(vectors), contributors=len(values))


def packed(public: Any, numbers: Any, spec: PackSpec, table: FixedBase) -> Any:
    return encrypt(public, numbers, spec, obfuscator=table)


def naive_sum(public: phe.PaillierPublicKey, private: phe.PaillierPrivateKey, values: Any) -> list[float]:
    """Return the sum with phe alone, one ciphertext a number."""
    encrypted = [[public.encrypt(float(value)) for value in numbers] for numbers in values]
    return [private.decrypt(sum(column[1:], column[0])) for column in zip(*encrypted, strict=True)]


@contextmanager
def peers() -> Iterator[Callable[[str, int], dict[str, Any]]]:
    """Yield what asks a peer for one sum; without the peers' environment every peer is absent."""
    if not PYTHON.exists():
        yield lambda peer, bits: {"absent": "no environment of peers: make .venv-peers/.done"}
        return
    command = [str(PYTHON), str(Path(__file__).with_name("peers_federated.py"))]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        reader, writer = process.stdout, process.stdin
        assert reader is not None
        assert writer is not None

        def ask(peer: str, bits: int) -> dict[str, Any]:
            asked = {"peer": peer, "bits": bits, "parties": PARTIES, "numbers": PEER_NUMBERS[peer], "seed": SEED}
            writer.write(json.dumps(asked) + "\n")
            writer.flush()
            for line in reader:
                if line.startswith("{"):  # a library may print on its own
                    return dict(json.loads(line))
            return {"absent": "the peers' process has ended"}

        yield ask
        writer.close()


@contextmanager
def without_kernel(wanted: bool) -> Iterator[None]:
    """Measure what a CPU without the kernel's instructions pays."""
    library = kernel.library
    if wanted:
        kernel.library = lambda: None  # type: ignore[assignment]
    try:
        yield
    finally:
        kernel.library = library


def cpu(work: Callable[[], object]) -> float:
    began = time.process_time()
    work()
    return time.process_time() - began


def median(values: list[float]) -> float:
    return statistics.median(values)


def at_least(bars: list[dict[str, Any]], bar: str, asked: float, found: float) -> None:
    bars.append({"bar": bar, "pass": f">= {asked:g} x", "measured": short(found), "met": found >= asked})


def at_most(bars: list[dict[str, Any]], bar: str, asked: float, found: float) -> None:
    bars.append({"bar": bar, "pass": f"<= {asked:g}", "measured": short(found), "met": found <= asked})


def lines(found: dict[str, Any]) -> list[str]:
    """Return what was found as tables for people."""
    out = ["| bar | pass | measured | met |", "| --- | --- | --- | --- |"]
    out += [
        f"| {row['bar']} | {row['pass']} | {row['measured']} | {'yes' if row['met'] else 'no'} |"
        for row in found["bars"]
    ]
    for bits in (name for name in found if name.isdigit()):
        cost = ", ".join(f"{name} {one['median']:g}" for name, one in found[bits]["cpu"].items())
        size = ", ".join(f"{name} {one:,}" for name, one in found[bits]["bytes"].items())
        out += ["", f"{bits} bits, {NUMBERS:,} numbers of {PARTIES} parties, CPU s: {cost}.", f"Bytes a party: {size}."]
        if found[bits]["absent"]:
            out += [f"Not measured: {', '.join(found[bits]['absent'])}."]
    out += ["", "| ciphertexts of a sum | decrypt | open | verify |", "| --- | --- | --- | --- |"]
    for count, steps in found["opening"].items():
        out.append(f"| {count} | " + " | ".join(f"{one['median']:g} ms" for one in steps.values()) + " |")
    return out
