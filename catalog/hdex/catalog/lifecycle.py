"""The life of one product version: which state follows which, and what must be true before it does. Pure.

Every arrow stands once in one table, with its guards. A guard looks at the evidence of the step and names what is
missing; what is not in the table is refused with the state found and the arrows allowed there.

DRAFT -> CLASSIFIED -> DEIDENTIFIED -> ASSESSED -> (NOTICE) -> LISTED <-> SUSPENDED; then EXPIRED, REVOKED, SUPERSEDED.
A superseded version still serves the contracts made for it until its notice has run; nobody new may ask for it.
"""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from hdex.catalog.guarded import Rule, Step, Table
from hdex.catalog.metadata import Ethics


class ProductState(StrEnum):
    """Where a product version stands."""

    DRAFT = "DRAFT"
    CLASSIFIED = "CLASSIFIED"
    DEIDENTIFIED = "DEIDENTIFIED"
    ASSESSED = "ASSESSED"
    NOTICE = "NOTICE"
    LISTED = "LISTED"
    SUSPENDED = "SUSPENDED"
    EXPIRED = "EXPIRED"
    REVOKED = "REVOKED"
    SUPERSEDED = "SUPERSEDED"


class Arrow(StrEnum):
    """What moves it."""

    CLASSIFY = "classify"
    DEIDENTIFY = "deidentify"
    ASSESS = "assess"
    ANNOUNCE = "announce"
    LIST = "list"
    SUSPEND = "suspend"
    RESUME = "resume"
    EXPIRE = "expire"
    REVOKE = "revoke"
    SUPERSEDE = "supersede"


STEWARD, OFFICER = "data_steward", "privacy_officer"
TWO_PEOPLE = frozenset({STEWARD, OFFICER})  # who prepared a version and who answers for it: never one person


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """What is known when a step is asked for. What is absent speaks against the step.

    signers: roles of the people whose signatures on this step's paper were verified; at: the present moment.
    """

    at: datetime
    signers: frozenset[str] = frozenset()
    columns: int = 0
    columns_with_level: int = 0
    recipe_digest: str = ""  # of the signed classification and the preset: what was done to every column
    output_digest: str = ""  # of the file, or of the measures where no file leaves
    risk_met: bool = False  # every ceiling of the level's preset holds, by the release's own report
    quality_digest: str = ""
    ethics: Ethics | None = None
    notice_days: int = 0  # of public notice before listing
    listed_from: datetime | None = None  # the day the notice has run
    expires: datetime | None = None  # end of the terms
    reason: str = ""
    newer_listed: bool = False


_Rule = Rule[Evidence]

EVERY_LEVEL = _Rule(
    "product.levels",
    lambda said: 0 < said.columns == said.columns_with_level,
    "classify every column, then sign the classification",
)
STEWARD_SIGNED = _Rule("product.steward", lambda said: STEWARD in said.signers, f"the {STEWARD} signs")
OFFICER_SIGNED = _Rule("product.officer", lambda said: OFFICER in said.signers, f"the {OFFICER} signs")
RECIPE = _Rule("product.recipe", lambda said: bool(said.recipe_digest), "de-identify under a signed classification")
OUTPUT = _Rule("product.output", lambda said: bool(said.output_digest), "make a version: hdex node deidentify")
RISK = _Rule("product.risk", lambda said: said.risk_met, "make a version that meets its level's preset")
QUALITY = _Rule("product.quality", lambda said: bool(said.quality_digest), "measure the version's quality")
ETHICS = _Rule(
    "product.ethics",
    lambda said: said.ethics is not None and bool((said.ethics.approval or said.ethics.exemption or "").strip()),
    'name the number of the ethics approval in the offer ("ethics": {"approval": ..}), or the reason of an exemption',
)
FOUR_EYES = _Rule(
    "product.four_eyes",
    lambda said: said.signers >= TWO_PEOPLE,
    f"the {STEWARD} signs the assessment first (hdex node assess), then the {OFFICER} (hdex node publish)",
)
TO_ANNOUNCE = _Rule("product.notice", lambda said: said.notice_days > 0, "no notice is promised: list it")
NO_NOTICE = _Rule("product.notice", lambda said: said.notice_days == 0, "a notice is promised: it runs first")
NOTICE_RAN = _Rule(
    "product.notice",
    lambda said: said.listed_from is not None and said.at >= said.listed_from,
    "publish it again once the notice has run",
)
IN_TERM = _Rule(
    "product.expired", lambda said: said.expires is None or said.at < said.expires, "offer a new version with new terms"
)
TERM_ENDED = _Rule(
    "product.term",
    lambda said: said.expires is not None and said.at >= said.expires,
    "its terms have not ended: withdraw it instead",
)
REASON = _Rule("product.reason", lambda said: bool(said.reason.strip()), "say why: buyers under contract are told")
NEWER = _Rule("product.newer", lambda said: said.newer_listed, "list a newer version first")

_S, _A = ProductState, Arrow
ORDERED = (OFFICER_SIGNED, REASON)  # what a person orders
PRODUCT: Table[ProductState, Arrow, Evidence] = Table(
    {
        (_S.DRAFT, _A.CLASSIFY): Step(_S.CLASSIFIED, (EVERY_LEVEL, STEWARD_SIGNED)),
        (_S.CLASSIFIED, _A.DEIDENTIFY): Step(_S.DEIDENTIFIED, (RECIPE, OUTPUT)),
        (_S.DEIDENTIFIED, _A.ASSESS): Step(_S.ASSESSED, (RISK, QUALITY, ETHICS, FOUR_EYES)),
        (_S.ASSESSED, _A.ANNOUNCE): Step(_S.NOTICE, (TO_ANNOUNCE, IN_TERM)),
        (_S.ASSESSED, _A.LIST): Step(_S.LISTED, (NO_NOTICE, IN_TERM)),
        (_S.NOTICE, _A.LIST): Step(_S.LISTED, (NOTICE_RAN, IN_TERM)),
        (_S.LISTED, _A.SUSPEND): Step(_S.SUSPENDED, ORDERED),
        (_S.SUSPENDED, _A.RESUME): Step(_S.LISTED, (*ORDERED, IN_TERM)),
        **{(state, _A.EXPIRE): Step(_S.EXPIRED, (TERM_ENDED,)) for state in (_S.NOTICE, _S.LISTED, _S.SUSPENDED)},
        **{
            (state, _A.REVOKE): Step(_S.REVOKED, ORDERED)
            for state in (_S.NOTICE, _S.LISTED, _S.SUSPENDED, _S.SUPERSEDED)  # the last: its contracts end too
        },
        **{(state, _A.SUPERSEDE): Step(_S.SUPERSEDED, (NEWER,)) for state in (_S.NOTICE, _S.LISTED, _S.SUSPENDED)},
    }
)
