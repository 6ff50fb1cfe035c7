"""Which column is what, at which level, on which evidence: proposed by machine, signed by a steward."""

from collections.abc import Callable, Mapping
from typing import Any

import polars as pl

from hdex.deid.classification import Contradiction, contradictions, from_document, to_document
from hdex.deid.classify import classify_columns, classify_dataset
from hdex.deid.columns import ColumnProfile, LevelDecision, Role
from hdex.deid.errors import InputInvalid
from hdex.deid.risk import measure
from hdex.node.documents import Document, Documents
from hdex.node.errors import AccessDenied, NotFound
from hdex.node.hospital.attackers import attack_raw, attacker_of
from hdex.node.hospital.datasets import Datasets
from hdex.node.identity import Identity
from hdex.node.recorder import Recorder
from hdex.node.views import load_view

KIND = "classification"
Say = Callable[[str, str], None]


class Classifications:
    """Proposes classifications and hands out the approved ones."""

    def __init__(self, datasets: Datasets, documents: Documents, recorder: Recorder, *, attack_seed: int) -> None:
        self._datasets = datasets
        self._documents = documents
        self._recorder = recorder
        self._attack_seed = attack_seed

    def classify(self, dataset: str, *, actor: Identity, say: Say) -> Document:
        """Return {"classification": document to sign, "risk": measured on the raw rows, "attack": on the raw rows}."""
        with self._recorder.refusals("classification.propose", actor, product=dataset):
            rows, view = self._datasets.rows(dataset), load_view(str(self._datasets.facts(dataset)["view"]))
        self._recorder.allow("classification.propose", actor, product=dataset, rows=rows.height, fields=rows.width)
        profiles = classify_columns(rows, dataset)
        quasi = [profile.name for profile in profiles if profile.role is Role.QUASI]
        say("classify", f"{len(profiles)} columns, quasi-identifiers: {', '.join(quasi) or 'none'}")
        risk = measure(rows, quasi)
        decision = classify_dataset(
            profiles,
            inclusion=list(view.inclusion),
            k_without_suppression=risk.k,
            minor_under_14=self._datasets.has_minors(dataset),
        )
        say("level", f"the data set is of level {decision.level}; {'; '.join(decision.reasons)}")
        attacker = attacker_of(rows.columns)
        attack = attack_raw(rows, attacker, seed=self._attack_seed)
        say("attack", f"{attacker.title['en']} finds {attack.reidentified} of {attack.targets}")
        return {
            "classification": to_document(profiles, decision, rows={dataset: rows.height}),
            "risk": risk.to_dict(),
            "attack": attack.to_dict(),
            "attacker": attacker.title,
        }

    def contested(self, dataset: str, document: Mapping[str, Any]) -> tuple[int, str]:
        """Return how many columns or flags a classification places below what the values show, and the export.

        Raises InputInvalid when it is not one, or is not of this data set and exactly its columns.
        """
        profiles, decision = from_document(document)
        if {profile.table for profile in profiles} != {dataset}:
            raise InputInvalid(f"the classification is not of the data set {dataset}")
        found = contradictions(document, self._datasets.rows(dataset), dataset)
        missed = self._datasets.has_minors(dataset) and not decision.minor_under_14
        return len(found) + missed, str(self._datasets.facts(dataset)["export_digest"])

    def clashes(self, dataset: str, document: Mapping[str, Any]) -> list[Contradiction]:
        """Return the columns that a classification places below what the values show, for who reads it second."""
        return contradictions(document, self._datasets.rows(dataset), dataset)

    def approved(self, dataset: str, rows: pl.DataFrame) -> tuple[list[ColumnProfile], LevelDecision, str]:
        """Return profiles, level and digest of the approved classification; raise AccessDenied where there is none."""
        try:
            record = self._documents.get(KIND, dataset)
        except NotFound:
            raise AccessDenied(
                "classification.unreviewed", "a data steward reviews and signs it", "nothing is released unreviewed"
            ) from None
        envelope = record["envelope"]
        profiles, decision = from_document(envelope["document"])
        missing = set(rows.columns) - {profile.name for profile in profiles}
        if missing or record["of"] != self._datasets.facts(dataset)["export_digest"]:
            raise AccessDenied(
                "classification.outdated", "classify the data set again", "it is of another export than is here now"
            )
        return profiles, decision, str(record["digest"])
