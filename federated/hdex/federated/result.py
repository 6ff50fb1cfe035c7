"""What a study answers: the answer of its kind, and what crossed each site's wall."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from hdex.federated.kinds.kind import Answer


@dataclass(frozen=True, slots=True)
class Crossed:
    """What left one site, over all rounds."""

    ciphertexts: int  # 0 in a plain study
    payload_bytes: int  # the masked, encrypted sums
    header_bytes: int  # signed headers and signatures

    @property
    def total_bytes(self) -> int:
        """All bytes of the site's contributions."""
        return self.payload_bytes + self.header_bytes


@dataclass(frozen=True, slots=True)
class StudyResult:
    """The released answer. Holds pooled numbers only."""

    study_id: str
    study_digest: str
    kind: str
    answer: Answer
    rounds: int
    sites: tuple[str, ...]
    crossed: Mapping[str, Crossed]
    contributors: tuple[tuple[str, ...], ...]  # of every round

    @property
    def bytes_per_site(self) -> dict[str, int]:
        """Site -> bytes of its contributions."""
        return {site: crossed.total_bytes for site, crossed in self.crossed.items()}

    def document(self) -> dict[str, Any]:
        """Return the JSON document: the answer's keys beside the study's."""
        return {
            "study_id": self.study_id,
            "study_digest": self.study_digest,
            "kind": self.kind,
            **self.answer.document(),
            "rounds": self.rounds,
            "sites": list(self.sites),
            "contributors": [list(sites) for sites in self.contributors],
            "crossed": {site: asdict(crossed) for site, crossed in self.crossed.items()},
            "bytes_per_site": self.bytes_per_site,
        }
