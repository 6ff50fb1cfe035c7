"""The product of a round's replies: what the coordinator and a region compute without any key."""

from collections.abc import Sequence

from hdex.federated.contributor import pack_spec
from hdex.federated.errors import CiphertextInvalid
from hdex.federated.kinds.table import kind_of
from hdex.federated.paillier import CipherVector, aggregate, public_key_from_hex
from hdex.federated.regional import RegionalSum, Reply, parts_of
from hdex.federated.study import Study


def combine(study: Study, replies: Sequence[Reply]) -> CipherVector:
    """Return the product of the replies' ciphertexts: the same bytes, however they were grouped on the way.

    Raises CiphertextInvalid when one does not have the study's encoding, or counts others than the sites it names.
    """
    public_key = public_key_from_hex(study.public_key)
    steps = {part.header.step for part in parts_of(replies)}
    if len(steps) != 1 or not steps <= set(kind_of(study).steps):
        raise CiphertextInvalid(f"kind {study.kind} has no step of the name that the contributions carry")
    step = steps.pop()
    shape = (pack_spec(study, step), kind_of(study).length(study, step))
    vectors = []
    for reply in replies:
        data, weight = (reply.vector, len(reply.parts)) if isinstance(reply, RegionalSum) else (reply.payload, 1)
        vector = CipherVector.from_bytes(data, public_key)
        if (vector.spec, vector.length, vector.weight) != (*shape, weight):
            raise CiphertextInvalid(f"a vector does not have the encoding of step {step}")
        vectors.append(vector)
    return aggregate(vectors)
