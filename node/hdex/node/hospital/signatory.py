"""Who a hospital is when it signs."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True)
class Signatory:
    """A hospital's name, its signing key, and what time it is there."""

    hospital: str
    sign_key: bytes
    clock: Callable[[], datetime]

    def __repr__(self) -> str:
        return f"Signatory({self.hospital})"
