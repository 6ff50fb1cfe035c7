"""The process of one study: Flower's ServerApp over a Grid whose channel and decryptor are pipes to the exchange.

It holds no key, no certificate and no socket but the journal's where that is PostgreSQL, and a SuperLink's, with its
secret, where that carries the study. It ends when the exchange
does; the journal lets the next one go on.
"""

import os
import sys
import threading
from collections.abc import Sequence
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING

import numpy as np

from hdex.node.exchange.pipe import Packet, Pipe, join, split
from hdex.node.failpoint import failpoint

if TYPE_CHECKING:
    from hdex.federated.apps.flower import Grid
    from hdex.federated.errors import FederatedError
    from hdex.federated.journal import RoundRecord
    from hdex.federated.ports import OpenedSum
    from hdex.federated.standing import Standing
    from hdex.federated.waiting import Awaiting, Vigil

LONGEST_WORDS = 400  # of what another organisation said


class PipeChannel:
    """The Channel port: frames to and from the sites' streams, which the exchange holds."""

    def __init__(self, pipe: Pipe) -> None:
        self._pipe = pipe
        self._frames: SimpleQueue[tuple[str, bytes]] = SimpleQueue()
        self._sites: set[str] = set()

    def sites(self) -> set[str]:
        return self._sites

    def send(self, site: str, frame: bytes) -> None:
        self._pipe.send("send", frame, site=site)

    def receive(self, timeout_s: float) -> tuple[str, bytes]:
        try:
            return self._frames.get(timeout=timeout_s)
        except Empty:
            raise TimeoutError(f"no frame within {timeout_s:g} s") from None

    def arrived(self, packet: Packet) -> None:
        """Take a frame or the list of connected sites from the exchange."""
        if packet.kind == "sites":
            self._sites = set(packet.head["sites"])
        else:
            self._frames.put((packet.head["site"], packet.payload))


class PipeDecryptor:
    """The Decryptor port: the exchange asks the key holder."""

    def __init__(self, pipe: Pipe) -> None:
        self._pipe = pipe
        self._answers: SimpleQueue[Packet] = SimpleQueue()

    def open_sum(self, study_id: str, round_number: int, contributions: list[bytes]) -> "OpenedSum":
        from hdex.federated.errors import error_from_document
        from hdex.federated.ports import OpenedSum

        failpoint("study.replies.gathered")
        sizes, payload = join(contributions)
        self._pipe.send("open", payload, round=round_number, sizes=sizes)
        answer = self._answers.get()
        failpoint("study.sum.received")
        if answer.kind == "refused":
            raise error_from_document(answer.head["error"])
        values, proof = split(answer.head["sizes"], answer.payload)
        return OpenedSum(np.frombuffer(values, dtype=">f8").astype(np.float64), proof)

    def arrived(self, packet: Packet) -> None:
        """Take the key holder's answer."""
        self._answers.put(packet)


def main() -> None:
    """Run the study that the first message names and send its result, or why there is none."""
    pipe = Pipe(sys.stdin.buffer, os.fdopen(os.dup(1), "wb"))
    os.dup2(2, 1)  # what a library prints must not land between the messages
    start = pipe.receive()
    if start is None:
        return
    channel, decryptor = PipeChannel(pipe), PipeDecryptor(pipe)
    threading.Thread(target=listen, args=(pipe, channel, decryptor), daemon=True).start()
    run(pipe, start, channel, decryptor)


def listen(pipe: Pipe, channel: PipeChannel, decryptor: PipeDecryptor) -> None:
    """Hand on what the exchange sends; end the process when the exchange has gone."""
    while (packet := pipe.receive()) is not None:
        if packet.kind in {"frame", "sites"}:
            channel.arrived(packet)
        else:
            decryptor.arrived(packet)
    os._exit(1)


class Teller:
    """Tells the exchange how far the study is, and keeps what its receipt needs."""

    def __init__(self, pipe: Pipe, folder: Path) -> None:
        self._pipe = pipe
        self._folder = folder

    def awaiting(self, found: "Awaiting") -> None:
        """Say whom a round waits for."""
        self._pipe.send("waiting", **found.document())

    def undecided(self, waiting: "Sequence[Standing]") -> None:
        """Say whose people have not decided."""
        from hdex.federated.standing import words_of

        self._pipe.send("people", words=words_of(waiting) or "everybody who is asked has approved")

    def committed(self, row: "RoundRecord") -> None:
        """Say that a round stands in the journal."""
        failpoint("study.round.committed")
        self._pipe.send("round", round=row.round, digest=row.digest(), step=row.step, replies=len(row.replies))

    def opened(self, number: int, contributions: "Sequence[bytes]", proof: bytes) -> None:
        """Keep what share holders have opened, and their proof."""
        from hdex.node.exchange.study_receipts import keep_proof, keep_round

        keep_round(self._folder, number, contributions)
        keep_proof(self._folder, number, proof)

    def unproven(self, number: int, party: str, error: "FederatedError") -> None:
        """Name a share holder that refuses, or whose part does not prove itself."""
        from hdex.federated.errors import Refusal

        rule = error.rule if isinstance(error, Refusal) else "share.unproven"
        self._pipe.send("unproven", round=number, party=party, rule=rule, why=str(error)[:LONGEST_WORDS])


def run(pipe: Pipe, start: Packet, channel: PipeChannel, decryptor: PipeDecryptor) -> None:
    """Run the study and send "result" or "failed"."""
    from hdex.node.egress import quiet

    folder = Path(start.head["folder"])
    quiet(folder)
    import json

    from hdex.federated.apps.flower import node_id
    from hdex.federated.apps.replies import regions_of
    from hdex.federated.errors import FederatedError, error_document
    from hdex.federated.run import run_study
    from hdex.federated.standing import People
    from hdex.federated.study import parse_envelope
    from hdex.federated.waiting import Patience, Vigil
    from hdex.node.exchange.journals import open_journal

    study, teller = parse_envelope(start.payload), Teller(pipe, folder)
    patience = Patience(straggler_s=start.head["straggler_s"], deadline=study.expires())
    regions = regions_of(study, start.head["regions"])
    vigil = Vigil({node_id(name): name for name in (*study.sites, *regions)}, teller.awaiting, patience)
    try:
        result = run_study(
            start.payload,
            grid=grid_of(start, channel, vigil),
            decryptor=decryptor,
            journal=open_journal(start.head["journal"], folder),
            progress=teller.committed,
            patience=patience,
            opened=teller.opened,
            unproven=teller.unproven,
            people=People(teller.undecided, wait_s=start.head["people_s"]),
            regions=regions,
        )
        pipe.send("result", json.dumps(result.document()).encode())
    except FederatedError as error:
        pipe.send("failed", error=error_document(error))


def grid_of(start: Packet, channel: PipeChannel, vigil: "Vigil") -> "Grid":
    """Return the grid over the sites' streams, or that of a new run at a stock SuperLink; it ends with this process."""
    told = start.head["superlink"]
    if told is None:
        from hdex.federated.grid_stream import StreamGrid

        return StreamGrid(channel, watch=vigil.look)
    import atexit

    from hdex.federated.apps.superlink import Control, Endpoint, installed_bundle
    from hdex.federated.grid_superlink import SuperlinkGrid

    superlink = Endpoint(told["address"], Path(told["ca"]).read_bytes())
    control = Control(superlink)
    control.start_run(installed_bundle())
    control.close()
    nodes = {site: int(node) for site, node in told["nodes"].items()}
    grid = SuperlinkGrid.join(superlink, Path(told["secret_file"]).read_bytes(), nodes)
    atexit.register(grid.close)
    return grid


if __name__ == "__main__":
    main()
