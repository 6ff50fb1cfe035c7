"""The round's question as canonical bytes: what is hashed, journaled, signed over and masked under."""

import hashlib
from dataclasses import dataclass
from typing import Any

import numpy as np
import rfc8785
from pydantic_core import from_json

from hdex.federated.errors import StudyInvalid
from hdex.federated.kinds.kind import Arrays


@dataclass(frozen=True, slots=True)
class Broadcast:
    """One round's question to every site of the roster, or of the population that an attempt declares."""

    study_id: str
    study_digest: str
    round: int
    attempt: int
    step: str
    point: Arrays | None
    population: tuple[str, ...] = ()  # the sites asked, sorted; empty: the whole roster

    def to_bytes(self) -> bytes:
        """Return the canonical JSON."""
        point = None
        if self.point is not None:
            point = {name: values.tolist() for name, values in self.point.items()}
        document: dict[str, Any] = {
            "study": self.study_id,
            "study_digest": self.study_digest,
            "round": self.round,
            "attempt": self.attempt,
            "step": self.step,
            "point": point,
        }
        return rfc8785.dumps(document | ({"population": list(self.population)} if self.population else {}))

    def digest(self) -> str:
        """Return SHA-256 of the canonical JSON as hex."""
        return hashlib.sha256(self.to_bytes()).hexdigest()

    def mask_context(self) -> bytes:
        """Return what masks are bound to: this study, round, attempt, model and population, nothing else."""
        return hashlib.sha256(b"hdex/mask-context/v1\n" + self.to_bytes()).digest()

    @classmethod
    def from_bytes(cls, data: bytes) -> "Broadcast":
        """Return the question, or raise StudyInvalid unless it is canonical. The kind checks step and point."""
        try:
            document = from_json(data)
            point = document["point"]
            arrays = None if point is None else {name: np.array(point[name], dtype=np.float64) for name in point}
            result = cls(
                str(document["study"]),
                str(document["study_digest"]),
                int(document["round"]),
                int(document["attempt"]),
                str(document["step"]),
                arrays,
                tuple(map(str, document.get("population", ()))),
            )
        except (ValueError, KeyError, TypeError) as error:
            raise StudyInvalid("the round's question cannot be read") from error
        result._check()
        if result.to_bytes() != data:
            raise StudyInvalid("the round's question is not in canonical form")
        return result

    def _check(self) -> None:
        if self.round < 1 or self.attempt < 1:
            raise StudyInvalid("the round's question names no round or attempt")
        if self.point is not None and any(values.ndim != 1 for values in self.point.values()):
            raise StudyInvalid("the point holds something else than lists of numbers")
