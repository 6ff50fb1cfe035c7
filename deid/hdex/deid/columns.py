"""A column of an export and what it may do: role, data category, level 1-5."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from hdex.deid.errors import InputInvalid, ReleaseRefused


class Role(StrEnum):
    """What a column can be used for by somebody who wants to know whose row it is."""

    DIRECT = "direct"  # names the person
    QUASI = "quasi"  # singles the person out together with others: quasi-identifier
    SENSITIVE = "sensitive"  # what the attacker wants to learn
    FREE_TEXT = "free_text"  # may hold anything
    OTHER = "other"


class Category(StrEnum):
    """The six data categories of GB/T 39725-2020."""

    PERSONAL_ATTRIBUTE = "personal_attribute"
    HEALTH_STATUS = "health_status"
    MEDICAL_APPLICATION = "medical_application"
    MEDICAL_PAYMENT = "medical_payment"
    HEALTH_RESOURCE = "health_resource"
    PUBLIC_HEALTH = "public_health"


class NationalGrade(StrEnum):
    """Second axis after GB/T 43697-2024. A person sets it; no machine raises or lowers it."""

    CORE = "core"
    IMPORTANT = "important"
    GENERAL = "general"


@dataclass(frozen=True, slots=True)
class ColumnProfile:
    """What one column is, and why we say so."""

    table: str
    name: str
    role: Role
    category: Category
    level: int  # 1 (public) ... 5 (very narrow)
    evidence: tuple[str, ...] = ()  # rules that fired; never a value of a record
    confidence: float = 1.0  # 0-1
    element: str | None = None  # code in the element catalogue

    def __post_init__(self) -> None:
        if not 1 <= self.level <= 5:
            raise InputInvalid(f"level of column {self.name} is {self.level}, asked is 1 to 5")
        if not 0.0 <= self.confidence <= 1.0:
            raise InputInvalid(f"confidence of column {self.name} is {self.confidence:g}, asked is 0 to 1")


@dataclass(frozen=True, slots=True)
class LevelDecision:
    """The level of a data set: the highest of its elements, its inclusion criterion, its uniqueness."""

    level: int
    reasons: tuple[str, ...]
    grade: int  # evaluation grade after GB/T 42460: 1 directly identifying ... 4 aggregate
    may_lower_to: int  # lowest level that documented de-identification may reach; equals level when it never lowers
    minor_under_14: bool = False  # patients under 14 are in it: guardian's consent
    national_grade: NationalGrade = NationalGrade.GENERAL
    assessment: str = ""  # number of the assessment that important data needs

    @property
    def stays_in_country(self) -> bool:
        """Say whether the data may not cross the border: important or core without an assessment's number."""
        return self.national_grade is NationalGrade.CORE or (
            self.national_grade is NationalGrade.IMPORTANT and not self.assessment
        )

    def require_product(self) -> None:
        """Raise ReleaseRefused unless the national grade lets this be a product."""
        if self.national_grade is NationalGrade.CORE:
            raise ReleaseRefused("national grade is core, which is never a product")
        if self.national_grade is NationalGrade.IMPORTANT and not self.assessment:
            raise ReleaseRefused("national grade is important without an assessment; asked is the assessment's number")

    def __post_init__(self) -> None:
        if not 1 <= self.may_lower_to <= self.level <= 5:
            raise InputInvalid(f"level is {self.level}, may lower to {self.may_lower_to}, asked is 1 <= lower <= level")
