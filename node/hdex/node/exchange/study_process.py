"""The exchange's side of a study's process: starts it, carries frames to the sites, asks the key holder for it."""

import json
import logging
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from hdex.federated.errors import DecryptRefused, FederatedError, SiteLost, error_document, error_from_document
from hdex.federated.ports import Channel, OpenedSum
from hdex.federated.study import Study
from hdex.federated.waiting import Patience, Vigil, stamp
from hdex.node.errors import NodeError, PeerUnavailable, RemoteRefused
from hdex.node.exchange.journals import open_journal
from hdex.node.exchange.pipe import Packet, Pipe, join, split
from hdex.node.exchange.ports import SiteChannels, SumOpening
from hdex.node.exchange.study_receipts import keep_proof, keep_round, write_receipt
from hdex.node.failpoint import VARIABLE, failpoint
from hdex.node.signed import Envelope

logger = logging.getLogger(__name__)
STRAGGLER_S = 30.0  # a best-effort round goes on without the missing after so long
PEOPLE_S = 600.0  # and a study ends with who is awaited where a hospital's people take longer: start it again then
ASK_AGAIN_S = 1.0
STARTS = 3  # of a study's process, until somebody starts the study again


@dataclass(frozen=True, slots=True)
class Told:
    """Who hears of a study: of each committed round (again after a restart), of whom it waits for, of a false share."""

    committed: Callable[[int, bytes, str], None]  # round, digest of its row, step
    waiting: Callable[[str], None]
    unproven: Callable[[int, str, str, str], None] = lambda number, party, rule, why: None  # of an opening by shares


class ProcessEnded(PeerUnavailable):
    """A study's process died without a word; its journal is whole."""


class StudyProcess:
    """Runs studies, one process each."""

    def __init__(
        self, channels: SiteChannels, keyholder: SumOpening, folder: Path, *,
        journal: str = "", straggler_s: float = STRAGGLER_S, people_s: float = PEOPLE_S,
        regions: Mapping[str, Sequence[str]] | None = None, superlink: Mapping[str, Any] | None = None,
    ) -> None:  # fmt: skip
        self._channels = channels
        self._keyholder = keyholder
        self._folder = folder
        self._journal = journal  # URL of the rounds' rows; empty: a file in the study's folder
        self._said = {"straggler_s": straggler_s, "people_s": people_s,
                      "regions": {name: list(sites) for name, sites in (regions or {}).items()},
                      "superlink": None if superlink is None else dict(superlink)}  # fmt: skip

    def run(self, study_id: str, envelope: Envelope, told: Told) -> dict[str, Any]:
        """Return the study's result document. A process that dies is started again and goes on from its journal.

        Raises the FederatedError that ended the study, PeerUnavailable when its process died again and again.
        """
        folder = self._folder / study_id
        folder.mkdir(parents=True, exist_ok=True)
        for start in range(1, STARTS + 1):
            try:
                return self._run(study_id, envelope, told, past_failpoints=start > 1)
            except ProcessEnded:
                logger.warning("a study's process died", extra={"study": study_id, "start": start})
        raise PeerUnavailable("the study's process ended; start the study again and it goes on")

    def _run(self, study_id: str, envelope: Envelope, told: Told, *, past_failpoints: bool) -> dict[str, Any]:
        command = [sys.executable, "-m", "hdex.node.exchange.study_child"]
        environment = {**os.environ, **({VARIABLE: ""} if past_failpoints else {})}
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment) as process:
            if process.stdin is None or process.stdout is None:
                raise PeerUnavailable("the study's process has no pipes")
            pipe = Pipe(process.stdout, process.stdin)
            channel = self._channels.open(study_id)
            stop = threading.Event()
            try:
                body, folder = json.dumps(envelope).encode(), str(self._folder / study_id)
                pipe.send("start", body, folder=folder, journal=self._journal, **self._said)
                threading.Thread(target=forward, args=(pipe, channel, stop), daemon=True).start()
                return self._serve(pipe, channel, envelope, told)
            except BrokenPipeError as error:
                raise ProcessEnded("the study's process ended") from error
            finally:
                stop.set()
                self._channels.close(study_id)
                process.kill()
                with suppress(BrokenPipeError):  # what it was never told
                    process.stdin.close()

    def _serve(self, pipe: Pipe, channel: Channel, envelope: Envelope, told: Told) -> dict[str, Any]:
        while (packet := pipe.receive()) is not None:
            if packet.kind == "send":
                with suppress(SiteLost):  # the grid sends again when the site is back
                    channel.send(packet.head["site"], packet.payload)
            elif packet.kind == "open":
                self._open(pipe, envelope, packet, told)
            elif packet.kind == "round":
                told.committed(packet.head["round"], bytes.fromhex(packet.head["digest"]), packet.head["step"])
            elif packet.kind == "waiting":
                told.waiting(words_of(packet.head))
            elif packet.kind == "people":
                told.waiting(packet.head["words"])
            elif packet.kind == "unproven":
                told.unproven(*(packet.head[name] for name in ("round", "party", "rule", "why")))
            elif packet.kind == "failed":
                raise error_from_document(packet.head["error"])
            else:
                result: dict[str, Any] = json.loads(packet.payload)
                self._write_receipt(envelope)
                return result
        raise ProcessEnded("the study's process ended")

    def _write_receipt(self, envelope: Envelope) -> None:
        study_id = str(envelope["document"]["id"])
        folder = self._folder / study_id
        write_receipt(folder, envelope, open_journal(self._journal, folder).rounds(study_id))

    def _open(self, pipe: Pipe, envelope: Envelope, packet: Packet, told: Told) -> None:
        contributions = split(packet.head["sizes"], packet.payload)
        keep_round(self._folder / str(envelope["document"]["id"]), packet.head["round"], contributions)
        failpoint("exchange.round.kept")
        try:
            total = self._ask(envelope, packet.head["round"], contributions, told)
        except RemoteRefused as refusal:
            pipe.send("refused", error=error_document(DecryptRefused(refusal.rule, refusal.message)))
        except SiteLost as error:
            pipe.send("refused", error=error_document(error))
        except (FederatedError, NodeError) as error:
            pipe.send("refused", error=error_document(SiteLost(f"the key holder does not answer: {error}")))
        else:
            failpoint("exchange.sum.received")
            keep_proof(self._folder / str(envelope["document"]["id"]), packet.head["round"], total.proof)
            sizes, payload = join([np.asarray(total.values, dtype=">f8").tobytes(), total.proof])
            pipe.send("sum", payload, sizes=sizes)

    def _ask(self, envelope: Envelope, round_number: int, contributions: list[bytes], told: Told) -> OpenedSum:
        """Ask until the key holder answers or the study ends: the same request has the same answer."""
        waited, study = threading.Event(), Study.from_document(envelope["document"])
        patience = Patience(deadline=study.expires())
        vigil = Vigil({1: study.keyholder.id}, lambda found: told.waiting(words_of(found.document())), patience)
        while True:
            try:
                total = self._keyholder.open_sum(envelope, round_number, contributions)
                vigil.look(round_number, [], [])
                return total
            except PeerUnavailable as error:
                if not patience.left():
                    until = f"round {round_number} until the study's deadline {stamp(study.expires())}"
                    step = f"plan a new study under a new id, with a later deadline, once {study.keyholder.id} is back"
                    raise SiteLost(f"the key holder {study.keyholder.id} did not open {until}", step) from error
            vigil.look(round_number, [1], [])
            waited.wait(ASK_AGAIN_S)


def words_of(waiting: Mapping[str, Any]) -> str:
    """Return whom a round waits for, as people read it."""
    names = [f"{site} (not connected)" for site in waiting["absent"]] + list(waiting["silent"])
    if not names:
        return f"round {waiting['round']}: everybody has answered"
    return f"round {waiting['round']} waits for {', '.join(names)} since {waiting['since']}, until {waiting['until']}"


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
