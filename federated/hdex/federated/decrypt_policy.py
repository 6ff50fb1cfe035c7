"""What must hold before a sum is opened, checked by every holder of a key or a share before any exponentiation."""

import hashlib
from collections.abc import Sequence
from datetime import datetime

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from hdex.federated.contribution import Contribution
from hdex.federated.contributor import pack_spec
from hdex.federated.errors import CiphertextInvalid, DecryptRefused
from hdex.federated.kinds.table import kind_of
from hdex.federated.paillier import CipherVector, aggregate, public_key_from_hex
from hdex.federated.study import Study


def check_time(study: Study, number: int, now: datetime) -> None:
    """Raise DecryptRefused unless the study still runs and has such a round."""
    if now >= study.expires():
        raise DecryptRefused("deadline", "the study's deadline has passed")
    if not 1 <= number <= study.max_rounds:
        raise DecryptRefused("max_rounds", f"round {number} of at most {study.max_rounds}")


def checked_contributions(study: Study, number: int, data: Sequence[bytes], *, floor: int) -> list[Contribution]:
    """Return the contributions when they are whole, each once, of this round's one question, signed by their sites.

    floor: the fewest sites, where the study opens without its whole roster. Raises DecryptRefused with the rule.
    """
    contributions = [_parse(one) for one in data]
    _check_roster(study, contributions, floor)
    _check_headers(study, contributions, number)
    _check_signatures(study, contributions)
    return contributions


def request_digest(contributions: Sequence[bytes]) -> str:
    """Return a digest of what is to be summed, in whatever order, as hex."""
    parts = sorted(hashlib.sha256(data).digest() for data in contributions)
    return hashlib.sha256(b"".join(parts)).hexdigest()


def combine(study: Study, contributions: Sequence[Contribution]) -> CipherVector:
    """Return the product of the contributions' ciphertexts: needs no key, the aggregator does the same.

    Raises CiphertextInvalid when one does not have the study's encoding.
    """
    public_key = public_key_from_hex(study.public_key)
    vectors = [CipherVector.from_bytes(contribution.payload, public_key) for contribution in contributions]
    step = contributions[0].header.step
    if step not in kind_of(study).steps:
        raise CiphertextInvalid(f"kind {study.kind} has no step of the name that the contributions carry")
    shape = (pack_spec(study, step), kind_of(study).length(study, step), 1)
    if any((vector.spec, vector.length, vector.weight) != shape for vector in vectors):
        raise CiphertextInvalid(f"a vector does not have the encoding of step {step}")
    return aggregate(vectors)


def _parse(data: bytes) -> Contribution:
    try:
        return Contribution.from_bytes(data)
    except CiphertextInvalid as error:
        raise DecryptRefused("digest", str(error)) from error


def _check_roster(study: Study, contributions: Sequence[Contribution], floor: int) -> None:
    sites = [contribution.header.site for contribution in contributions]
    if len(set(sites)) != len(sites):
        raise DecryptRefused("duplicate_site", "a site contributes twice")
    if set(sites) - set(study.sites):
        raise DecryptRefused("foreign_site", "a contributor is not on the roster")
    if study.dropout_allowed and len(sites) < floor:
        raise DecryptRefused("min_sites", f"{len(sites)} sites contribute; at least {floor} are needed")
    if not study.dropout_allowed and set(sites) != set(study.sites):
        raise DecryptRefused("roster_incomplete", f"{len(sites)} of {len(study.sites)} sites contribute")


def _check_headers(study: Study, contributions: Sequence[Contribution], number: int) -> None:
    headers = [contribution.header for contribution in contributions]
    if any((header.study, header.study_digest) != (study.id, study.digest()) for header in headers):
        raise DecryptRefused("study_mismatch", "a contribution belongs to another study")
    if any(header.round != number for header in headers):
        raise DecryptRefused("round_mismatch", f"a contribution does not belong to round {number}")
    if len({(header.broadcast, header.step, header.attempt) for header in headers}) != 1:
        raise DecryptRefused("broadcast_mismatch", "the contributions answer different questions")


def _check_signatures(study: Study, contributions: Sequence[Contribution]) -> None:
    for contribution in contributions:
        entry = study.entry(contribution.header.site)
        assert entry is not None
        key = Ed25519PublicKey.from_public_bytes(bytes.fromhex(entry.sign_key))
        try:
            key.verify(contribution.signature, contribution.header.signed_bytes())
        except InvalidSignature as error:
            raise DecryptRefused("signature", f"the signature of {entry.site} does not verify") from error
