"""The fraud proofs a participant has found, one file each: whoever holds one can prove it without us."""

import logging
from hashlib import sha256
from pathlib import Path

from hdex.ledger.fraud import FraudProof, format_fraud
from hdex.ledger.note import parse_checkpoint, parse_note
from hdex.node.durable import write_atomic
from hdex.node.errors import DiskFull

logger = logging.getLogger(__name__)
KEPT = 64  # a log that signs endlessly against itself is proven guilty by its first proof


class Docket:
    """Proofs in `folder`, made at the first."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def accuse(self, proof: FraudProof) -> Path | None:
        """Keep a proof durably and return its file, None when as many are kept as are of use."""
        path = self._folder / file_name(proof)
        if path.exists():
            return path
        if len(self.proofs()) >= KEPT:
            return None
        logger.critical("a log signed against itself", extra={"kind": proof.kind.value, "proof": path.name})
        try:
            self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            write_atomic(path, format_fraud(proof).encode())
        except (OSError, DiskFull):  # the refusal that found it must go out all the same
            logger.exception("the proof could not be kept", extra={"proof": path.name})
            return None
        return path

    def proofs(self) -> list[Path]:
        """Return the files kept, in the order of their names."""
        return sorted(self._folder.glob("fraud-*.json"))


def file_name(proof: FraudProof) -> str:
    """Return the proof's name: the same two heads give the same name."""
    texts = sorted(parse_note(note).text for note in proof.checkpoints)
    origin = parse_checkpoint(texts[0]).origin
    return f"fraud-{sha256(origin.encode()).hexdigest()[:8]}-{sha256(''.join(texts).encode()).hexdigest()[:16]}.json"
