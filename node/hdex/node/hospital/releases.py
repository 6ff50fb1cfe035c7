"""De-identified versions of a data set: made, measured, verified, certified, kept; a risky one is refused."""

import hashlib
import io
import json
import threading
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import polars as pl

from hdex.deid.certificate import render
from hdex.deid.columns import ColumnProfile, LevelDecision, Role
from hdex.deid.errors import RegisterRefused
from hdex.deid.notes import NoteInput
from hdex.deid.pipeline import Attacker, Recipe, Release, deidentify
from hdex.deid.policy import Dates, Policy, preset
from hdex.deid.ports import Detector
from hdex.deid.pseudonym import Keys, derive, pseudonyms
from hdex.deid.treatment import study_weights
from hdex.node.consent import band
from hdex.node.documents import Document, Documents
from hdex.node.durable import write_atomic
from hdex.node.errors import AccessDenied, NodeError
from hdex.node.failpoint import failpoint
from hdex.node.hospital.attackers import attacker_of
from hdex.node.hospital.classifications import Classifications
from hdex.node.hospital.datasets import PATIENT, Datasets
from hdex.node.hospital.people import identities
from hdex.node.hospital.release_register import Candidate, incomplete
from hdex.node.hospital.released import release_name
from hdex.node.identity import Identity
from hdex.node.keys import KeyProvider
from hdex.node.recorder import Recorder
from hdex.node.vault import Vault

KIND = "release"
CONSENTED = "name a purpose and a class of recipients that patients have consented to"
EVENT_DATE = "event_date"  # element of the catalogue
LEVEL_5 = 5
Say = Callable[[str, str], None]


@dataclass(frozen=True, slots=True)
class ReleaseOrder:
    """What a release is for: it decides the patients (by consent), the keys and the ceilings."""

    dataset: str
    preset: str
    purpose: str
    recipient_class: str

    def context(self) -> tuple[str, ...]:
        """What the keys of this release are bound to: no two projects share a pseudonym."""
        return (self.dataset, self.purpose, self.recipient_class)


@dataclass(frozen=True, slots=True)
class Workshop:
    """Where releases are made and kept. `detector` is built at first use: it is heavy."""

    documents: Documents
    vault: Vault
    keys: KeyProvider
    detector: Callable[[], Detector]
    reports: Path


class Releases:
    """Makes versions of data sets. The same rows under the same order are the same version."""

    def __init__(
        self, workshop: Workshop, datasets: Datasets, classifications: Classifications, recorder: Recorder
    ) -> None:
        self._workshop = workshop
        self._datasets = datasets
        self._classifications = classifications
        self._recorder = recorder
        self._making = threading.Lock()  # one at a time: two would take the same version

    def deidentify(self, order: ReleaseOrder, *, actor: Identity, say: Say) -> Document:
        """Return the facts of a release that meets its preset, or raise and keep nothing; a refusal is an event."""
        with self._recorder.refusals("deidentify.run", actor, product=order.dataset), self._making:
            everyone = self._datasets.rows(order.dataset)
            self._restore_register(order.dataset, everyone[PATIENT], say)
            rows = self._datasets.consented(order.dataset, order.purpose, order.recipient_class)  # 1 who may be in it
            rows = rows.select(self._datasets.released_columns(order.dataset))
            profiles, decision, approved = self._classifications.approved(order.dataset, rows)  # 2 read by a person
            inputs = inputs_digest(rows, order, approved)
            for known in self._of(order.dataset):
                if known["inputs"] == inputs:
                    return known
            say("consent", f"{rows.height} of {everyone.height} patients consent to {order.purpose}")
            if rows.is_empty():
                raise AccessDenied("consent.nobody", CONSENTED, "no patient's consent covers this purpose and class")
            flags = self._flags(order, decision, say)
            made, candidate = self._apart(order, rows, profiles, decision=decision, say=say)  # 3 treated, compared
            say("risk", told(made))
            data = parquet(made.frame) if made.may_leave_as_rows else b""
            facts = facts_of(order, made, self._version(order.dataset, data), data)
            made_at = self._datasets.moment()
            facts |= {"inputs": inputs, "classification_digest": approved, "made": made_at, **flags}
            self._keep(made, facts, data, actor=actor, candidate=candidate)  # 4 remembered, kept
            return facts

    def _flags(self, order: ReleaseOrder, decision: LevelDecision, say: Say) -> Document:
        """Return what a person said of the data set that travels with its versions: children, national grade."""
        flags: Document = {
            "national_grade": decision.national_grade.value,
            "assessment": decision.assessment,
            "minor_under_14": decision.minor_under_14,
        }
        if decision.minor_under_14:
            left = self._datasets.without_guardian(order.dataset, order.purpose, order.recipient_class)
            say("minors", f"{left} patients who consented under age, and no guardian for them, are left out")
            flags["without_guardian"] = left
        return flags

    def _restore_register(self, dataset: str, patients: pl.Series, say: Say) -> None:
        """Give versions of before the register, or whose entry is lost, an entry made from their stored rows."""
        register = self._datasets.register
        for facts in self._of(dataset):
            if register.has_entry(facts):
                continue
            version, known = str(facts["version"]), {}
            if int(facts["bytes"]):
                frame = self._stored(dataset, version)
                whose = self._whose(facts, frame, patients)
                known = register.restore(self._datasets.table(dataset), facts, frame, whose)
            self._workshop.documents.put(KIND, f"{dataset}/{version}", facts | {"register": known})
            say("register", f"version {version}: its entry was made anew from the stored file")

    def _stored(self, dataset: str, version: str) -> pl.DataFrame:
        try:
            return self.frame(dataset, version)
        except NodeError as error:
            raise incomplete(f"{version}, and its file cannot be read") from error

    def _whose(self, facts: Document, frame: pl.DataFrame, patients: pl.Series) -> pl.Series:
        """Return whose the rows of a stored version are, by the pseudonyms this node gives. Raises AccessDenied."""
        version = str(facts["version"])
        if PATIENT not in frame.columns:
            raise incomplete(f"{version}, which has no pseudonyms to make one from")
        order = ReleaseOrder(*(str(facts[name]) for name in ("dataset", "preset", "purpose", "recipient_class")))
        given = pseudonyms(patients, self._keys(order).pseudonym)
        whose = frame[PATIENT].replace_strict(given, patients, default=None, return_dtype=pl.String)
        if lost := whose.null_count():
            raise incomplete(f"{version}, and {band(lost)} of its rows are of nobody who is in the data set now")
        return whose

    def _keys(self, order: ReleaseOrder) -> Keys:
        master = self._workshop.keys.secret("pseudonym")
        return Keys(*(derive(master, name, *order.context()) for name in ("pseudonym", "shift", "surrogate")))

    def _version(self, dataset: str, data: bytes) -> str:
        """Return the next version whose file is not taken by other bytes: a run that broke off may have left one."""
        number = len(self._of(dataset))
        sha256 = hashlib.sha256(data).hexdigest()
        while data and self._workshop.vault.contains(dataset, name := release_name(f"1.{number}.0")):
            if self._workshop.vault.stat(dataset, name).sha256 == sha256:
                break
            number += 1
        return f"1.{number}.0"

    def facts(self, dataset: str, version: str) -> dict[str, Any]:
        """Return the facts of one version."""
        return self._workshop.documents.get(KIND, f"{dataset}/{version}")

    def frame(self, dataset: str, version: str) -> pl.DataFrame:
        """Return the released rows of one version, read back from the vault."""
        return pl.read_parquet(io.BytesIO(self._workshop.vault.read(dataset, release_name(version))))

    def _apart(
        self,
        order: ReleaseOrder,
        rows: pl.DataFrame,
        profiles: list[ColumnProfile],
        *,
        decision: LevelDecision,
        say: Say,
    ) -> tuple[Release, Candidate | None]:
        """Return a version that shows nothing new together with earlier ones, and its entry of the register.

        Where a free choice of generalisation breaks a join, the labels of the newest version are kept. Raises
        RegisterRefused.
        """
        register, table, k = self._datasets.register, self._datasets.table(order.dataset), preset(order.preset).k
        made = self._made(order, rows, profiles, decision=decision, recipes={})
        if not made.may_leave_as_rows:
            return made, None
        try:
            return made, register.require(table, order.dataset, made, rows[PATIENT], k=k)
        except RegisterRefused as refused:
            recipes = register.recipes(table, order.dataset, order.preset)
            if not recipes:
                raise
            say("register", f"{refused.rule}: made anew as the version before tells it")
        made = self._made(order, rows, profiles, decision=decision, recipes=recipes)
        return made, register.require(table, order.dataset, made, rows[PATIENT], k=k)

    def _made(
        self,
        order: ReleaseOrder,
        rows: pl.DataFrame,
        profiles: list[ColumnProfile],
        *,
        decision: LevelDecision,
        recipes: Mapping[str, Recipe],
    ) -> Release:
        has_notes = any(profile.role is Role.FREE_TEXT for profile in profiles if profile.name in rows.columns)
        notes = None
        if has_notes and decision.level != LEVEL_5:  # of level 5 no text is ever part of anything
            found = identities(rows, self._datasets.persons(order.dataset))
            notes = NoteInput(found, self._workshop.detector())
        policy = preset(order.preset)
        return deidentify(
            rows,
            profiles,
            policy,
            quasi=quasi_identifiers(profiles, policy),
            hierarchies=recipes,
            weights=study_weights(profiles, str(self._datasets.facts(order.dataset)["view"])),
            keys=self._keys(order),
            patient=PATIENT,
            seed=derive(self._workshop.keys.secret("pseudonym"), "order", *order.context()),
            attacker=Attacker(attacker_of(rows.columns, order.recipient_class).known),
            notes=notes,
            decision=decision,
        )

    def _keep(
        self, made: Release, facts: Document, data: bytes, *, actor: Identity, candidate: Candidate | None
    ) -> None:
        dataset, version = str(facts["dataset"]), str(facts["version"])
        with self._recorder.release(
            "deidentify.run",
            actor,
            product=dataset,
            version=version,
            purpose=str(facts["purpose"]),
            rows=made.frame.height,
            fields=made.frame.width,
            result_digest=str(facts["sha256"]),
        ):
            facts["register"] = self._datasets.register.keep(candidate) if candidate else {}
            name = release_name(version)
            if data and not self._workshop.vault.contains(dataset, name):
                self._workshop.vault.put(dataset, name, data)
            failpoint("release.stored")
            self._write_reports(dataset, version, made)
            self._workshop.documents.put(KIND, f"{dataset}/{version}", facts)

    def _write_reports(self, dataset: str, version: str, made: Release) -> None:
        folder = self._workshop.reports
        folder.mkdir(parents=True, exist_ok=True)
        stem = f"{dataset}-{version}"
        report = json.dumps(made.report.to_dict(), indent=1, ensure_ascii=False)
        write_atomic(folder / f"{stem}.json", report.encode())
        for lang in ("en", "zh"):
            write_atomic(folder / f"{stem}.{lang}.html", render(made.report, lang).encode())

    def _of(self, dataset: str) -> list[Document]:
        return [facts for facts in self._workshop.documents.all(KIND) if facts["dataset"] == dataset]


def quasi_identifiers(profiles: list[ColumnProfile], policy: Policy) -> list[str]:
    """Return the columns to generalise: days of events leave as shifted days where the preset shifts dates."""
    events_shift = policy.dates is Dates.SHIFT
    return [
        profile.name
        for profile in profiles
        if profile.role is Role.QUASI and not (events_shift and profile.element == EVENT_DATE)
    ]


def inputs_digest(rows: pl.DataFrame, order: ReleaseOrder, approved: str) -> str:
    """Return a digest of everything a release is made from."""
    digest = hashlib.sha256(json.dumps([asdict(order), approved, rows.columns]).encode())
    digest.update(rows.hash_rows(seed=0).to_numpy().tobytes())
    return digest.hexdigest()


def parquet(frame: pl.DataFrame) -> bytes:
    """Return a frame as Parquet bytes: the same frame, the same bytes."""
    buffer = io.BytesIO()
    frame.write_parquet(buffer, compression="zstd")
    return buffer.getvalue()


def facts_of(order: ReleaseOrder, made: Release, version: str, data: bytes) -> Document:
    """Return what is told of a release: counts, digests, measures; never a value of a record."""
    report = made.report.to_dict()
    digest = hashlib.sha256(data or json.dumps(report, sort_keys=True).encode()).hexdigest()
    return {
        **asdict(order),
        "version": version,
        "level": made.report.level_after,
        "records": made.frame.height,
        "columns": made.frame.columns,
        "bytes": len(data),
        "sha256": digest,
        "report": report,
    }


def told(made: Release) -> str:
    """Return the risk of a release in one line."""
    after = made.report.risk_after
    if after is None:
        return "level 5: encrypted sums over several hospitals only, no file"
    return f"k {made.report.risk_before.k} -> {after.k}, {made.report.suppressed} rows suppressed"
