"""What waits at a hospital, and for whom: computed from what the node tells, decided by nobody here."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

STEWARD, OFFICER, COMMITTEE = "data_steward", "privacy_officer", "ethics_committee"
TWO_PERSONS_FROM = 4  # level
WAITING, APPROVED, DENIED = "waiting", "approved", "denied"
CLASSIFYING = {"none": ("classify", STEWARD), "outdated": ("outdated", STEWARD), "pending": ("second", OFFICER)}
Row = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Task:
    """One thing that waits: what (a key of the words), for which roles, where it is done."""

    key: str
    roles: tuple[str, ...]
    path: str
    values: Mapping[str, str] = field(default_factory=dict)


def tasks(*, datasets: Sequence[Row], studies: Sequence[Row], products: Sequence[Row], requests: int) -> list[Task]:
    """Return everything that waits: studies first, they wait for an answer from outside."""
    found = [task for study in studies if (task := study_task(study))]
    if requests:
        found.append(Task("request", (OFFICER,), "", {"name": str(requests)}))
    found += [task for dataset in datasets for task in dataset_tasks(dataset)]
    return found + [
        Task("resume", (OFFICER,), "/products", {"name": str(one["product"]), "version": str(one["version"])})
        for one in products
        if one["state"] == "SUSPENDED"
    ]


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


def dataset_tasks(dataset: Row) -> Iterator[Task]:
    """Yield what comes next for a data set and its versions."""
    name = str(dataset["dataset"])
    if (state := dataset["classification"]) in CLASSIFYING:
        key, role = CLASSIFYING[state]
        yield Task(key, (role,), classification_path(name), {"name": name})
    elif not dataset["versions"]:
        yield Task("deidentify", (STEWARD,), "/datasets", {"name": name})
    newest = dataset["versions"][-1:]  # an older one is nobody's task once a newer is made
    yield from (task for version in newest if (task := version_task(name, version)))


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
