"""The sum without encryption: what simulation compares the encrypted one with. A real site refuses it."""

from collections.abc import Sequence

from hdex.federated.contribution import Contribution, plain_values
from hdex.federated.errors import CiphertextInvalid, DecryptRefused
from hdex.federated.ports import Decryptor, OpenedSum
from hdex.federated.statistics import Floats


class PlainAdder:
    """Adds plain contributions."""

    def open_sum(self, study_id: str, round_number: int, contributions: list[bytes]) -> OpenedSum:
        """Return the sum; it needs no proof, everybody sees the addends."""
        parsed = [Contribution.from_bytes(data) for data in contributions]
        if any((one.header.study, one.header.round) != (study_id, round_number) for one in parsed):
            raise DecryptRefused("round_mismatch", "a contribution belongs to another study or round")
        return OpenedSum(plain_sum(parsed))


def plain_sum(contributions: Sequence[Contribution]) -> Floats:
    """Return the sum of plain contributions, added in their order. Raises CiphertextInvalid."""
    total = plain_values(contributions[0].payload)
    for contribution in contributions[1:]:
        values = plain_values(contribution.payload)
        if len(values) != len(total):
            raise CiphertextInvalid("plain sums of different lengths cannot be added")
        total = total + values
    return total


_: type[Decryptor] = PlainAdder
