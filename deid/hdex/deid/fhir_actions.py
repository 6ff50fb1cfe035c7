"""What becomes of one value: the actions that data/fhir_rules.toml names."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import TYPE_CHECKING, cast

from hdex.deid.errors import InputInvalid
from hdex.deid.fhir_attachments import read_attachment
from hdex.deid.fhir_dates import day_of, shift_fhir, year_of
from hdex.deid.fhir_index import Resource, objects
from hdex.deid.fhir_text import Place

if TYPE_CHECKING:
    from hdex.deid.fhir_walk import Walk

_YEARS = {"a", "yr", "year", "years", "岁"}
_PER_YEAR = {**dict.fromkeys(_YEARS, 1.0), "mo": 12.0, "wk": 52.18, "d": 365.25}


@dataclass(frozen=True, slots=True)
class About:
    """Whose resource is being walked: the patient (or none), his shift in days, the key of the outer resource."""

    patient: str
    days: int | None
    home: str


@dataclass(frozen=True, slots=True)
class Site:
    """Where a value stands: its type, the type it belongs to, whose it is, its place in the output."""

    kind: str
    owner: str
    about: About
    place: Place


def keep(walk: Walk, value: object, site: Site) -> object:
    """As it is; a code is swept for values of patients."""
    if isinstance(value, str):
        walk.texts.kept.add(value)
    return value


def drop(walk: Walk, value: object, site: Site) -> None:
    """Nothing is left."""
    walk.counts[f"dropped:{site.kind}"] += 1


def redact(walk: Walk, value: object, site: Site) -> object | None:
    """Free text: a detector and the patient's own identity read it."""
    text = as_text(value, site)
    if not text.strip():
        return None
    walk.texts.redact(site.place, text, site.about.patient)
    return text


def term(walk: Walk, value: object, site: Site) -> object:
    """A word of a public vocabulary: swept only."""
    text = as_text(value, site)
    walk.texts.terms.setdefault(text, []).append(site.place)
    return text


def shift(walk: Walk, value: object, site: Site) -> object | None:
    """A date of a patient moves with him; a date of nobody or of several is told as a year."""
    text = as_text(value, site)
    if site.about.days is not None:
        walk.counts["date shifted"] += 1
        return _counted(walk, shift_fhir(text, site.about.days), "date that is none")
    walk.counts["date as a year"] += 1
    return None if site.kind == "instant" else _counted(walk, year_of(text), "date that is none")


def birth(walk: Walk, value: object, site: Site) -> object | None:
    """The year of the moved birth date; who is or died over 89 was born `age_cap` years before."""
    born = day_of(value)
    if born is None or site.about.days is None:
        return _counted(walk, None, "date that is none")
    moved = shift_fhir(as_text(value, site), site.about.days)
    person = walk.index.people.get(site.about.patient)
    end = person.ended if person and person.ended else walk.today
    walk.counts["birth date as a year"] += 1
    if end.year - born.year - ((end.month, end.day) < (born.month, born.day)) >= walk.age_cap:
        walk.counts["age capped"] += 1
        return f"{end.year - walk.age_cap:04d}"
    year = year_of(moved) if moved else None
    year = min(year, f"{walk.today.year:04d}") if year else None  # nobody is born in the future
    oldest = f"{walk.today.year - walk.age_cap + 1:04d}"  # a moved birth must not read as an age over the cap
    return max(year, oldest) if year and not (person and person.ended) else year


def age(walk: Walk, value: object, site: Site) -> object | None:
    """A quantity; one in years over the cap, or an Age in any unit, reads as the cap or more."""
    made: Resource = {}
    walk.elements(as_object(value, site.owner), site.kind, site.about, made)
    number, unit = made.get("value"), str(made.get("code") or made.get("unit") or "")
    per_year = _PER_YEAR.get(unit) if site.kind == "Age" or unit in _YEARS else None
    if per_year and isinstance(number, int | float | Decimal) and float(number) >= walk.age_cap * per_year:
        walk.counts["age capped"] += 1
        made["value"] = round(walk.age_cap * per_year)
        if site.owner != "Range":
            made["comparator"] = ">="
    return made or None


def identifier(walk: Walk, value: object, site: Site) -> object | None:
    """A pseudonym of the project, or nothing for a number of the state or an insurer."""
    source = as_object(value, site.owner)
    made = walk.names.identifier(source)
    if made is None:
        walk.counts["identifier dropped"] += 1
        return None
    walk.counts["identifier pseudonymised"] += 1
    if isinstance(source.get("period"), dict):
        period: Resource = {}
        walk.elements(cast("Resource", source["period"]), "Period", site.about, period)
        made |= {"period": period} if period else {}
    return made


def reference(walk: Walk, value: object, site: Site) -> object | None:
    """The pseudonym of what it points at; the display of a person goes, that of a record is free text."""
    source = as_object(value, site.owner)
    made, kind = walk.names.reference(source, site.about.home)
    walk.counts["reference rewritten" if made else "reference dropped"] += 1
    display = source.get("display")
    if isinstance(display, str) and display.strip():
        if kind in walk.rules.person_types:
            walk.counts["reference display dropped"] += 1
        else:
            made["display"] = display
            walk.texts.redact((made, "display"), display, site.about.patient)
    return made or None


def address(walk: Walk, value: object, site: Site) -> object | None:
    """What is larger than a city."""
    walk.counts["address"] += 1
    source = as_object(value, site.owner)
    made: Resource = {}
    for name in walk.rules.address_parts:
        if isinstance(part := source.get(name), str):
            made[name] = part
            walk.texts.terms.setdefault(part, []).append((made, name))
    return made or None


def label(walk: Walk, value: object, site: Site) -> str:
    """A name of a place or a group as its pseudonym."""
    walk.counts["name as a label"] += 1
    return f"{site.owner} {walk.names.word(as_text(value, site))[:8]}"


def pseudonym(walk: Walk, value: object, site: Site) -> str:
    """A word that stands for the value."""
    return walk.names.word(as_text(value, site))


def uid(walk: Walk, value: object, site: Site) -> str:
    """A DICOM UID or an OID under the project's key."""
    return walk.names.oid(as_text(value, site))


def ident(walk: Walk, value: object, site: Site) -> str:
    """An id other than the resource's own."""
    return walk.names.id(as_text(value, site))


def uri(walk: Walk, value: object, site: Site) -> str:
    """A URI of a public vocabulary, or a keyed urn:uuid."""
    text = walk.names.system(as_text(value, site))
    walk.texts.kept.add(text)
    return text


def coding(walk: Walk, value: object, site: Site) -> object | None:
    """A code; its display is vocabulary where the system is public, else free text."""
    source = as_object(value, site.owner)
    made: Resource = {}
    if isinstance(system := source.get("system"), str):
        made["system"] = walk.names.system(system)
    if isinstance(code := source.get("code"), str):
        made["code"] = code
        walk.texts.kept.add(code)
    display = source.get("display")
    if isinstance(display, str) and display.strip():
        made["display"] = display
        if walk.rules.is_public(system):
            walk.texts.terms.setdefault(display, []).append((made, "display"))
        else:
            walk.texts.redact((made, "display"), display, site.about.patient)
    if isinstance(source.get("userSelected"), bool):
        made["userSelected"] = source["userSelected"]
    return made or None


def concept(walk: Walk, value: object, site: Site) -> object | None:
    """Codings and a text; a text that only repeats a public coding's display is vocabulary, any other free text."""
    source = as_object(value, site.owner)
    made: Resource = {}
    walk.elements({name: one for name, one in source.items() if name != "text"}, site.kind, site.about, made)
    text = source.get("text")
    if isinstance(text, str) and text.strip():
        made["text"] = text
        public = [one for one in objects(source.get("coding")) if walk.rules.is_public(one.get("system"))]
        if any(str(one.get("display")).casefold() == text.casefold() for one in public):
            walk.texts.terms.setdefault(text, []).append((made, "text"))
        else:
            walk.texts.redact((made, "text"), text, site.about.patient)
    return made or None


def attachment(walk: Walk, value: object, site: Site) -> object | None:
    """Its description; text is redacted, anything else (PDF, picture, genome) dropped and counted by content."""
    source = as_object(value, site.owner)
    data = source.get("data")
    kept = {name: one for name, one in source.items() if name in ("contentType", "language", "title", "creation")}
    made: Resource = {}
    walk.elements(kept, "Attachment", site.about, made)
    if isinstance(data, str):
        text, counted = read_attachment(data, source.get("contentType"), refuse=walk.refuse_attachments)
        walk.counts[f"attachment:{counted}"] += 1
        if text is not None:
            made["data"] = ""
            walk.texts.redact_encoded(made, "data", text, site.about.patient)
    return made or None


def entry(walk: Walk, value: object, site: Site) -> object | None:
    """An entry of a Bundle: its resource under its renamed full URL; nothing of request, answer and search."""
    source = as_object(value, site.owner)
    if not isinstance(source.get("resource"), dict):
        return None
    full_url = str(source.get("fullUrl") or "")
    made = walk.resource(cast("Resource", source["resource"]), full_url)
    renamed = walk.names.url(full_url) if full_url else None
    return None if made is None else ({"fullUrl": renamed} if renamed else {}) | {"resource": made}


def extension(walk: Walk, value: object, site: Site) -> object | None:
    """An extension of the list, its value by its own type; race by the coded OMB categories only."""
    source = as_object(value, site.owner)
    url = str(source.get("url") or "")
    nested = site.owner == "Extension" and "://" not in url
    rule = "keep" if nested else walk.rules.extensions.get(url, "drop")
    if rule == "drop":
        walk.counts["extension dropped"] += 1
        return None
    said = ""
    if rule == "race":
        source, said = omb_only(source)
    made: Resource = {}
    walk.elements(source, "Extension", site.about, made)
    made["url"] = url
    if said:
        text: Resource = {"url": "text", "valueString": said}
        walk.texts.terms.setdefault(said, []).append((text, "valueString"))
        made["extension"] = [*cast("list[object]", made.get("extension") or []), text]
    return made if len(made) > 1 else None


def meta(walk: Walk, value: object, site: Site) -> object | None:
    """Public profiles, tags and security labels; when, where and in which version a server stored it goes."""
    source = as_object(value, site.owner)
    made: Resource = {}
    profiles = [one for one in cast("list[object]", source.get("profile") or []) if walk.rules.is_public(one)]
    made |= {"profile": profiles} if profiles else {}
    for name in ("security", "tag"):
        labels = [one for one in objects(source.get(name)) if walk.rules.is_public(one.get("system"))]
        treated = [one for label in labels if (one := coding(walk, label, replace(site, kind="Coding")))]
        made |= {name: treated} if treated else {}
    return made or None


def _counted(walk: Walk, value: str | None, what: str) -> str | None:
    walk.counts[what] += value is None
    return value


ACTIONS: Mapping[str, Callable[[Walk, object, Site], object | None]] = {
    "keep": keep,
    "drop": drop,
    "redact": redact,
    "term": term,
    "shift": shift,
    "birth": birth,
    "age": age,
    "identifier": identifier,
    "reference": reference,
    "address": address,
    "label": label,
    "pseudonym": pseudonym,
    "uid": uid,
    "uri": uri,
    "coding": coding,
    "concept": concept,
    "attachment": attachment,
    "extension": extension,
    "meta": meta,
    "entry": entry,
    "id": ident,
}


def as_object(value: object, where: str) -> Resource:
    if not isinstance(value, dict):
        raise InputInvalid(f"an element of {where} is a {type(value).__name__}, FHIR R4 asks an object")
    return cast("Resource", value)


def as_text(value: object, site: Site) -> str:
    if not isinstance(value, str):
        raise InputInvalid(f"a {site.kind} of {site.owner} is a {type(value).__name__}, FHIR R4 asks text")
    return value


def omb_only(source: Resource) -> tuple[Resource, str]:
    """Return the extension with its coded OMB categories only, and the text US Core asks beside them."""
    codes = [one for one in objects(source.get("extension")) if one.get("url") == "ombCategory"]
    shown = [str(one["display"]) for code in codes for one in objects(code.get("valueCoding")) if one.get("display")]
    return {"url": source.get("url"), "extension": codes}, "; ".join(shown) or "unknown"
