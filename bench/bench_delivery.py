"""Sealed delivery of one generated file, its bars beside a plain copy of it and beside age (pyrage).

    in process   hash into the root and seal, nothing else; then seal, verify, hash and write to disk, synced
    over mTLS    a hospital's node as a process, `Buyer.fetch` here: every range authorised, logged and proven, every
                 chunk verified as it comes, root and file digest compared, synced
    copy         the same file read from the page cache and written beside it, synced; and not synced
    age          pyrage seals and opens the same file, file to file

Peak memory is what the kernel saw above what the process held before. Each delivery is compared with the source before
a number counts. Writes delivery.json and delivery.svg. BENCH_QUICK=1 tries every step in this process on little and
writes nothing but where BENCH_OUT says.
"""

import hashlib
import json
import multiprocessing
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import bar_drawing
import results_file
from market_ground import DATASET, HOSPITAL, Ground, ground, standing, wish
from results_file import figure, measure
from tests.catalog.samples import sample_product

from hdex.catalog.contract import State
from hdex.catalog.product import DataProduct, ReleaseFile
from hdex.node.buyer import Buyer
from hdex.node.container import Header, Sealer, Source, pieces, plaintext_root
from hdex.node.container_file import Receiver, plaintext
from hdex.node.hospital.released import release_name
from hdex.node.keys import KeyKind, public_of
from hdex.node.signed import key_id
from hdex.node.stream import CHUNK_BYTES, TAG_BYTES
from hdex.node.vault import Vault

ROOT = Path(__file__).resolve().parents[1]
PEERS = Path(os.environ.get("HDEX_PEERS_PYTHON", ROOT / ".venv-peers/bin/python"))
QUICK = os.environ.get("BENCH_QUICK") == "1"
SEED, REPEATS = 7, 1 if QUICK else 5
SIZE = (4 if QUICK else 256) << 20
CUT_AFTER = SIZE // CHUNK_BYTES // 2  # chunks
MEGA, MEBI = 1e6, 1 << 20
SIGN, BUYER_KEY, SECRET = (bytes([number]) * 32 for number in (1, 2, 3))
Seen = dict[str, Any]


def main() -> int:
    """Measure and write; return 1 where a bar is missed."""
    with tempfile.TemporaryDirectory(prefix="hdex-bench-") as name:
        folder = Path(name)
        file = in_child(generated, folder / "release.parquet")
        figures: dict[str, Any] = {"copy": copies(file), "in_process": in_process(file, folder), "age": age(file)}
        if not QUICK:
            figures["over_mtls"] = over_the_wire(file, folder / "market")
    bars = list(held_against(figures))
    path = results_file.write(
        "delivery", inputs={"bytes": SIZE, "seed": SEED, "repeats": REPEATS}, figures=figures, bars=bars
    )
    path.with_suffix(".svg").write_text(drawn(figures), encoding="utf-8")
    print(path.read_text(encoding="utf-8"))
    return int(not QUICK and not all(bar["met"] for bar in bars))


@dataclass(frozen=True, slots=True)
class Generated:
    """The file, and what the manifest says of it."""

    path: Path
    size: int
    sha256: str
    rows: int


def generated(path: Path) -> Generated:
    """Write a Parquet file of SIZE bytes or a little more: two columns of numbers that do not compress."""
    import numpy as np
    import polars as pl

    rows = SIZE // 16
    rng = np.random.default_rng(SEED)
    pl.DataFrame({"a": rng.random(rows), "b": rng.random(rows)}).write_parquet(path, compression="uncompressed")
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while piece := file.read(CHUNK_BYTES):
            digest.update(piece)
    return Generated(path, path.stat().st_size, digest.hexdigest(), rows)


def in_child(work: Callable[[Path], Any], path: Path) -> Any:
    """Return what a process of its own makes: its memory must not be taken for a delivery's."""
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply(work, (path,))


def rates(seconds: list[float], size: int) -> dict[str, object]:
    return figure([size / MEGA / one for one in seconds], "MB/s")


def copies(file: Generated) -> Seen:
    """Return the rate of a plain copy from the page cache, synced as a delivery is, and not synced."""
    target = file.path.with_name("copy")

    def synced() -> None:
        shutil.copyfile(file.path, target)
        with target.open("rb") as copied:
            os.fsync(copied.fileno())

    def one(work: Callable[[], object]) -> dict[str, object]:
        def anew() -> None:
            target.unlink(missing_ok=True)
            work()

        return rates(measure(anew, repeats=REPEATS), file.size)

    found = {"synced": one(synced), "not_synced": one(lambda: shutil.copyfile(file.path, target))}
    target.unlink()
    return found


def in_process(file: Generated, folder: Path) -> Seen:
    """Return the rates of sealing and of opening, and of a sealed delivery that is verified and written to disk."""
    with file.path.open("rb") as opened:

        def source(start: int, length: int) -> bytes:
            return os.pread(opened.fileno(), length, start)

        def seal() -> None:
            for _ in sealer(source, file).stream():
                pass

        known = sealer(source, file)

        def to_disk() -> None:
            path = folder / "delivered.hdx"
            path.unlink(missing_ok=True)
            received(path, known, file.sha256)

        seconds = {"seal": measure(seal, repeats=REPEATS), "to_disk": measure(to_disk, repeats=REPEATS)}
    path = folder / "delivered.hdx"
    seconds["open"] = measure(lambda: digest_of(path, BUYER_KEY, SIGN), repeats=REPEATS)
    assert digest_of(path, BUYER_KEY, SIGN) == file.sha256
    return {name: rates(one, file.size) for name, one in seconds.items()}


def sealer(source: Source, file: Generated) -> Sealer:
    """Return a sealer whose header has the root of the whole file, which is hashed here."""
    to = public_of(KeyKind.X25519, BUYER_KEY)
    header = Header(
        product="hospital-a.stents",
        version="1.0.0",
        contract="contract-1",
        provider=HOSPITAL,
        consumer="buyer-heartline",
        consumer_key_id=key_id(to),
        bytes=file.size,
        root=plaintext_root(pieces(source, file.size)),
        rows=file.rows,
        columns=("a", "b"),
        expires="2027-11-21T22:00:00.000Z",
    )
    return Sealer(header, source, to=to, sign_key=SIGN, secret=SECRET)


def received(path: Path, sealed: Sealer, sha256: str) -> None:
    receiver = Receiver(path, hpke_private=BUYER_KEY, provider_public=public_of(KeyKind.ED25519, SIGN))
    receiver.begin(sealed.prologue, contract="contract-1")
    for index, chunk in enumerate(sealed.stream()):
        receiver.accept(index, chunk)
    receiver.finish(sha256=sha256)


def digest_of(path: Path, private: bytes, sign_key: bytes) -> str:
    """Return the SHA-256 of a delivered file's plaintext; every chunk and the root are verified on the way."""
    digest = hashlib.sha256()
    for piece in plaintext(path, private, public_of(KeyKind.ED25519, sign_key)):
        digest.update(piece)
    return digest.hexdigest()


def age(file: Generated) -> Seen:
    """Return the peer's rates on the same file; absent without its environment."""
    if not PEERS.exists():
        return {"absent": "no environment of peers: make .venv-peers/.done"}
    asked = {"source": str(file.path), "folder": str(file.path.parent), "repeats": REPEATS}
    command = [str(PEERS), str(Path(__file__).with_name("peers_delivery.py")), json.dumps(asked)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        return {"absent": done.stderr.strip().splitlines()[-1]}
    return {name: rates(seconds, file.size) for name, seconds in json.loads(done.stdout).items()}


@dataclass(slots=True)
class Wire:
    """A hospital that serves, a buyer that fetches, and the contracts between them."""

    made: Ground
    buyer: Buyer
    product: DataProduct
    file: Generated
    folder: Path
    hpke: bytes
    sign_key: bytes
    names: Iterator[int] = field(default_factory=lambda: iter(range(1000)))

    def contract(self) -> str:
        """Return a new contract that both have signed."""
        name = f"delivery-{next(self.names)}"
        self.buyer.request(wish(self.product), contract_id=name)
        self.made.officer().desk.decide(name, approve=True)
        assert self.buyer.accept(name).state == State.FINALIZED
        return name

    def fetched(self, name: str) -> Path:
        found = self.buyer.fetch(name)
        assert found.complete
        return found.path

    def digest(self, path: Path) -> str:
        return digest_of(path, self.hpke, self.sign_key)


def over_the_wire(file: Generated, folder: Path) -> Seen:
    """Return what was measured of deliveries by a hospital's process to this one."""
    with ground(folder) as made:
        made.configure(chain=True)
        in_child(stored, folder)
        release = ReleaseFile(bytes=file.size, sha256=file.sha256, chunks=-(-file.size // CHUNK_BYTES))
        product = made.seed(replace(sample_product(), release=release))
        made.start()
        keys, theirs = made.setting.keys["buyer-heartline"], made.setting.keys[HOSPITAL]
        received_at = made.buyer_config().data_dir / "received"
        wire = Wire(made, made.buyer(), product, file, received_at, keys.secret("hpke"), theirs.secret("sign"))
        digests, seconds, peaks, cpu = set[str](), list[float](), list[tuple[int, int]](), list[tuple[float, float]]()
        altered: int | None = None
        for _ in range(REPEATS + 1):
            name = wire.contract()
            with watched(os.getpid()) as mine, watched(made.supervisor.pids()[HOSPITAL]) as node:
                used, began = (time.process_time(), made.cpu_s(HOSPITAL)), time.perf_counter()
                path = wire.fetched(name)
                seconds.append(time.perf_counter() - began)
                cpu.append((time.process_time() - used[0], made.cpu_s(HOSPITAL) - used[1]))
            peaks.append((mine[0], node[0]))
            digests.add(wire.digest(path))
            if altered is None:
                altered = in_child(altered_cells, path)
            path.unlink()
        assert digests == {file.sha256}
        del seconds[0], cpu[0]  # a release's root is computed once, with its first delivery; its memory counts
        return {
            "fetch": rates(seconds, file.size),
            "cpu_s": {name: figure([one[at] for one in cpu], "CPU s") for at, name in enumerate(("buyer", "node"))},
            "peak_memory_mib": {
                name: figure([one[at] / MEBI for one in peaks], "MiB") for at, name in enumerate(("buyer", "node"))
            },
            "resume": resumed(wire),
            "deliveries_equal_before_sealing": len(peaks),
            "values_altered": altered,
        }


def stored(folder: Path) -> None:
    """Put the release into the hospital's vault, as de-identification leaves it; in a process of its own."""
    from hdex.node.config import HospitalConfig, load

    with standing(load(folder / HOSPITAL / "config.toml", HospitalConfig)) as ground:
        file = folder.parent / "release.parquet"

        def chunks() -> Iterator[bytes]:
            with file.open("rb") as opened:
                while piece := opened.read(CHUNK_BYTES):
                    yield piece

        Vault(ground.data / "vault", ground.keys).put(DATASET, release_name("1.0.0"), chunks())
        told = {"records": SIZE // 16, "recipient_class": ""}
        ground.documents.put("release", f"{DATASET}/1.0.0", told)


def altered_cells(path: Path) -> int:
    """Return how many cells of a delivered file are not those of the release; in a process of its own."""
    import polars as pl

    from hdex.node.config import BuyerConfig, load
    from hdex.node.container_file import open_frame
    from hdex.node.keys import read_passphrase
    from hdex.node.keystore import KeyStore

    home = next(one for one in path.parents if (one / "config.toml").exists())
    config = load(home / "config.toml", BuyerConfig)
    keys = KeyStore.open(config.identity.keystore, read_passphrase(config.identity.passphrase_file))
    theirs = home.parent / HOSPITAL
    public = KeyStore.open(theirs / "keystore.json", read_passphrase(theirs / "passphrase")).public("sign")
    delivered = open_frame(path, keys.secret("hpke"), public)
    released = pl.read_parquet(home.parent.parent / "release.parquet")
    assert delivered.columns == released.columns
    return sum(int((delivered[name] != released[name]).sum()) for name in released.columns)


def resumed(wire: Wire) -> Seen:
    """Return how many chunks were sent twice after a line that was cut in the middle of one."""
    name = wire.contract()
    cut = wire.buyer.fetch(name, stop_after=CUT_AFTER)
    assert not cut.complete
    part = cut.path.with_name(cut.path.name + ".part")
    os.truncate(part, part.stat().st_size - CHUNK_BYTES // 2)  # the last chunk is half on disk
    rest = wire.buyer.fetch(name)
    assert rest.complete
    assert wire.digest(rest.path) == wire.file.sha256
    whole = wire.file.size + TAG_BYTES * -(-wire.file.size // CHUNK_BYTES)
    again = cut.received + rest.received - whole
    rest.path.unlink()
    chunks = -(-again // (CHUNK_BYTES + TAG_BYTES))
    return {"cut_after_chunks": CUT_AFTER, "sent_twice_bytes": again, "sent_twice_chunks": chunks}


@contextmanager
def watched(pid: int) -> Iterator[list[int]]:
    """Yield a list that holds, after the block, the peak of a process's memory above what it held before, in bytes."""
    found: list[int] = []
    Path(f"/proc/{pid}/clear_refs").write_text("5")  # the kernel begins its peak anew
    before = memory(pid, "VmRSS")
    yield found
    found.append(max(0, memory(pid, "VmHWM") - before))


def memory(pid: int, name: str) -> int:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(name))


def held_against(figures: Seen) -> Iterator[dict[str, Any]]:
    """Yield each bar with what was measured."""

    def bar(name: str, asked: str, measured: float, met: bool) -> dict[str, Any]:
        return {"bar": name, "pass": asked, "measured": results_file.short(measured), "met": met}

    sealing = figures["in_process"]["seal"]["median"]
    copy = figures["copy"]["synced"]["median"]
    yield bar("sealing and hashing in process", ">= 500 MB/s", sealing, sealing >= 500)
    local = figures["in_process"]["to_disk"]["median"] / copy
    yield bar("sealed, verified and to disk in process, beside a copy", ">= 0.3 x", local, local >= 0.3)
    if "over_mtls" not in figures:
        return
    wire = figures["over_mtls"]
    rate = wire["fetch"]["median"]
    yield bar("over mTLS, to disk", ">= 250 MB/s", rate, rate >= 250)
    yield bar("over mTLS to disk, beside a copy", ">= 0.3 x", rate / copy, rate / copy >= 0.3)
    peak = max(one["high"] for one in wire["peak_memory_mib"].values())
    yield bar("peak memory above base, buyer and node", "<= 96 MiB", peak, peak <= 96)
    twice = wire["resume"]["sent_twice_chunks"]
    yield bar("chunks sent twice by a resume", "<= 1", twice, twice <= 1)
    yield bar("values altered", "0", wire["values_altered"], wire["values_altered"] == 0)
    same = wire["deliveries_equal_before_sealing"]
    yield bar("deliveries of one version that are the same bytes before sealing", "all", same, True)  # asserted above


def drawn(figures: Seen) -> str:
    """Return the rates as one picture."""
    names = {
        "copy.not_synced": "plain copy, not synced",
        "copy.synced": "plain copy, synced",
        "in_process.seal": "ours: hash and seal",
        "in_process.to_disk": "ours: seal, verify, to disk",
        "in_process.open": "ours: open",
        "over_mtls.fetch": "ours: over mTLS, to disk",
        "age.seal": "age: seal, file to file",
        "age.open": "age: open, file to file",
    }
    rows = []
    for path, name in names.items():
        part, _, what = path.partition(".")
        if what in figures.get(part, {}):
            rows.append((name, float(figures[part][what]["median"])))
    return bar_drawing.drawn(f"One file of {SIZE >> 20} MiB", rows, "MB/s", asked=250)


if __name__ == "__main__":
    sys.exit(main())
