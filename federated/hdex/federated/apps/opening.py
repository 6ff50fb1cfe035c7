"""The coordinator's way to share holders: enough of them are asked over the Grid, and each part is verified."""

import logging
from collections.abc import Callable, Sequence

from hdex.federated.apps.flower import Grid, Message, node_id
from hdex.federated.apps.records import OPENING_TYPE, opening_record, read_part, reply_error
from hdex.federated.combine import combine
from hdex.federated.contribution import Contribution
from hdex.federated.dealing import threshold_key
from hdex.federated.errors import CiphertextInvalid, FederatedError, Refusal, SiteLost
from hdex.federated.opened import join_parts
from hdex.federated.paillier import CipherVector, Partial, ThresholdKey, combine_partials, verify_partial
from hdex.federated.ports import Decryptor, OpenedSum
from hdex.federated.study import Study, Threshold, parse_envelope

logger = logging.getLogger(__name__)
Opened = Callable[[int, Sequence[bytes], bytes], None]


class ShareHolders:
    """The Decryptor of a study whose key is shared: any `needed` parties that prove their parts open the sum.

    opened: called with (round, contributions, proof) before a sum is told, for who keeps receipts.
    """

    def __init__(
        self, envelope: bytes, threshold: Threshold, grid: Grid, *, timeout_s: float, opened: Opened | None = None
    ) -> None:
        self._envelope = envelope
        self._study: Study = parse_envelope(envelope)
        self._threshold = threshold
        self._grid = grid
        self._timeout_s = timeout_s
        self._told = opened

    def open_sum(self, study_id: str, round_number: int, contributions: list[bytes]) -> OpenedSum:
        """Return the sum and the parts that prove it. Raises the last refusal, or SiteLost, when too few answer."""
        parsed = [Contribution.from_bytes(data) for data in contributions]
        product, key = combine(self._study, parsed), threshold_key(self._study)
        parts = self._parts(key, product, round_number, contributions, {one.header.site for one in parsed})
        values = combine_partials(key, product, parts, contributors=len(parsed))
        proof = join_parts([part.to_bytes(key) for part in parts])
        if self._told is not None:
            self._told(round_number, contributions, proof)
        return OpenedSum(values, proof)

    def _parts(
        self, key: ThresholdKey, product: CipherVector, number: int, contributions: list[bytes], present: set[str]
    ) -> list[Partial]:
        """Ask as many parties as are missing until enough have proven theirs; those that took part come first."""
        waiting = sorted(self._threshold.parties, key=lambda party: (party not in present, party))
        found: dict[int, Partial] = {}
        failed: FederatedError = SiteLost(f"fewer than {key.threshold} share holders answer in round {number}")
        while waiting and len(found) < key.threshold:
            asked, waiting = waiting[: key.threshold - len(found)], waiting[key.threshold - len(found) :]
            for message in self._ask(asked, number, contributions):
                try:
                    part = self._verified(key, product, message)
                    found[part.party] = part
                except FederatedError as error:
                    failed = error if isinstance(error, Refusal) else failed
                    logger.warning("a share holder gives no part", extra={"study": self._study.id, "round": number})
        if len(found) < key.threshold:
            raise failed
        return [found[party] for party in sorted(found)]

    def _ask(self, parties: Sequence[str], number: int, contributions: list[bytes]) -> list[Message]:
        """Return their replies, errors too; one error does not end the wait for the others."""
        content = [opening_record(self._envelope, number, contributions) for _ in parties]
        messages = [
            self._grid.create_message(record, OPENING_TYPE, node_id(party), str(number))
            for record, party in zip(content, parties, strict=True)
        ]
        replies: list[Message] = []
        while messages:
            got = list(self._grid.send_and_receive(messages, timeout=self._timeout_s))
            answered = {message.metadata.src_node_id for message in got}
            replies += got
            messages = [one for one in messages if one.metadata.dst_node_id not in answered]
            if not any(message.has_error() for message in got):
                break
        return replies

    def _verified(self, key: ThresholdKey, product: CipherVector, message: Message) -> Partial:
        party = next(name for name in self._threshold.parties if node_id(name) == message.metadata.src_node_id)
        if message.has_error():
            raise reply_error(message, party)
        part = Partial.from_bytes(read_part(message.content), key)
        if part.party != self._threshold.parties.index(party) + 1:
            raise CiphertextInvalid(f"{party} answers with another party's part")
        verify_partial(key, product, part)
        return part


_: type[Decryptor] = ShareHolders
