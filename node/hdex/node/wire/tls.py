"""The files that speak for a participant on the wire."""

from dataclasses import dataclass

from hdex.node.config import IdentityFiles
from hdex.node.errors import KeyUnreadable
from hdex.node.keys import require_private


@dataclass(frozen=True, slots=True, repr=False)
class Tls:
    """Certificate, key and the consortium's CA, all PEM. `repr` shows none of them."""

    certificate: bytes
    private_key: bytes
    ca: bytes

    def __repr__(self) -> str:
        return "Tls()"

    @classmethod
    def load(cls, files: IdentityFiles) -> "Tls":
        """Return what the files hold. Raises KeyUnreadable when one is missing or others may read the key."""
        require_private(files.private_key)
        try:
            return cls(files.certificate.read_bytes(), files.private_key.read_bytes(), files.ca.read_bytes())
        except OSError as error:
            raise KeyUnreadable(f"{error.filename} cannot be read: {error.strerror}") from error
