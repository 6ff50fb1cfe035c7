"""Data sets of a hospital: an export read, mapped, joined to one row per patient, kept encrypted. Rows never leave."""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from pathlib import Path
from typing import Any

import polars as pl

from hdex.deid import minors
from hdex.deid.scheme import load_scheme
from hdex.ledger.event import format_time
from hdex.node.consent import Consents, band
from hdex.node.documents import Document, Documents
from hdex.node.errors import NotFound
from hdex.node.failpoint import failpoint
from hdex.node.harmonize import Common, Mapping, apply, propose
from hdex.node.hospital.populations import Populations
from hdex.node.hospital.release_register import ReleaseRegister
from hdex.node.identity import Identity
from hdex.node.quality import quality
from hdex.node.recorder import Recorder
from hdex.node.sources import Export, read_export
from hdex.node.sources.errors import MappingInvalid
from hdex.node.vault import Vault
from hdex.node.views import build_view, load_view

INGEST, MAPPING = "ingest", "mapping"
VIEW, PERSONS = "view", "persons"
WITHDRAWAL = "consent_withdrawal"  # when patients of a data set last withdrew
PATIENT, BIRTH = "person_id", "birth_date"
Say = Callable[[str, str], None]


@dataclass(frozen=True, slots=True)
class Archive:
    """Where data sets are kept: rows in the vault, facts in documents, consents and populations in registries."""

    documents: Documents
    vault: Vault
    consents: Consents
    populations: Populations


@dataclass(frozen=True, slots=True)
class Edition:
    """One state of a data set and of the registry of consents."""

    export_digest: str
    consents: int  # recorded so far
    at: datetime
    until: datetime | None  # when the next recorded consent begins or ends

    def holds(self, later: "Edition") -> bool:
        """Return whether nothing has changed since: no other export, no further word of a patient, no term passed."""
        same = (self.export_digest, self.consents) == (later.export_digest, later.consents)
        return same and self.at <= later.at and (self.until is None or later.at < self.until)


class Datasets:
    """Ingest once, ask often. The same export again changes nothing."""

    def __init__(self, archive: Archive, recorder: Recorder, clock: Callable[[], datetime]) -> None:
        self._archive = archive
        self._recorder = recorder
        self._clock = clock

    def ingest(self, dataset: str, path: Path, view: str, *, actor: Identity, say: Say) -> Document:
        """Read an export. Without an approved mapping, return the proposed one; with it, keep the data set."""
        with self._recorder.refusals("ingest.run", actor, product=dataset):
            return self._ingested(dataset, path, view, actor=actor, say=say)

    def _ingested(self, dataset: str, path: Path, view: str, *, actor: Identity, say: Say) -> Document:
        export = read_export(path)
        for line in export.describe():
            say("read", describe(line))
        mapping = self._mapping(dataset)
        if mapping is None:
            proposed = propose(export, name=dataset)
            say("mapping", f"{len(proposed.tables)} tables proposed; a steward reviews and signs")
            return {"state": "mapping.proposed", "dataset": dataset, "mapping": proposed.document()}
        return self._keep(dataset, export, mapping, view=view, actor=actor, say=say)

    def facts(self, dataset: str) -> dict[str, Any]:
        """Return what is known of a data set: export digest, view, rows, counts."""
        return self._archive.documents.get(INGEST, dataset)

    def rows(self, dataset: str) -> pl.DataFrame:
        """Return the raw rows, one per patient. For verbs of this node only."""
        return self._archive.vault.read_frame(dataset, self._name(dataset, VIEW))

    def persons(self, dataset: str) -> pl.DataFrame:
        """Return what identifies the patients of a data set. For redaction and the residue sweep only."""
        return self._archive.vault.read_frame(dataset, self._name(dataset, PERSONS))

    def moment(self) -> str:
        """Return the present time, as documents say it."""
        return format_time(self._clock())

    def table(self, dataset: str) -> str:
        """Return the name of the table that versions of this data set show: whatever the data set is called."""
        return str(self.facts(dataset)["view"])

    @property
    def register(self) -> ReleaseRegister:
        """What was released before, of every table."""
        return self._archive.populations.register

    def released_columns(self, dataset: str) -> list[str]:
        """Return the columns that may be part of a file: those derived for studies alone are not."""
        return load_view(str(self.facts(dataset)["view"])).released()

    def consented(self, dataset: str, purpose: str, recipient_class: str | None) -> pl.DataFrame:
        """Return the raw rows to use for this purpose and recipient now: consent covers them, no few set apart."""
        rows = self.rows(dataset)
        covered = self._covered(rows, purpose, recipient_class, self._of_age(dataset, rows))
        settled = self._archive.populations.settle(dataset, sorted(covered), table=self.table(dataset))
        return rows.filter(pl.col(PATIENT).is_in(settled))

    def edition(self, dataset: str) -> "Edition":
        """Return what decides now whose rows are used: while it holds, `consented` returns the same."""
        at = self._clock()
        number, until = self._archive.consents.edition(at)
        return Edition(str(self.facts(dataset)["export_digest"]), number, at, until)

    def without_guardian(self, dataset: str, purpose: str, recipient_class: str | None) -> str:
        """Return in bands how many patients are left out who consented as children, and no guardian for them."""
        rows = self.rows(dataset)
        otherwise = self._covered(rows, purpose, recipient_class, {})
        return band(len(otherwise - self._covered(rows, purpose, recipient_class, self._of_age(dataset, rows))))

    def has_minors(self, dataset: str) -> bool:
        """Return whether a patient was under age on the last day of the record, so that every day says the same."""
        last = self.facts(dataset).get("last_day")  # absent from data sets ingested before it was kept
        at = date.fromisoformat(str(last)) if last else self._clock().date()
        births = self._births(dataset, self.rows(dataset))[BIRTH]
        return bool(minors.under_age(births, at, years=load_scheme().minor_age).any())

    def withdraw_consent(self, dataset: str, patient_file: Path, *, actor: Identity) -> Document:
        """Record that the patients named in a file on this node withdraw; the next version and round leave them out."""
        with self._recorder.refusals("consent.withdraw", actor, product=dataset):
            return self._withdrawn(dataset, patient_file, actor)

    def _withdrawn(self, dataset: str, patient_file: Path, actor: Identity) -> Document:
        try:
            patients = patient_file.read_text(encoding="utf-8").split()
        except (OSError, UnicodeDecodeError) as error:
            raise NotFound(f"the list {patient_file} cannot be read") from error
        known = set(self.rows(dataset)[PATIENT].to_list())
        found = [patient for patient in patients if patient in known]
        with self._recorder.release("consent.withdraw", actor, product=dataset, rows=len(found)):
            self._archive.consents.withdraw(found, at=self._clock())
            if found:
                self._archive.documents.put(WITHDRAWAL, dataset, {"at": format_time(self._clock())})
        return {"dataset": dataset, "asked": len(patients), "withdrawn": len(found)}

    def _covered(
        self, rows: pl.DataFrame, purpose: str, recipient_class: str | None, of_age: dict[str, datetime]
    ) -> set[str]:
        return self._archive.consents.covered(
            rows[PATIENT].to_list(),
            purpose,
            recipient_class=recipient_class or None,
            at=self._clock(),
            of_age=of_age,
        )

    def _births(self, dataset: str, rows: pl.DataFrame) -> pl.DataFrame:
        """Return (patient, date of birth) of the rows' patients, from the rows or from the table of persons."""
        source = rows if BIRTH in rows.columns else self.persons(dataset)
        born = source.select(PATIENT, BIRTH).drop_nulls().unique(PATIENT, keep="first", maintain_order=True)
        return born.join(rows.select(PATIENT), on=PATIENT, how="semi", maintain_order="left")

    def _of_age(self, dataset: str, rows: pl.DataFrame) -> dict[str, datetime]:
        """Return from when on each patient's own consent counts."""
        born = self._births(dataset, rows)
        days = minors.of_age(born[BIRTH], years=load_scheme().minor_age)
        return {
            patient: datetime.combine(day, time(), UTC)
            for patient, day in zip(born[PATIENT].to_list(), days.to_list(), strict=True)
        }

    def _keep(
        self, dataset: str, export: Export, mapping: Mapping, *, view: str, actor: Identity, say: Say
    ) -> Document:
        digest = export_digest(export, mapping, view)
        known = self._known(dataset)
        if known is not None and known["export_digest"] == digest:
            return {"state": "ingested", **known}
        common = apply(export, mapping)
        for count in common.counts:
            say("mapped", f"{count.source} -> {count.model}: {count.kept} of {count.read} rows kept")
        built = build_view(common, load_view(view))
        say("view", f"{view}: {built.frame.height} patients, {built.frame.width} columns")
        facts = self._facts(dataset, digest, view, common, built.frame)
        facts["last_day"] = built.index_date.isoformat()
        with self._recorder.release(
            "ingest.run", actor, product=dataset, rows=built.frame.height, result_digest=digest
        ):
            self._store(dataset, digest, common, built.frame)
            failpoint("ingest.stored")
            self._archive.documents.put(INGEST, dataset, facts)
        return {"state": "ingested", **facts}

    def _store(self, dataset: str, digest: str, common: Common, rows: pl.DataFrame) -> None:
        """Keep rows, persons and consents; what an interrupted run has kept already stays as it is."""
        for name, frame in ((VIEW, rows), (PERSONS, common["person"])):
            if not self._archive.vault.contains(dataset, f"{name}-{digest[:16]}"):
                self._archive.vault.put_frame(dataset, f"{name}-{digest[:16]}", frame)
        consents = common["consent"]
        if consents.is_empty():  # no registry came with the export: the listed legal basis of the regime applies
            self._archive.consents.add_legal_basis(rows[PATIENT].to_list(), since=self._clock())
        else:
            self._archive.consents.add(consents)

    def _facts(self, dataset: str, digest: str, view: str, common: Common, rows: pl.DataFrame) -> Document:
        return {
            "dataset": dataset,
            "view": view,
            "export_digest": digest,
            "patients": rows.height,
            "patients_band": band(rows.height),
            "consent_from": "legal basis" if common["consent"].is_empty() else "registry",
            "tables": [count.document() for count in common.counts],
            "quarantined": common.quarantine.height,
            "quality": quality(rows).document(),
        }

    def _mapping(self, dataset: str) -> Mapping | None:
        try:
            envelope = self._archive.documents.get(MAPPING, dataset)["envelope"]
        except NotFound:
            return None
        if not isinstance(envelope, dict):
            raise MappingInvalid("the approved mapping cannot be read")
        return Mapping.from_document(envelope["document"])

    def _known(self, dataset: str) -> dict[str, Any] | None:
        try:
            return self.facts(dataset)
        except NotFound:
            return None

    def _name(self, dataset: str, kind: str) -> str:
        return f"{kind}-{str(self.facts(dataset)['export_digest'])[:16]}"


def export_digest(export: Export, mapping: Mapping, view: str) -> str:
    """Return a digest of what was exported and how it is read: the same again need not be ingested again."""
    digest = hashlib.sha256(f"{mapping.digest()}\n{view}\n".encode())
    for name in sorted(export.tables):
        rows = export.tables[name].frame.select(export.tables[name].columns)
        digest.update(name.encode() + rows.hash_rows(seed=0).to_numpy().tobytes())
    return digest.hexdigest()


def study_columns(rows: pl.DataFrame) -> list[str]:
    """Return the columns a study may ask: numbers and flags."""
    return [name for name, kind in rows.schema.items() if kind.is_numeric() or kind == pl.Boolean]


def describe(line: dict[str, Any]) -> str:
    """Return one table of an export in words: how it was written and how much it holds."""
    dialect = line["dialect"]
    dates = sorted(set(dialect["dates"].values()))
    shape = [dialect["kind"], dialect["encoding"]]
    if dialect["delimiter"]:
        shape.append(f"delimiter {dialect['delimiter']!r}")
    if dates:
        shape.append("dates " + ", ".join(dates))
    return f"{line['table']}: {line['rows']:,} rows, {len(line['columns'])} columns ({', '.join(shape)})"
