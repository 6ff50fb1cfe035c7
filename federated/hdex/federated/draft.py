"""Draft a study from what its parties say; the coordinator signs the document."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from hdex.federated.kinds.table import kind_named
from hdex.federated.paillier import key_id, public_key_from_hex
from hdex.federated.statistics import installed_algorithms
from hdex.federated.study import Algorithm, Party, RosterEntry, Study


@dataclass(frozen=True, slots=True)
class Question:
    """What is asked of the pooled rows."""

    target: str  # empty where the kind has none
    features: tuple[str, ...]
    purpose: str  # DUO code
    standardize: str = "global"
    l2: float = 0.0
    kind: str = "logistic"
    options: Mapping[str, Any] = field(default_factory=dict)
    levels: Mapping[str, Sequence[str]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Member:
    """One site with the agreement and product that let it take part."""

    entry: RosterEntry
    contract: str  # agreement id
    product: tuple[str, str, str]  # id, version, manifest digest


def draft_study(
    study_id: str,
    question: Question,
    members: Sequence[Member],
    *,
    coordinator: Party,
    keyholder: Party,
    public_key: str,
    deadline: str,
    nonce: str,
    max_rounds: int = 12,
    min_sites: int = 3,
    min_rows: int = 10,
) -> Study:
    """Return the study with the installed algorithm and key id filled in.

    public_key: modulus as hex from `KeyHolder.create_key(study_id)`; empty for plain sums (simulation only).
    """
    kind = kind_named(question.kind)
    return Study(
        id=study_id,
        kind=kind.name,
        target=question.target,
        features=tuple(question.features),
        purpose=question.purpose,
        contracts={member.entry.site: member.contract for member in members},
        products={member.entry.site: member.product for member in members},
        roster=tuple(sorted((member.entry for member in members), key=lambda entry: entry.site)),
        coordinator=coordinator,
        keyholder=keyholder,
        algorithm=Algorithm(kind.algorithm, installed_algorithms()[kind.algorithm]),
        deadline=deadline,
        nonce=nonce,
        standardize=question.standardize,
        l2=question.l2,
        secure="paillier" if public_key else "plain",
        public_key=public_key,
        key_id=key_id(public_key_from_hex(public_key)) if public_key else "",
        pack={step: encoding.document() for step, encoding in kind.steps.items()},
        options=json.loads(json.dumps(dict(question.options))),  # lists, as the document will say it
        levels={name: tuple(map(str, levels)) for name, levels in question.levels.items()},
        max_rounds=max_rounds,
        min_sites=min_sites,
        min_rows=min_rows,
    )
