"""What the national grade of a data set lets happen with it (GB/T 43697-2024; a person sets it, no machine).

core is never a product. important is one with the number of its assessment, and stays in the country: who stores
elsewhere, or does not say where, gets neither contract nor range nor round. The strictest of what was said counts: by
the classification a version was made under, or by the one that is approved now.
"""

from collections.abc import Mapping
from typing import Any

from hdex.deid.columns import NationalGrade
from hdex.node.directory import Directory
from hdex.node.documents import Documents
from hdex.node.errors import AccessDenied, NotFound

CLASSIFICATION, RELEASE = "classification", "release"
MILDEST_FIRST = (NationalGrade.GENERAL, NationalGrade.IMPORTANT, NationalGrade.CORE)


class Borders:
    """Asked before anything is promised of a data set, and again before anything leaves."""

    def __init__(self, hospital: str, documents: Documents, directory: Directory | None = None) -> None:
        self._hospital = hospital
        self._documents = documents
        self._directory = directory

    def require_product(self, dataset: str, version: str) -> NationalGrade:
        """Return the grade of a version that may be a product. Raises AccessDenied."""
        said = (self._approved(dataset), self._released(dataset, version))
        grade = max(map(grade_of, said), key=MILDEST_FIRST.index)
        if grade is NationalGrade.CORE:
            raise AccessDenied(
                "national_grade.core", "withdraw it: core data is never a product", "the data set is graded core"
            )
        if grade is NationalGrade.IMPORTANT and not any(str(one.get("assessment") or "").strip() for one in said):
            raise AccessDenied(
                "national_grade.assessment",
                "name the assessment's number in the classification and sign it again",
                "the data set is graded important, and no assessment is named",
            )
        return grade

    def require_recipient(self, dataset: str, version: str, consumer: str) -> None:
        """Raise AccessDenied unless this participant may hold the version where it stores things."""
        if self.require_product(dataset, version) is NationalGrade.GENERAL:
            return
        home, there = self._country(self._hospital), self._country(consumer)
        if home != there:
            raise AccessDenied(
                "national_grade.storage_abroad",
                f"store it in {home}, or ask for a product that is not graded important",
                f"{consumer} stores in {there}, asked is {home}: the data set is graded important",
            )

    def _country(self, participant: str) -> str:
        """Return where a participant stores things. Raises AccessDenied where nobody has said."""
        country = self._directory.member(participant).storage_country if self._directory else ""
        if not country:
            raise AccessDenied(
                "national_grade.storage_unknown",
                f"write the entry of {participant} anew (hdex ca member --storage-country), then sign the directory "
                "(hdex ca directory)",
                f"the directory does not say where {participant} stores things, and the data set is graded important",
            )
        return country

    def _approved(self, dataset: str) -> Mapping[str, Any]:
        """Return the classification that is approved now; empty where there is none."""
        try:
            document: Mapping[str, Any] = self._documents.get(CLASSIFICATION, dataset)["envelope"]["document"]
        except NotFound:
            return {}
        return document

    def _released(self, dataset: str, version: str) -> Mapping[str, Any]:
        """Return the facts of a version; empty where there are none."""
        try:
            return self._documents.get(RELEASE, f"{dataset}/{version}")
        except NotFound:
            return {}


def grade_of(document: Mapping[str, Any]) -> NationalGrade:
    """Return the grade a document names; documents of before the grade name none."""
    return NationalGrade(str(document.get("national_grade") or NationalGrade.GENERAL))
