"""The sum that an opening proves. For coordinator and auditor: neither has a key, neither believes the key holder."""

import numpy as np

from hdex.federated.errors import CiphertextInvalid, OpeningInvalid, TooFewContributors
from hdex.federated.paillier import CipherVector, Opening, opened_sums
from hdex.federated.statistics import Floats


def proven_sum(product: CipherVector, proof: bytes, *, contributors: int) -> Floats:
    """Return the sum in the product of `contributors` contributions, shape (length,), as `proof` opens it.

    Raises OpeningInvalid without a proof, or with one that is not of this product.
    """
    if not proof:
        raise OpeningInvalid("the sum comes without the randomness that proves it; ask a key holder that opens sums")
    try:
        opening = Opening.from_bytes(proof, product.public_key)
        return opened_sums(product, opening, contributors=contributors)
    except (CiphertextInvalid, TooFewContributors) as error:
        raise OpeningInvalid(f"the key holder's proof does not hold: {error}") from error


def require_sum(said: Floats, proven: Floats) -> None:
    """Raise OpeningInvalid unless what was said is what was proven, number by number."""
    if not np.array_equal(said, proven):
        raise OpeningInvalid("the key holder says another sum than the one it proves")
