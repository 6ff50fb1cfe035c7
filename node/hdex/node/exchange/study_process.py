"""The exchange's side of a study's process: starts it, carries frames to the sites, asks the key holder for it."""

import json
import subprocess
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np

from hdex.federated.errors import DecryptRefused, FederatedError, SiteLost, error_document, error_from_document
from hdex.federated.ports import Channel, OpenedSum
from hdex.node.errors import NodeError, PeerUnavailable, RemoteRefused
from hdex.node.exchange.journals import open_journal
from hdex.node.exchange.pipe import Packet, Pipe, join, split
from hdex.node.exchange.ports import KeyHolding, SiteChannels
from hdex.node.exchange.study_receipts import keep_proof, keep_round, write_receipt
from hdex.node.signed import Envelope

ROUND_TIMEOUT_S = 60.0
ASK_AGAIN_S = 1.0
Committed = Callable[[int, bytes, str], None]


class StudyProcess:
    """Runs studies, one process each."""

    def __init__(self, channels: SiteChannels, keyholder: KeyHolding, folder: Path, *, journal: str = "") -> None:
        self._channels = channels
        self._keyholder = keyholder
        self._folder = folder
        self._journal = journal  # URL of the rounds' rows; empty: a file in the study's folder

    def run(self, study_id: str, envelope: Envelope, committed: Committed) -> dict[str, Any]:
        """Return the study's result document; `committed` is called with (round, digest, step) after each round.

        Raises the FederatedError that ended the study, PeerUnavailable when its process died.
        """
        folder = self._folder / study_id
        folder.mkdir(parents=True, exist_ok=True)
        command = [sys.executable, "-m", "hdex.node.exchange.study_child"]
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
            if process.stdin is None or process.stdout is None:
                raise PeerUnavailable("the study's process has no pipes")
            pipe = Pipe(process.stdout, process.stdin)
            channel = self._channels.open(study_id)
            stop = threading.Event()
            try:
                body = json.dumps(envelope).encode()
                pipe.send("start", body, folder=str(folder), journal=self._journal, round_timeout_s=ROUND_TIMEOUT_S)
                threading.Thread(target=forward, args=(pipe, channel, stop), daemon=True).start()
                return self._serve(pipe, channel, envelope, committed)
            finally:
                stop.set()
                self._channels.close(study_id)
                process.kill()

    def _serve(self, pipe: Pipe, channel: Channel, envelope: Envelope, committed: Committed) -> dict[str, Any]:
        while (packet := pipe.receive()) is not None:
            if packet.kind == "send":
                with suppress(SiteLost):  # the grid sends again when the site is back
                    channel.send(packet.head["site"], packet.payload)
            elif packet.kind == "open":
                self._open(pipe, envelope, packet)
            elif packet.kind == "round":
                committed(packet.head["round"], bytes.fromhex(packet.head["digest"]), packet.head["step"])
            elif packet.kind == "failed":
                raise error_from_document(packet.head["error"])
            else:
                result: dict[str, Any] = json.loads(packet.payload)
                self._write_receipt(envelope)
                return result
        raise PeerUnavailable("the study's process ended; start the study again and it goes on")

    def _write_receipt(self, envelope: Envelope) -> None:
        study_id = str(envelope["document"]["id"])
        folder = self._folder / study_id
        write_receipt(folder, envelope, open_journal(self._journal, folder).rounds(study_id))

    def _open(self, pipe: Pipe, envelope: Envelope, packet: Packet) -> None:
        contributions = split(packet.head["sizes"], packet.payload)
        keep_round(self._folder / str(envelope["document"]["id"]), packet.head["round"], contributions)
        try:
            total = self._ask(envelope, packet.head["round"], contributions)
        except RemoteRefused as refusal:
            pipe.send("refused", error=error_document(DecryptRefused(refusal.rule, refusal.message)))
        except (FederatedError, NodeError) as error:
            pipe.send("refused", error=error_document(SiteLost(f"the key holder does not answer: {error}")))
        else:
            keep_proof(self._folder / str(envelope["document"]["id"]), packet.head["round"], total.proof)
            sizes, payload = join([np.asarray(total.values, dtype=">f8").tobytes(), total.proof])
            pipe.send("sum", payload, sizes=sizes)

    def _ask(self, envelope: Envelope, round_number: int, contributions: list[bytes]) -> OpenedSum:
        """Ask until the key holder answers: it may be restarting, and the same request has the same answer."""
        waited = threading.Event()
        for _ in range(int(ROUND_TIMEOUT_S / ASK_AGAIN_S)):
            try:
                return self._keyholder.open_sum(envelope, round_number, contributions)
            except PeerUnavailable:
                waited.wait(ASK_AGAIN_S)
        raise SiteLost(f"no answer within {ROUND_TIMEOUT_S:g} s")


def forward(pipe: Pipe, channel: Channel, stop: threading.Event) -> None:
    """Carry frames and the list of connected sites to the study's process until `stop`."""
    known: set[str] = set()
    with suppress(OSError, ValueError):
        while not stop.is_set():
            if (sites := channel.sites()) != known:
                known = sites
                pipe.send("sites", sites=sorted(sites))
            with suppress(TimeoutError):
                site, frame = channel.receive(0.1)
                pipe.send("frame", frame, site=site)
