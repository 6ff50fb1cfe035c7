"""The hospital's release register: what earlier versions showed, kept in the vault, asked before a version is stored.

An entry is written before its version's document and named in it: a version without a readable entry was made by other
means, and nothing more is released of its table until that is cleared. An entry that no document names belongs to a
run that broke off, was never offered, and counts for nothing.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial

import polars as pl

from hdex.deid.pipeline import Recipe, Release
from hdex.deid.pseudonym import derive
from hdex.deid.register import CLASS, PATIENT, Entry, Standing, enter, pinned, require_apart, standing, told
from hdex.node.documents import Document, Documents
from hdex.node.errors import AccessDenied, NodeError
from hdex.node.vault import Vault

RELEASE = "release"  # kind of the documents of versions
SHELF = "release-register"  # product of the vault: its key does not go with a data set's
COLUMN = "column"
Told = dict[str, pl.DataFrame]  # per quasi-identifier how its values were told: (leaf, label)


@dataclass(frozen=True, slots=True)
class Candidate:
    """A version that may be stored: its entry, and how it tells its quasi-identifiers."""

    table: str
    entry: Entry
    told: Told = field(repr=False)


class ReleaseRegister:
    """Compares a new version with all earlier ones of its table. What it cannot read, it refuses."""

    def __init__(self, documents: Documents, vault: Vault, secret: bytes) -> None:
        self._documents = documents
        self._vault = vault
        self._key = derive(secret, "release register")

    def require(self, table: str, dataset: str, made: Release, patients: pl.Series, *, k: int) -> Candidate:
        """Return what to keep of a version, or raise RegisterRefused. patients: of the rows it was made from."""
        quasi = made.report.quasi
        rows = patients.gather(made.source_rows)
        entry = enter("new", rows, made.frame, quasi, k=k, key=self._key)
        require_apart(entry, self.entries(table, dataset))
        levels = made.report.transformation
        return Candidate(table, entry, {name: told(made.ladders[name], levels[name]) for name in quasi})

    def keep(self, candidate: Candidate) -> Document:
        """Store an entry, durable on return; return what the version's document says of it."""
        entry = candidate.entry
        told_as = [frame.with_columns(pl.lit(name).alias(COLUMN)) for name, frame in candidate.told.items()]
        labels = pl.concat(told_as) if told_as else pl.DataFrame()
        names = {
            "members": self._put("members", entry.members),
            "told": self._put("told", labels) if told_as else "",
        }
        return {"table": candidate.table, "k": entry.k, **names}

    def has_entry(self, facts: Document) -> bool:
        """Return whether a version's document names an entry that is there; a version without rows needs none."""
        known = facts.get("register")
        return known is not None and (not known or self._vault.contains(SHELF, str(known["members"])))

    def restore(self, table: str, facts: Document, frame: pl.DataFrame, patients: pl.Series) -> Document:
        """Make a version's entry anew from its stored rows and whose they are; return what its document says of it.

        How its values were told is not known any more: the next version chooses its labels freely.
        """
        report = facts["report"]
        entry = enter("restored", patients, frame, report["quasi"], k=int(report["policy"]["k"]), key=self._key)
        return self.keep(Candidate(table, entry, {}))

    def entries(self, table: str, dataset: str) -> list[Entry]:
        """Return the entries of a table's versions, oldest first. Raises AccessDenied where one cannot be read."""
        return [self._entry(facts) for facts in self._versions(table, dataset)]

    def standing(self, table: str, dataset: str, patients: Sequence[str]) -> Standing:
        """Return what earlier versions say of these patients."""
        series = pl.Series(PATIENT, patients, dtype=pl.String)
        return standing(series, self.entries(table, dataset), key=self._key)

    def recipes(self, table: str, dataset: str, preset: str) -> Mapping[str, Recipe]:
        """Return how the newest version of this preset told its quasi-identifiers; nothing where there is none."""
        versions = [facts for facts in self._versions(table, dataset) if facts["preset"] == preset]
        name = str(versions[-1]["register"]["told"]) if versions else ""
        if not name:
            return {}
        parts = self._read(name).partition_by(COLUMN, as_dict=True)
        return {str(column): partial(pinned, before=part.drop(COLUMN)) for (column,), part in parts.items()}

    def _versions(self, table: str, dataset: str) -> list[Document]:
        """Return the versions of the table that left as rows, under whatever data set's name."""
        found = []
        for facts in self._documents.all(RELEASE):
            known = facts.get("register")
            if known is None and facts.get("dataset") == dataset:
                raise incomplete(
                    str(facts["version"]),
                    f"run hdex node deidentify {dataset}: it makes the entry from the stored file",
                )
            if known and known["table"] == table:
                found.append(facts)
        return found

    def _entry(self, facts: Document) -> Entry:
        known = facts["register"]
        name = f"{facts['dataset']} {facts['version']}"
        try:
            members = self._read(str(known["members"]))
        except NodeError as error:
            raise incomplete(name) from error
        if members.columns != [PATIENT, CLASS]:
            raise incomplete(name)
        return Entry(name, int(known["k"]), members)

    def _put(self, kind: str, frame: pl.DataFrame) -> str:
        """Store a frame once under the digest of what it says; return its name."""
        digest = hashlib.sha256(frame.write_json().encode()).hexdigest()
        name = f"{kind}-{digest[:32]}"
        if not self._vault.contains(SHELF, name):
            self._vault.put_frame(SHELF, name, frame)
        return name

    def _read(self, name: str) -> pl.DataFrame:
        return self._vault.read_frame(SHELF, name)


def incomplete(version: str, next_step: str = "") -> AccessDenied:
    """Return the refusal of a node that cannot tell what it has released before."""
    return AccessDenied(
        "register.incomplete",
        next_step or "restore the vault from its copy, or withdraw that version and ask the privacy officer",
        f"the release register has no readable entry of version {version}",
    )
