"""The coordinator's way to share holders: enough of them are asked over the Grid, and each part is verified."""

import logging
from collections.abc import Callable, Mapping, Sequence

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
Unproven = Callable[[int, str, FederatedError], None]
HEDGE_S = 3.0  # of silence after which one more share holder is asked for each that is late; doubles then


def tell_nobody(number: int, party: str, error: FederatedError) -> None:
    """Say nothing."""


class ShareHolders:
    """The Decryptor of a study whose key is shared: any `needed` parties that prove their parts open the sum.

    opened: called with (round, contributions, proof) before a sum is told, for who keeps receipts.
    unproven: called with (round, party, why) of every party that refuses, or whose part does not prove itself.
    """

    def __init__(
        self,
        envelope: bytes,
        threshold: Threshold,
        grid: Grid,
        *,
        timeout_s: float,
        opened: Opened | None = None,
        unproven: Unproven = tell_nobody,
    ) -> None:
        self._envelope = envelope
        self._study: Study = parse_envelope(envelope)
        self._threshold = threshold
        self._grid = grid
        self._timeout_s = timeout_s
        self._told = opened
        self._unproven = unproven

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
        """Ask as many parties as are missing until enough have proven theirs; one that is late is not waited for alone.

        Those that are connected and took part come first.
        """
        waiting, late, left, slice_s = self._in_order(present), list[str](), self._timeout_s, HEDGE_S
        found: dict[str, Partial] = {}
        failed: dict[str, FederatedError] = {}
        while len(found) < key.threshold and (late or waiting) and left > 0:
            missing = key.threshold - len(found)
            asked, waiting = [*late, *waiting[:missing]], waiting[missing:]
            slice_s = min(slice_s, left)
            replies = self._ask(asked, number, contributions, slice_s)
            late = [party for party in asked if party not in replies]
            for party, message in replies.items():
                try:
                    found[party] = self._verified(key, product, party, message)
                except FederatedError as error:
                    failed[party] = error
                    logger.warning("a share holder gives no part", extra={"study": self._study.id, "party": party})
                    self._unproven(number, party, error)
            if not replies:
                left, slice_s = left - slice_s, 2 * slice_s
        if len(found) < key.threshold:
            raise too_few(key.threshold, number, failed, late)
        chosen = sorted(found.values(), key=lambda part: part.party)
        return chosen[: key.threshold]

    def _in_order(self, present: set[str]) -> list[str]:
        connected = set(self._grid.get_node_ids())
        return sorted(
            self._threshold.parties, key=lambda party: (node_id(party) not in connected, party not in present, party)
        )

    def _ask(
        self, parties: Sequence[str], number: int, contributions: list[bytes], timeout_s: float
    ) -> dict[str, Message]:
        """Return the replies that came in time, errors too; one error does not end the wait for the others."""
        names = {node_id(party): party for party in parties}
        content = [opening_record(self._envelope, number, contributions) for _ in parties]
        messages = [
            self._grid.create_message(record, OPENING_TYPE, node, str(number))
            for record, node in zip(content, names, strict=True)
        ]
        replies: dict[str, Message] = {}
        while messages:
            came = self._grid.send_and_receive(messages, timeout=timeout_s)
            got = {names[one.metadata.src_node_id]: one for one in came}
            replies |= got
            messages = [one for one in messages if names[one.metadata.dst_node_id] not in replies]
            if not any(message.has_error() for message in got.values()):
                break
        return replies

    def _verified(self, key: ThresholdKey, product: CipherVector, party: str, message: Message) -> Partial:
        if message.has_error():
            raise reply_error(message, party)
        part = Partial.from_bytes(read_part(message.content), key)
        if part.party != self._threshold.parties.index(party) + 1:
            raise CiphertextInvalid(f"{party} answers with another party's part")
        verify_partial(key, product, part)
        return part


def too_few(needed: int, number: int, failed: Mapping[str, FederatedError], late: Sequence[str]) -> FederatedError:
    """Return why a sum stays closed: the last refusal where somebody refused, else who is silent or not believed."""
    refusals = [error for error in failed.values() if isinstance(error, Refusal)]
    if refusals:
        return refusals[-1]
    said = [f"{party} is silent" for party in late] + [f"{party}: {error}" for party, error in failed.items()]
    return SiteLost("; ".join([f"fewer than {needed} share holders answer in round {number}", *said]))


_: type[Decryptor] = ShareHolders
