"""What this room needs from outside."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

import polars as pl

from hdex.federated.journal import Attempt, Gathered, RoundRecord
from hdex.federated.statistics import Floats
from hdex.federated.study import Study


class Channel(Protocol):
    """Moves frames between the coordinator and the sites. Untrusted: frames carry their own digest."""

    def sites(self) -> set[str]:
        """Return the sites that are connected now, named by their authenticated identity."""
        ...

    def send(self, site: str, frame: bytes) -> None:
        """Queue one frame. Raises SiteLost when the site is not connected; delivery is not promised."""
        ...

    def receive(self, timeout_s: float) -> tuple[str, bytes]:
        """Return (authenticated sender, frame); raise TimeoutError when none came within `timeout_s`."""
        ...


@dataclass(frozen=True, slots=True)
class OpenedSum:
    """What a decryptor says of one round. The values count only as far as the proof shows them: `opened.proven_sum`."""

    values: Floats  # shape (length,)
    proof: bytes = field(default=b"", repr=False)  # canonical bytes of an Opening; empty for plain sums


class Decryptor(Protocol):
    """Opens the sum of one round. Holds the key; the coordinator does not. Not trusted with the result."""

    def open_sum(self, study_id: str, round_number: int, contributions: list[bytes]) -> OpenedSum:
        """Return the sum over the whole roster with its proof, or raise DecryptRefused.

        The same contributions again give the same answer; others for the same round are refused.
        """
        ...


class Journal(Protocol):
    """Durable rows of rounds."""

    def commit(self, record: "RoundRecord") -> None:
        """Keep the row, on disk when it returns. The same row again is fine; another raises JournalConflict."""
        ...

    def rounds(self, study_id: str) -> "Sequence[RoundRecord]":
        """Return the study's rows in order, from round 1 without gap."""
        ...

    def declare(self, attempt: Attempt) -> None:
        """Keep a round's attempt, on disk when it returns; one that is not later than the kept raises JournalConflict.

        The same attempt again is fine.
        """
        ...

    def declared(self, study_id: str, number: int) -> Attempt | None:
        """Return the last attempt that was declared for a round, or None."""
        ...

    def gather(self, gathered: Gathered) -> None:
        """Keep what a round's sites answered, on disk when it returns, until the round is committed.

        The same again is fine; others for the same round raise JournalConflict: those may have been opened.
        """
        ...

    def gathered(self, study_id: str, number: int) -> Gathered | None:
        """Return what was kept for a round that is not committed, or None."""
        ...


class Store(Protocol):
    """Durable named bytes."""

    def get(self, name: str) -> bytes | None:
        """Return the bytes under `name`, or None."""
        ...

    def put(self, name: str, value: bytes) -> None:
        """Replace the bytes under `name`; on disk when it returns, all or nothing."""
        ...


@dataclass(frozen=True, slots=True)
class RoundRequest:
    """What a site is asked in one round; `study` is parsed from `envelope`, whose signatures are not yet verified."""

    study: Study
    envelope: bytes
    round: int
    attempt: int
    step: str
    broadcast_digest: str  # hex


@dataclass(frozen=True, slots=True)
class Release:
    """What is about to leave a site."""

    rows: int  # complete rows behind the sums; -1 for a kept reply sent again
    digest: str  # of the contribution, hex
    ciphertexts: int
    total_bytes: int


class SiteHooks(Protocol):
    """What the node gives its contributor: a standing before the first round; the others, in this order, in each."""

    def standing(self, study: Study, envelope: bytes) -> str:
        """Return "" where this study may run now, else the rule that people have yet to meet: it waits for them here.

        Raises AdmissionRefused(rule) where the answer is no.
        """
        ...

    def admit(self, request: RoundRequest) -> None:
        """Raise AdmissionRefused(rule) unless envelope, agreement, approval, level and budget allow this round."""
        ...

    def frame(self, study: Study) -> pl.DataFrame:
        """Return the rows the agreement covers, with `study.columns` as numbers (nulls allowed)."""
        ...

    def shared_secret(self, peer_mask_key: bytes) -> bytes:
        """Return X25519(own mask key, peer's public key), 32 bytes."""
        ...

    def sign(self, message: bytes) -> bytes:
        """Return the Ed25519 signature of `message` under the site's sign key."""
        ...

    def release(self, request: RoundRequest, release: Release) -> None:
        """Remember the access durably before it leaves; raise AdmissionRefused and nothing leaves."""
        ...
