"""Data use limitations and research purposes as other systems write them -> terms and a request.

The form is the plain structured one of genomic access systems (`generalUse`, `hmbResearch`, `diseaseRestrictions` ...),
with the same fields for data and for purpose, or a list of DUO codes. What it leaves unsaid is made explicit here:
methods development is permitted where a term does not exclude it, for else DUO:0000015 would say nothing.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import cast

from hdex.catalog.errors import PolicyInvalid
from hdex.catalog.purposes import modifiers, purposes
from hdex.catalog.terms_record import (
    ANCESTRY,
    BIOMEDICAL,
    DISEASE_SPECIFIC,
    ETHICS,
    GENERAL,
    GENETIC,
    GENETIC_ONLY,
    METHODS,
    NO_METHODS,
    NON_COMMERCIAL,
    NOT_FOR_PROFIT_NON_COMMERCIAL,
    REGION,
    RESEARCH_TYPE,
    TO_ACCEPT,
    AccessRequest,
    Terms,
)

Form = Mapping[str, object]
PUBLISH, COLLABORATE, WAIT, RETURN = TO_ACCEPT
AGGREGATE, CONTROL = "HDEX:aggregate-analysis", "DUO:0000036"
MAX_ITEMS = 1_000
MAX_CHARACTERS = 2_000
_RESEARCH = {"generalUse": GENERAL, "hmbResearch": BIOMEDICAL, "populationOriginsAncestry": ANCESTRY}
_MODIFIERS = {
    "ethicsApprovalRequired": ETHICS,
    "collaboratorRequired": COLLABORATE,
    "geneticStudiesOnly": GENETIC_ONLY,
    "publicationResults": PUBLISH,
    "genomicResults": RETURN,
    "publicationMoratorium": WAIT,
}
_SUBJECTS = {
    "controls": CONTROL,
    "population": "DUO:0000032",
    "pediatric": "DUO:0000034",
    "gender": "DUO:0000035",
    "vulnerablePopulations": "HDEX:vulnerable-populations",
    "illegalBehavior": "HDEX:illegal-behaviour",
    "sexualDiseases": "HDEX:sexual-diseases",
    "psychologicalTraits": "HDEX:psychological-traits",
    "notHealth": "HDEX:not-health",
    "stigmatizeDiseases": "HDEX:stigmatizing",
}
_OTHER_NAMES = {
    "poa": "populationOriginsAncestry",
    "hmb": "hmbResearch",
    "hmbResearchUse": "hmbResearch",
    "generalResearchUse": "generalUse",
    "gru": "generalUse",
    "diseases": "diseaseRestrictions",
    "diseaseSpecificUse": "diseaseRestrictions",
    "gso": "geneticStudiesOnly",
    "genderRestrictions": "gender",
    "controlSetOption": "controls",
}
_FREE_TEXT = ("other", "secondaryOther")
FIELDS = frozenset(
    {*_RESEARCH, *_MODIFIERS, *_SUBJECTS, *_FREE_TEXT, "diseaseRestrictions", "methodsResearch", "aggregateResearch",
     "commercialUse", "nonProfitUse", "geographicalRestrictions", "countries", "country", "codes", "ancestors",
     "recipient", "accepts", "ethicsApproval"}
)  # fmt: skip
_NO = frozenset({"", "no", "false", "n/a", "none", "unspecified"})


@dataclass(frozen=True, slots=True)
class DataUse:
    """Terms as another system wrote them. `unread`: they hold words that only a person can read."""

    terms: Terms
    unread: bool = False
    profit_stated: bool = False  # not-for-profit use is named, either way
    commerce_named: bool = False  # commercial use is permitted by name


@dataclass(frozen=True, slots=True)
class Purpose:
    """A request as another system wrote it; its purpose is empty where no research is named."""

    request: AccessRequest
    unread: bool = False
    profit_stated: bool = False


def read_data_use(form: Form) -> DataUse:
    """Return the limitations of data. Raises PolicyInvalid naming the field."""
    said = _fields(form, "terms")
    codes = _texts(said, "codes", "terms")
    permitted = [code for name, code in _RESEARCH.items() if _truth(said, name)]
    permitted += [code for code in codes if code in purposes()]
    diseases = _diseases(said, "terms")
    if diseases:
        permitted.append(DISEASE_SPECIFIC)
    limits = [code for name, code in _MODIFIERS.items() if _truth(said, name)]
    limits += [code for code in codes if code in modifiers() and code not in purposes()]
    limits += _profit_limits(said)
    if _truth(said, "methodsResearch"):
        limits.append(NO_METHODS)
    if permitted:
        permitted.append(METHODS)  # NO_METHODS takes it away again, by its own rule
    types = tuple(code for name, code in _SUBJECTS.items() if _truth(said, name) and code != CONTROL)
    countries = _texts(said, "countries", "terms")
    limits += [RESEARCH_TYPE] * bool(types) + [REGION] * bool(countries)
    terms = Terms(
        permitted=tuple(dict.fromkeys(permitted)),
        prohibited=tuple(_prohibited(said)),
        modifiers=tuple(dict.fromkeys(limits)),
        diseases=diseases,
        countries=countries,
        research_types=types or None,
    )
    return DataUse(
        terms,
        unread=any(_truth(said, name) for name in _FREE_TEXT)
        or (_truth(said, "geographicalRestrictions") and not countries),
        profit_stated=said.get("nonProfitUse") is not None,
        commerce_named=_truth(said, "commercialUse"),
    )


def read_purpose(form: Form, *, at: str) -> Purpose:
    """Return a research purpose as a request at a time. Raises PolicyInvalid naming the field."""
    said = _fields(form, "request")
    asked = [code for name, code in _RESEARCH.items() if _truth(said, name)]
    asked += _texts(said, "codes", "request")
    diseases = _diseases(said, "request")
    asked += [DISEASE_SPECIFIC] * bool(diseases)
    for name, code in {
        "methodsResearch": METHODS,
        "aggregateResearch": AGGREGATE,
        "geneticStudiesOnly": GENETIC,
    }.items():
        asked += [code] * _truth(said, name)
    asked += [code for name, code in _SUBJECTS.items() if _truth(said, name)]
    accepted = [code for name, code in _MODIFIERS.items() if code in TO_ACCEPT and _truth(said, name)]
    commercial, for_profit = _profit_of(said)
    named = list(dict.fromkeys(asked)) or [""]
    request = AccessRequest(
        purpose=named[0],
        uses=tuple(named[1:]),
        recipient=_text(said, "recipient", "request") or "applicant",
        at=at,
        commercial=commercial,
        for_profit=for_profit,
        country=_text(said, "country", "request") or None,
        ethics_approval=_text(said, "ethicsApproval", "request") or None,
        accepts=(*accepted, *_texts(said, "accepts", "request")),
        diseases=diseases,
        ancestors=dict(_ancestors(said)),
    )
    return Purpose(request, any(_truth(said, name) for name in _FREE_TEXT), said.get("nonProfitUse") is not None)


def _profit_limits(said: Form) -> list[str]:
    limits = [NOT_FOR_PROFIT_NON_COMMERCIAL] if _truth(said, "nonProfitUse") else []
    if said.get("commercialUse") is not None and not _truth(said, "commercialUse"):
        limits.append(NON_COMMERCIAL)
    return limits


def _profit_of(said: Form) -> tuple[bool | None, bool | None]:
    """Return whether the use is commercial and the applicant for profit; None where it is not said."""
    commercial = _truth(said, "commercialUse") if said.get("commercialUse") is not None else None
    if said.get("nonProfitUse") is None:
        return commercial, None
    if _truth(said, "nonProfitUse"):
        return bool(commercial), False
    return commercial, True


def _prohibited(said: Form) -> Iterator[str]:
    if _truth(said, "aggregateResearch"):
        yield AGGREGATE
    if _truth(said, "controls"):
        yield CONTROL


def _fields(form: Form, where: str) -> dict[str, object]:
    found: dict[str, object] = {}
    for key, value in form.items():
        name = _OTHER_NAMES.get(str(key), str(key))
        if name not in FIELDS:
            raise PolicyInvalid(f"{where}: unknown field {str(key)[:40]!r}; known are {', '.join(sorted(FIELDS))}")
        if name in found and found[name] != value:
            raise PolicyInvalid(f"{where}: {name} is said twice")
        found[name] = value
    return found


def _truth(said: Form, name: str) -> bool:
    """Return whether a field says yes: true, or a word other than no."""
    value = said.get(name)
    if isinstance(value, str):
        return value.strip().lower() not in _NO
    if value is None or isinstance(value, bool):
        return bool(value)
    if isinstance(value, list) and name in ("geographicalRestrictions", "gender"):
        return bool(value)
    raise PolicyInvalid(f"{name}: yes or no is asked, found {type(value).__name__}")


def _text(said: Form, name: str, where: str) -> str:
    value = said.get(name, "")
    if not isinstance(value, str) or len(value) > MAX_CHARACTERS:
        raise PolicyInvalid(f"{where}.{name}: a text of at most {MAX_CHARACTERS} characters is asked")
    return value


def _texts(said: Form, name: str, where: str) -> tuple[str, ...]:
    value = said.get(name) or []
    held = value if isinstance(value, list | tuple) else [value]
    if len(held) > MAX_ITEMS or not all(isinstance(one, str) and len(one) <= MAX_CHARACTERS for one in held):
        raise PolicyInvalid(f"{where}.{name}: a list of at most {MAX_ITEMS} texts is asked")
    known = {**purposes(), **modifiers()}
    if name == "codes" and (unknown := [one for one in held if one not in known]):
        raise PolicyInvalid(f"{where}.codes: {len(unknown)} code(s) that the vocabulary does not have")
    return tuple(cast(list[str], list(held)))


def _diseases(said: Form, where: str) -> tuple[str, ...]:
    value = said.get("diseaseRestrictions") or []
    held = value if isinstance(value, list | tuple) else [value]
    if len(held) > MAX_ITEMS:
        raise PolicyInvalid(f"{where}.diseaseRestrictions: at most {MAX_ITEMS} diseases are read")
    return tuple(_disease_id(one, where) for one in held)


def _disease_id(value: object, where: str) -> str:
    named = value.get("id") if isinstance(value, Mapping) else value
    if not isinstance(named, str) or not named.strip() or len(named) > MAX_CHARACTERS:
        raise PolicyInvalid(f"{where}.diseaseRestrictions: a disease id is asked")
    return named


def _ancestors(said: Form) -> Iterator[tuple[str, tuple[str, ...]]]:
    """Yield what each disease stands under: from `ancestors`, or from the `parents` of a disease given as an object."""
    given = said.get("ancestors") or {}
    if not isinstance(given, Mapping) or len(given) > MAX_ITEMS:
        raise PolicyInvalid(f"request.ancestors: an object of at most {MAX_ITEMS} diseases is asked")
    for key, above in given.items():
        yield str(key), _parents(above)
    diseases = said.get("diseaseRestrictions") or []
    for one in diseases if isinstance(diseases, list) else [diseases]:
        if isinstance(one, Mapping) and one.get("parents"):
            yield _disease_id(one, "request"), _parents(one["parents"])


def _parents(value: object) -> tuple[str, ...]:
    if not isinstance(value, list) or len(value) > MAX_ITEMS:
        raise PolicyInvalid(f"request.ancestors: a list of at most {MAX_ITEMS} disease ids is asked")
    return tuple(_disease_id(one, "request") for one in value)
