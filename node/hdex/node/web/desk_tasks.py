"""What waits at a hospital, and for whom: computed from what the node tells, decided by nobody here."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from typing import Any
from urllib.parse import quote

STEWARD, OFFICER, COMMITTEE = "data_steward", "privacy_officer", "ethics_committee"
TWO_PERSONS_FROM = 4  # level
WAITING, APPROVED, DENIED = "waiting", "approved", "denied"
CLASSIFYING = {"none": ("classify", STEWARD), "outdated": ("outdated", STEWARD), "pending": ("second", OFFICER)}
OFFERED = ("ASSESSED", "NOTICE", "LISTED", "SUSPENDED", "EXPIRED")  # states in which the end of the terms is news
SOON_DAYS = 30
Row = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Task:
    """One thing that waits: what (a key of the words), for which roles, where it is done."""

    key: str
    roles: tuple[str, ...]
    path: str
    values: Mapping[str, str] = field(default_factory=dict)


def tasks(
    *,
    datasets: Sequence[Row],
    studies: Sequence[Row],
    products: Sequence[Row],
    waiting: Mapping[str, Sequence[Row]],
    today: str = "",
) -> list[Task]:
    """Return everything that waits, first who waits for an answer from outside. waiting: as the node tells it."""
    found = [task for study in studies if (task := study_task(study))]
    found += market_tasks(waiting)
    found += [task for dataset in datasets for task in dataset_tasks(dataset, today)]
    return found + [
        Task("resume", (OFFICER,), "/products", {"name": str(one["product"]), "version": str(one["version"])})
        for one in products
        if one["state"] == "SUSPENDED"
    ]


def market_tasks(waiting: Mapping[str, Sequence[Row]]) -> Iterator[Task]:
    """Yield what organisations wait for: requests by their deadline, contracts, vettings, runs."""
    for one in sorted(waiting["requests"], key=lambda row: str(row["due"])):
        key = "access_late" if one["overdue"] else "access"
        roles = tuple(role for role in (one["next"], one["escalated_to"]) if role)
        yield Task(key, roles, market_path("requests", one), {"name": str(one["name"]), "until": str(one["due"])[:10]})
    for one in waiting["contracts"]:
        values = {"name": str(one["name"]), "product": str(one["product"])}
        yield Task("contract", (OFFICER, COMMITTEE), market_path("contracts", one), values)
    for one in waiting["vettings"]:
        yield Task("vetting", (str(one["role"]),), market_path("organisations", one), {"name": str(one["name"])})
    for one in waiting["runs"]:
        key = "script" if one["state"] == "SUBMITTED" else "output"
        yield Task(key, tuple(one["roles"]), market_path("runs", one), {"name": str(one["name"])[:8]})
    for one in waiting.get("invoices", ()):
        yield Task("dispute", (STEWARD, OFFICER), market_path("invoices", one), {"name": str(one["name"])})


def market_path(kind: str, one: Row) -> str:
    """Return the address of what waits."""
    return f"/{kind}/{quote(str(one['name']), safe='')}"


def terms_of(version: Row, today: str) -> str:
    """Return how the terms of a version that is offered stand: over, soon over, or an empty text. today: a day."""
    ends = str(version.get("terms_end", ""))[:10]
    if not ends or version["state"] not in OFFERED:
        return ""
    if ends <= today:
        return "terms_ended"
    soon = date.fromisoformat(today) + timedelta(days=SOON_DAYS)
    return "terms_end" if ends <= soon.isoformat() else ""


def study_task(study: Row) -> Task | None:
    """Return who must still speak about a study, None where nobody must."""
    if study_state(study) != WAITING:
        return None
    roles = tuple(role for role in (OFFICER, COMMITTEE) if role not in study["said"])
    return Task("study_second" if study["said"] else "study", roles, "/studies", {"name": str(study["study"])})


def study_state(study: Row) -> str:
    """Return whether a study waits, is approved by enough, or denied by anybody."""
    said = study["said"]
    if "deny" in said.values():
        return DENIED
    needed = 2 if int(study["level"]) >= TWO_PERSONS_FROM else 1
    return APPROVED if len(said) >= needed else WAITING


def dataset_tasks(dataset: Row, today: str = "") -> Iterator[Task]:
    """Yield what comes next for a data set and its versions; with a day, whether the terms of the newest end."""
    name = str(dataset["dataset"])
    if (state := dataset["classification"]) in CLASSIFYING:
        key, role = CLASSIFYING[state]
        yield Task(key, (role,), classification_path(name), {"name": name})
    elif not dataset["versions"]:
        yield Task("deidentify", (STEWARD,), "/datasets", {"name": name})
    newest = dataset["versions"][-1:]  # an older one is nobody's task once a newer is made
    yield from (task for version in newest if (task := version_task(name, version)))
    for version in newest:
        if today and (key := terms_of(version, today)):
            values = {"name": name, "version": str(version["version"]), "until": str(version["terms_end"])[:10]}
            yield Task(key, (STEWARD,), version_path(name, values["version"]), values)


def version_task(dataset: str, version: Row) -> Task | None:
    """Return the next step of a version, None where none is due."""
    number = str(version["version"])
    values = {"name": dataset, "version": number, "until": str(version["listed_from"])[:10]}
    key, role = version_step(version)
    return Task(key, (role,), version_path(dataset, number), values) if key else None


def version_step(version: Row) -> tuple[str, str]:
    """Return (what comes next, who does it) for a version; two empty texts where nothing does."""
    if version["state"] == "DEIDENTIFIED":
        if not version["product"]:
            return "assess", STEWARD
        return ("sign_second", OFFICER) if STEWARD in version["signed_by"] else ("sign_first", STEWARD)
    if version["state"] == "ASSESSED":
        return "list", OFFICER
    return ("notice", OFFICER) if version["state"] == "NOTICE" else ("", "")


def classification_path(dataset: str) -> str:
    """Return the address of a data set's classification, below a language's root."""
    return f"/datasets/{quote(dataset, safe='')}/classification"


def version_path(dataset: str, version: str) -> str:
    """Return the address of a version."""
    return f"/datasets/{quote(dataset, safe='')}/versions/{quote(version, safe='')}"


def product_path(product: str, version: str) -> str:
    """Return the address of a product's version."""
    return f"/products/{quote(product, safe='')}/{quote(version, safe='')}"
