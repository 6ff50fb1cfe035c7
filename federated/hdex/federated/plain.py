"""The sum without encryption: what simulation compares the encrypted one with. A real site refuses it."""

from hdex.federated.contribution import Contribution, plain_values
from hdex.federated.errors import DecryptRefused
from hdex.federated.ports import Decryptor
from hdex.federated.statistics import Floats


class PlainAdder:
    """Adds plain contributions."""

    def open_sum(self, study_id: str, round_number: int, contributions: list[bytes]) -> Floats:
        """Return the sum."""
        parsed = [Contribution.from_bytes(data) for data in contributions]
        if any((one.header.study, one.header.round) != (study_id, round_number) for one in parsed):
            raise DecryptRefused("round_mismatch", "a contribution belongs to another study or round")
        total = plain_values(parsed[0].payload)
        for contribution in parsed[1:]:
            total = total + plain_values(contribution.payload)
        return total


_: type[Decryptor] = PlainAdder
