"""What the exchange asks of the hospitals and the key holder."""

from collections.abc import Sequence
from typing import Protocol

from hdex.federated.dealing import DealtKey
from hdex.federated.ports import Channel, OpenedSum
from hdex.node.contract_record import ContractRecord
from hdex.node.signed import Envelope


class Providers(Protocol):
    """The hospitals' nodes, each named by its id in the directory. Raises PeerUnavailable and RemoteRefused."""

    def consider(self, provider: str, request: Envelope) -> ContractRecord:
        """Return what the provider's rules say of a request: TERMINATED with the rule, or REQUESTED for a person."""
        ...

    def confirm(self, provider: str, agreement: Envelope) -> ContractRecord:
        """Return the provider's record once it accepts an agreement that both have signed: FINALIZED."""
        ...

    def withdraw(self, provider: str, termination: Envelope) -> ContractRecord:
        """Tell that the consumer has ended a negotiation and return the provider's record: TERMINATED."""
        ...


class SumOpening(Protocol):
    """The key holder while a study runs. Raises PeerUnavailable and RemoteRefused."""

    def open_sum(self, study: Envelope, round_number: int, contributions: list[bytes]) -> OpenedSum:
        """Return the sum over the whole roster, or the quorum, of a signed study, with its proof."""
        ...


class KeyHolding(SumOpening, Protocol):
    """The key holder. Raises PeerUnavailable and RemoteRefused."""

    def create_key(self, study_id: str) -> str:
        """Return the modulus of a study's key as hex; the same at every call."""
        ...

    def deal_key(self, study_id: str, parties: Sequence[str], needed: int) -> DealtKey:
        """Return a study's key, shared among `parties` (ids, sorted) and signed; the same at every call."""
        ...


class SiteChannels(Protocol):
    """The streams that the sites hold open."""

    def open(self, study_id: str) -> Channel:
        """Return the channel of one study."""
        ...

    def close(self, study_id: str) -> None:
        """Forget it."""
        ...
