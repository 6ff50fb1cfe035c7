"""What goes wrong in a participant, and the one table error -> gRPC status -> exit code for all rooms.

NodeError
|-- ConfigInvalid          a configuration file says something it must not
|-- KeyUnreadable          a keystore or passphrase file cannot be used
|-- SignatureInvalid       a signed document does not verify
|-- IdentityRefused        a certificate does not make its holder known here
|-- AccessDenied           known, but not allowed: carries the rule and the next step
|-- ContainerInvalid       a delivery container is cut, reordered, spliced or altered
|-- PeerUnavailable        another participant does not answer
|-- RemoteRefused          another participant answered no: carries its rule and next step
|-- NotFound, AlreadyExists
|-- OutOfTree              a proof is asked of more entries than a log has
|-- VaultDamaged           stored bytes no longer have their digest
|-- VaultSealed            a key was shredded: what it protected is gone for good
|-- DatabaseDamaged        a database of the data folder is lost or unreadable
|-- DiskFull               no space left: nothing was stored
|-- LimitExceeded          a message, a rate or a deadline is beyond its bound
|-- RequestInvalid         a message cannot be read
|-- KeyConflict            an idempotency key stands for another call, or for one that is not over: carries what to do
|-- InvoiceRefused         an invoice does not hold against agreement, signature or log
|-- PaymentsInvalid        a bank statement cannot be read; the message names the line
`-- CannotListen           an address is taken or not ours

The rooms' errors are found by the name of a class on the error's MRO, so this module imports no room.
"""

import errno
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeVar

_Value = TypeVar("_Value")
DONE, REFUSED, USAGE, OUTSIDE = 0, 1, 2, 3
HIDDEN = "an internal error happened; the node's own log says more"  # nothing inside leaks to a peer


class NodeError(Exception):
    """Base of what a participant raises on purpose. Its message never holds a value from a record."""

    rule: str = ""  # machine-readable; empty means the class name in kebab case
    next_step: str = ""


class ConfigInvalid(NodeError):
    """A configuration file has an unknown key, a wrong type or a missing value."""


class KeyUnreadable(NodeError):
    """A keystore or passphrase file is missing, readable by others, or does not open."""


class SignatureInvalid(NodeError):
    """A document is not signed by whom it should be."""


class IdentityRefused(NodeError):
    """A peer's certificate does not identify a member of the consortium now."""


class AccessDenied(NodeError):
    """The caller is known but may not do this."""

    def __init__(self, rule: str, next_step: str = "", message: str = "") -> None:
        super().__init__(message or f"refused by rule {rule}")
        self.rule = rule
        self.next_step = next_step


class ContainerInvalid(NodeError):
    """A delivery container does not verify."""


class PeerUnavailable(NodeError):
    """Another participant did not answer in time."""


class RemoteRefused(NodeError):
    """Another participant answered with a refusal."""

    def __init__(self, rule: str, next_step: str, message: str, *, status: str = "PERMISSION_DENIED") -> None:
        super().__init__(message)
        self.rule = rule
        self.next_step = next_step
        self.message = message
        self.status = status


class NotFound(NodeError):
    """What was asked for is not here."""


class OutOfTree(NodeError):
    """A proof is asked about entries that the log does not have."""


class AlreadyExists(NodeError):
    """What was to be stored is already here: nothing is written twice."""


class VaultDamaged(NodeError):
    """Stored bytes do not have the digest they were stored under."""


class VaultSealed(NodeError):
    """The key of this item was shredded."""


class DatabaseDamaged(NodeError):
    """A database is lost or unreadable; it is not made anew."""


class DiskFull(NodeError):
    """There is no space left; nothing was stored."""


class LimitExceeded(NodeError):
    """A bound of this server was reached."""


class RequestInvalid(NodeError):
    """A message of a peer cannot be read."""


class KeyConflict(AccessDenied):
    """An idempotency key stands for another call, or for one whose outcome is not known yet."""


class InvoiceRefused(NodeError):
    """An invoice does not hold against the agreement, the provider's signature or its log."""


class PaymentsInvalid(NodeError):
    """A bank statement is not what is asked; the message names the line."""


class CannotListen(NodeError):
    """An address is taken, or is not one of this machine."""


@dataclass(frozen=True, slots=True)
class Problem:
    """An error as a peer or a shell sees it."""

    status: str  # name of a gRPC status code
    exit_code: int
    rule: str
    message: str
    next_step: str = ""


# Exit code of each status: 1 we or a peer refuse, 2 the request is wrong, 3 the world does not play along.
EXITS: dict[str, int] = {
    "PERMISSION_DENIED": REFUSED,
    "FAILED_PRECONDITION": REFUSED,
    "UNAUTHENTICATED": REFUSED,
    "ABORTED": REFUSED,
    "ALREADY_EXISTS": REFUSED,
    "INVALID_ARGUMENT": USAGE,
    "NOT_FOUND": USAGE,
    "OUT_OF_RANGE": USAGE,
    "UNIMPLEMENTED": USAGE,
    "UNAVAILABLE": OUTSIDE,
    "DEADLINE_EXCEEDED": OUTSIDE,
    "RESOURCE_EXHAUSTED": OUTSIDE,
    "DATA_LOSS": OUTSIDE,
    "CANCELLED": OUTSIDE,
    "INTERNAL": OUTSIDE,
    "UNKNOWN": OUTSIDE,
}

# Class name -> status. A class that is absent is described by the nearest base on its MRO that is present.
STATUSES: dict[str, str] = {
    # node
    "NodeError": "FAILED_PRECONDITION",
    "ConfigInvalid": "INVALID_ARGUMENT",
    "KeyUnreadable": "UNAVAILABLE",
    "SignatureInvalid": "PERMISSION_DENIED",
    "IdentityRefused": "UNAUTHENTICATED",
    "AccessDenied": "PERMISSION_DENIED",
    "ContainerInvalid": "DATA_LOSS",
    "PeerUnavailable": "UNAVAILABLE",
    "NotFound": "NOT_FOUND",
    "OutOfTree": "OUT_OF_RANGE",
    "AlreadyExists": "ALREADY_EXISTS",
    "VaultDamaged": "DATA_LOSS",
    "VaultSealed": "FAILED_PRECONDITION",
    "DatabaseDamaged": "DATA_LOSS",
    "DiskFull": "RESOURCE_EXHAUSTED",
    "LimitExceeded": "RESOURCE_EXHAUSTED",
    "RequestInvalid": "INVALID_ARGUMENT",
    "KeyConflict": "ABORTED",
    "PaymentsInvalid": "INVALID_ARGUMENT",
    "InvoiceRefused": "FAILED_PRECONDITION",
    "CannotListen": "UNAVAILABLE",
    # node.sources
    "SourceError": "INVALID_ARGUMENT",
    # deid
    "DeidError": "FAILED_PRECONDITION",
    "PolicyInvalid": "INVALID_ARGUMENT",
    "HierarchyIncomplete": "INVALID_ARGUMENT",
    "LinkInvalid": "INVALID_ARGUMENT",
    "InputInvalid": "INVALID_ARGUMENT",
    "DetectorTimeout": "DEADLINE_EXCEEDED",
    # catalog
    "CatalogError": "FAILED_PRECONDITION",
    "ProductInvalid": "INVALID_ARGUMENT",
    "OrganisationInvalid": "INVALID_ARGUMENT",
    "AccessFormInvalid": "INVALID_ARGUMENT",
    "CohortInvalid": "INVALID_ARGUMENT",
    "NoCohort": "NOT_FOUND",
    "TransitionForbidden": "FAILED_PRECONDITION",
    "CursorInvalid": "INVALID_ARGUMENT",
    "IndexUnavailable": "UNAVAILABLE",
    # ledger
    "LedgerError": "FAILED_PRECONDITION",
    "ProofInvalid": "FAILED_PRECONDITION",
    "NoteInvalid": "INVALID_ARGUMENT",
    "EventInvalid": "INVALID_ARGUMENT",
    "LogFailed": "UNAVAILABLE",
    "LogConflict": "ABORTED",
    "CheckpointConflict": "ABORTED",
    "StoreCorrupt": "DATA_LOSS",
    "ChainUnavailable": "UNAVAILABLE",
    "ChainWrong": "UNAVAILABLE",
    "AnchorAlarm": "ABORTED",
    "EvidenceUnreadable": "DATA_LOSS",
    # federated
    "FederatedError": "FAILED_PRECONDITION",
    "StudyInvalid": "INVALID_ARGUMENT",
    "AdmissionRefused": "PERMISSION_DENIED",
    "DisclosureRefused": "PERMISSION_DENIED",
    "DecryptRefused": "PERMISSION_DENIED",
    "KeyInvalid": "INVALID_ARGUMENT",
    "CiphertextInvalid": "INVALID_ARGUMENT",
    "OpeningInvalid": "ABORTED",
    "ValueOutOfRange": "INVALID_ARGUMENT",
    "SiteLost": "UNAVAILABLE",
    "JournalUnavailable": "UNAVAILABLE",
}
# Where the shell is told something else than the status says: a broken input file is the outside world's doing, a
# paper with a wrong field is its writer's.
EXIT_OF_CLASS: dict[str, int] = {"SourceError": OUTSIDE, "InputInvalid": OUTSIDE, "DocumentInvalid": USAGE}


def describe(error: BaseException) -> Problem:
    """Return how `error` is told to a peer and to a shell; the unforeseen is INTERNAL with a constant message."""
    if isinstance(error, OSError):
        return _describe_os_error(error)
    status = _first(error, STATUSES)
    if status is None:
        return Problem("INTERNAL", EXITS["INTERNAL"], "internal", HIDDEN)
    if isinstance(error, RemoteRefused):
        status = error.status if error.status in EXITS else "UNKNOWN"
    exit_code = _first(error, EXIT_OF_CLASS)
    return Problem(
        status=status,
        exit_code=EXITS[status] if exit_code is None else exit_code,
        rule=_text(error, "rule") or kebab(type(error).__name__),
        message=str(error) or kebab(type(error).__name__),
        next_step=_text(error, "next_step"),
    )


def kebab(name: str) -> str:
    """Return a class name as a rule code: RiskTooHigh -> risk-too-high."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "-", name).lower()


def _describe_os_error(error: OSError) -> Problem:
    if error.errno in {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}:
        return Problem("RESOURCE_EXHAUSTED", OUTSIDE, "disk-full", "no space is left on the disk; nothing was stored")
    where = f": {error.filename}" if error.filename else ""
    wrong_name = isinstance(error, FileNotFoundError | IsADirectoryError | NotADirectoryError)
    exit_code = USAGE if wrong_name else OUTSIDE  # who asked can name another file; a failing disk is nobody's word
    return Problem("UNAVAILABLE", exit_code, "system", f"{error.strerror or type(error).__name__}{where}")


def _first(error: BaseException, table: Mapping[str, _Value]) -> _Value | None:
    return next((table[cls.__name__] for cls in type(error).__mro__ if cls.__name__ in table), None)


def _text(error: BaseException, name: str) -> str:
    value = getattr(error, name, "")
    return value if isinstance(value, str) else ""
