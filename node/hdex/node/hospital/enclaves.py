"""The enclave: a buyer's script over released rows, inside the node; a person reads script and output, each an event.

SUBMITTED -> (a person signs the script's digest; it runs) CHECKED or REFUSED -> (the privacy officer signs the output's
digest) RELEASED. Only what is RELEASED leaves. A run counts against the contract when it is submitted.
"""

import hashlib
import threading
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from hdex.catalog.product import DeliveryMode
from hdex.federated.disclosure_regimes import strictest
from hdex.node.documents import Document, Documents
from hdex.node.enclave import Bounds, run
from hdex.node.errors import AccessDenied, NotFound, RequestInvalid
from hdex.node.hospital.enclave_rules import require_harmless
from hdex.node.hospital.released import Opened, Released
from hdex.node.hospital.staff import OFFICER, Staff
from hdex.node.identity import Identity
from hdex.node.meter import Meter
from hdex.node.recorder import Recorder
from hdex.node.signed import Envelope, canonical

KIND = "enclave_run"
SCRIPT_PAPER, OUTPUT_PAPER = "enclave.script", "enclave.output"
PAPERS = (SCRIPT_PAPER, OUTPUT_PAPER)
SUBMITTED, CHECKED, REFUSED, RELEASED = "SUBMITTED", "CHECKED", "REFUSED", "RELEASED"
MOST_SCRIPT = 64 * 1024
LONGEST_REASON = 400
NEXT = {
    SUBMITTED: "a person of the hospital reads the script",
    CHECKED: "the privacy officer reads the output",
    RELEASED: "fetch the output",
}
TOLD = ("run", "contract", "state", "rule", "next_step", "script_digest")


@dataclass(frozen=True, slots=True)
class Chamber:
    """Where scripts run: a folder that is not on a disk where there is one, and what a run may use."""

    folder: Path
    bounds: Bounds


class Enclaves:
    """The runs of one hospital."""

    def __init__(
        self, released: Released, staff: Staff, documents: Documents, recorder: Recorder, meter: Meter, *,
        chamber: Chamber,
    ) -> None:  # fmt: skip
        self._released = released
        self._staff = staff
        self._documents = documents
        self._recorder = recorder
        self._meter = meter
        self._chamber = chamber
        self._running = threading.Lock()  # one script at a time: its bounds are the machine's

    def submit(self, contract_id: str, script: bytes, actor: Identity) -> Document:
        """Keep a script that waits for a person; the same script again is the same run."""
        with self._recorder.refusals("study.plan", actor, contract=contract_id), self._running:
            opened = self._open(contract_id, actor.participant)
            digest = script_digest(script)
            mine = [row for row in self.all() if row["contract"] == contract_id]
            for row in mine:
                if row["script_digest"] == digest:
                    return told(row)
            if digest not in self._released.book.scripts(contract_id):
                self._released.require_takes(opened, DeliveryMode.ENCLAVE, {"enclave_runs": 1})
            row = {
                "run": str(uuid.uuid4()),
                "contract": contract_id,
                "consumer": opened.agreement.consumer,
                "script": script.decode("utf-8"),
                "script_digest": digest,
            }
            with self._recorder.release("study.plan", actor, **opened.facts(request_digest=digest)):
                return told(self._move(row, SUBMITTED))

    def sign(self, kind: str, envelope: Envelope, actor: Identity) -> Document:
        """Carry out what a person signed about a script or an output: {"run", "digest", "approve"}; a no may say why
        ("reason"), and the buyer reads it.
        """
        with self._recorder.refusals("study.approve", actor), self._running:
            if kind == OUTPUT_PAPER and actor.role != OFFICER:
                raise AccessDenied("approve.role", f"ask the {OFFICER}", "an output is released by another role")
            paper = self._staff.verified(kind, envelope, actor.role)
            row = self._row(str(paper.get("run", "")))
            expected = (SUBMITTED, "script_digest") if kind == SCRIPT_PAPER else (CHECKED, "output_digest")
            if (row["state"], row.get(expected[1])) != (expected[0], paper.get("digest")):
                raise AccessDenied(
                    "enclave.other", "read the run again", f"the run is {row['state']}, or of other bytes"
                )
            opened = self._open(str(row["contract"]), str(row["consumer"]))
            digest = str(paper["digest"])
            self._recorder.allow("study.approve", actor, **opened.facts(request_digest=digest))
            if paper.get("approve") is not True:
                said = str(paper.get("reason", ""))[:LONGEST_REASON] or "ask the hospital why"
                return self._move(row, REFUSED, rule="person.refused", next_step=said)
            return self._run(row, opened, actor) if kind == SCRIPT_PAPER else self._move(row, RELEASED)

    def fetch(self, contract_id: str, run_id: str, actor: Identity) -> tuple[Document, dict[str, bytes]]:
        """Return how a run stands, and its outputs once they are released; both are events before they are told."""
        with self._recorder.refusals("export", actor, contract=contract_id):
            opened = self._open(contract_id, actor.participant)
            row = self._row(run_id)
            if row["contract"] != contract_id:
                raise AccessDenied("enclave.foreign", "", "the run is under another contract")
        if row["state"] != RELEASED:
            self._recorder.allow("contract.read", actor, **opened.facts())
            return told(row), {}
        found = {name: text.encode() for name, text in row["outputs"].items()}
        self._recorder.allow(
            "export", actor, **opened.facts(fields=int(row["cells"]), result_digest=str(row["output_digest"]))
        )
        self._meter.add("enclave outputs", sum(map(len, found.values())))
        return told(row), found

    def all(self) -> list[Document]:
        """Return every run with script and outputs, for the people who read them."""
        return self._documents.all(KIND)

    def listed(self, actor: Identity) -> list[Document]:
        """Return what waits for a person, after an event."""
        self._recorder.allow("study.approve", actor)
        return [row for row in self.all() if row["state"] in (SUBMITTED, CHECKED)]

    def _run(self, row: Document, opened: Opened, actor: Identity) -> Document:
        """Run an approved script, remembered before it starts; what comes out is checked before a person sees it."""
        frame = self._released.frame(opened)
        rows, digest = frame.height, str(row["script_digest"])
        said = opened.facts(rows=rows, fields=frame.width, request_digest=digest)
        with self._released.querying(opened, rows=rows):
            self._released.require_takes(opened, DeliveryMode.ENCLAVE, {"queries": 1, "rows": rows})
            self._recorder.allow("query.run", actor, **said)
        try:
            outputs = run(str(row["script"]).encode(), frame, self._chamber.folder, self._chamber.bounds)
            cells = require_harmless(outputs, frame, strictest().of_level(opened.held.product.level))
        except AccessDenied as error:
            self._recorder.deny("query.run", actor, error.rule, **opened.facts(request_digest=digest))
            return self._move(row, REFUSED, rule=error.rule, next_step=error.next_step)
        texts = {name: data.decode("utf-8") for name, data in outputs.items()}
        return self._move({**row, "outputs": texts, "output_digest": output_digest(texts), "cells": cells}, CHECKED)

    def _move(self, row: Mapping[str, object], state: str, *, rule: str = "", next_step: str = "") -> Document:
        moved = {**row, "state": state, "rule": rule, "next_step": next_step or NEXT.get(state, "")}
        self._documents.put(KIND, str(row["run"]), moved)
        return moved

    def _open(self, contract_id: str, consumer: str) -> Opened:
        return self._released.open(contract_id, DeliveryMode.ENCLAVE, consumer)

    def _row(self, run_id: str) -> Document:
        try:
            return self._documents.get(KIND, run_id)
        except NotFound:
            raise NotFound("there is no such run") from None


def script_digest(script: bytes) -> str:
    """Return what a person signs of a script. Raises RequestInvalid for one that cannot be read."""
    try:
        text = script.decode("utf-8")
    except UnicodeDecodeError as error:
        raise RequestInvalid("a script is UTF-8 text") from error
    if not 0 < len(script) <= MOST_SCRIPT or not all(one.isprintable() or one in "\n\t" for one in text):
        raise RequestInvalid(f"a script has 1 to {MOST_SCRIPT} bytes, and nothing a reader cannot see")
    return hashlib.sha256(script).hexdigest()


def output_digest(outputs: Mapping[str, str]) -> str:
    """Return what a person signs of an output."""
    return hashlib.sha256(canonical(dict(outputs))).hexdigest()


def told(row: Document) -> Document:
    """Return what the buyer is told of a run."""
    return {name: row[name] for name in TOLD}
