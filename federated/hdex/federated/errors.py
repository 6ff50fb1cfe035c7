"""What can go wrong in a federated study.

FederatedError
  StudyInvalid          the study's document contradicts itself or the data cannot answer it
  FrameInvalid          bytes from the channel are not a whole frame; drop them, the other side sends again
  KeyInvalid            a Paillier key is not what it must be
  CiphertextInvalid     a ciphertext, vector or contribution was altered or does not decode
  OpeningInvalid        what was said to be the sum is not proven to be that of the contributions
  ValueOutOfRange       a value, weight or sum does not fit the public encoding
  TooFewContributors    a sum over fewer contributors than asked
  NotConverged          the fit did not settle within its rounds
    DesignSingular      columns do not vary or repeat one another
  SiteLost              a site of the roster stayed silent past the deadline
  JournalConflict       a round was committed before with other content
  JournalUnavailable    the journal's database does not answer: no round is sent
  Refusal               someone who may say no said no; `rule` names which rule
    AdmissionRefused    a site does not take part in this round
    DisclosureRefused   the answer would say too much about too few
    DecryptRefused      the key holder does not open this sum
"""

import json
from typing import Any


class FederatedError(Exception):
    """Base of this room's errors. Messages say found and asked, never a value from a record."""


class StudyInvalid(FederatedError):
    """The study contradicts itself, or a site's table cannot answer it."""


class FrameInvalid(FederatedError):
    """The bytes are not one whole frame."""


class KeyInvalid(FederatedError):
    """A key fails its checks."""


class CiphertextInvalid(FederatedError):
    """A ciphertext fails its checks or decrypts to noise."""


class OpeningInvalid(FederatedError):
    """A sum comes without a proof that it is the contributions' sum, or with one that does not hold."""


class ValueOutOfRange(FederatedError):
    """A number does not fit the public encoding."""


class TooFewContributors(FederatedError):
    """The sum does not hold as many contributors as asked."""


class NotConverged(FederatedError):
    """The fit did not settle."""


class DesignSingular(NotConverged):
    """The columns do not identify the coefficients."""


class SiteLost(FederatedError):
    """A site of the roster did not answer in time. The roster is never reduced in silence."""

    def __init__(self, detail: str = "", next_step: str = "") -> None:
        super().__init__(detail)
        self.next_step = next_step


class JournalConflict(FederatedError):
    """The round stands in the journal with other content."""


class JournalUnavailable(FederatedError):
    """The journal's database does not answer."""


class Refusal(FederatedError):
    """A refusal with the rule that demands it; `rule` is a stable code, `detail` is for people."""

    def __init__(self, rule: str, detail: str = "") -> None:
        super().__init__(f"{rule}: {detail}" if detail else rule)
        self.rule = rule
        self.detail = detail


class AdmissionRefused(Refusal):
    """A site refuses this round."""


class DisclosureRefused(Refusal):
    """Too few rows, events or sites for what is asked."""


class DecryptRefused(Refusal):
    """The key holder refuses to open this sum."""


_LEAVES: dict[str, type[FederatedError]] = {
    leaf.__name__: leaf
    for leaf in (
        StudyInvalid,
        FrameInvalid,
        KeyInvalid,
        CiphertextInvalid,
        OpeningInvalid,
        ValueOutOfRange,
        TooFewContributors,
        NotConverged,
        DesignSingular,
        SiteLost,
        JournalConflict,
        JournalUnavailable,
        AdmissionRefused,
        DisclosureRefused,
        DecryptRefused,
    )
}


def error_document(error: FederatedError) -> str:
    """Return `error` as JSON text that crosses to another process."""
    if isinstance(error, Refusal):
        return json.dumps({"error": type(error).__name__, "rule": error.rule, "detail": error.detail})
    told = {"next_step": error.next_step} if isinstance(error, SiteLost) and error.next_step else {}
    return json.dumps({"error": type(error).__name__, "detail": str(error), **told})


def error_from_document(text: str, *, prefix: str = "") -> FederatedError:
    """Return the error that `error_document` described; an unknown kind becomes FederatedError."""
    try:
        document: dict[str, Any] = json.loads(text)
        kind, detail = str(document["error"]), prefix + str(document.get("detail", ""))
    except (ValueError, KeyError, TypeError):
        return FederatedError(f"{prefix}an error that cannot be read")
    leaf = _LEAVES.get(kind, FederatedError)
    if issubclass(leaf, Refusal):
        return leaf(str(document.get("rule", "unnamed")), detail)
    if issubclass(leaf, SiteLost):
        return leaf(detail, str(document.get("next_step", "")))
    return leaf(detail)
