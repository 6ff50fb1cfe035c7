"""The sum that an opening proves. For coordinator and auditor: neither has a key, neither believes who opened it.

A proof is the opening of one key holder ("HPO1"), or of share holders "HPT1" | count (2) | each part's length (4) and
bytes.
"""

import struct
from collections.abc import Sequence
from contextlib import suppress

import numpy as np

from hdex.federated.dealing import threshold_key
from hdex.federated.errors import CiphertextInvalid, OpeningInvalid, TooFewContributors
from hdex.federated.paillier import (
    CipherVector,
    Opening,
    Partial,
    combine_partials,
    opened_sums,
    verify_partial,
)
from hdex.federated.statistics import Floats
from hdex.federated.study import Study

_PARTS = b"HPT1"


def proven_sum(study: Study, product: CipherVector, proof: bytes, *, contributors: int) -> Floats:
    """Return the sum in the product of `contributors` contributions, shape (length,), as `proof` opens it.

    Raises OpeningInvalid without a proof, or with one that is not of this product under the study's key.
    """
    if not proof:
        raise OpeningInvalid("the sum comes without a proof; ask who opened it for the opening")
    try:
        if study.threshold is None:
            return opened_sums(product, Opening.from_bytes(proof, product.public_key), contributors=contributors)
        key = threshold_key(study)
        parts = [Partial.from_bytes(part, key) for part in split_parts(proof)]
        return combine_partials(key, product, parts, contributors=contributors)
    except (CiphertextInvalid, TooFewContributors) as error:
        false = false_parts(study, product, proof)
        why = f"the part of {', '.join(false)} does not prove itself" if false else str(error)
        raise OpeningInvalid(f"the proof of the sum does not hold: {why}") from error


def false_parts(study: Study, product: CipherVector, proof: bytes) -> list[str]:
    """Return the sites whose parts in a proof are false: combining tells a number at most."""
    if study.threshold is None:
        return []
    key, found = threshold_key(study), []
    with suppress(CiphertextInvalid):  # bytes that are no parts are nobody's
        for part in [Partial.from_bytes(part, key) for part in split_parts(proof)]:
            try:
                verify_partial(key, product, part)
            except CiphertextInvalid:
                found.append(party_name(study, part.party))
    return sorted(set(found))


def party_name(study: Study, party: int) -> str:
    """Return the site behind a party's number, from 1."""
    parties = study.threshold.parties if study.threshold is not None else ()
    return parties[party - 1] if 1 <= party <= len(parties) else f"party {party}"


def require_sum(said: Floats, proven: Floats) -> None:
    """Raise OpeningInvalid unless what was said is what was proven, number by number."""
    if not np.array_equal(said, proven):
        raise OpeningInvalid("another sum is said than the one that is proven")


def join_parts(parts: Sequence[bytes]) -> bytes:
    """Return the parts of share holders as one proof."""
    return _PARTS + struct.pack(">H", len(parts)) + b"".join(struct.pack(">I", len(one)) + one for one in parts)


def split_parts(proof: bytes) -> list[bytes]:
    """Return the parts in a proof. Raises CiphertextInvalid."""
    try:
        magic, count = struct.unpack_from(">4sH", proof)
        parts, start = [], 6
        for _ in range(count):
            (size,) = struct.unpack_from(">I", proof, start)
            parts.append(proof[start + 4 : start + 4 + size])
            start += 4 + size
    except struct.error as error:
        raise CiphertextInvalid("the proof is cut short") from error
    if magic != _PARTS or start != len(proof):
        raise CiphertextInvalid("these bytes are no parts of share holders")
    return parts
