"""What a hospital asks of the exchange."""

from typing import Protocol

from hdex.node.contract_record import ContractRecord
from hdex.node.signed import Envelope


class Exchange(Protocol):
    """The exchange as a provider uses it. Every call may be sent again. Raises PeerUnavailable and RemoteRefused."""

    def publish(self, manifest: Envelope) -> str:
        """List a product and return its manifest's digest."""
        ...

    def amend(self, step: Envelope) -> str:
        """Tell a step of a product version's life and return how the version stands there now."""
        ...

    def submit_decision(self, contract_id: str, rule: str, next_step: str) -> ContractRecord:
        """Tell a consumer that a person refused."""
        ...

    def submit_agreement(self, agreement: Envelope) -> ContractRecord:
        """Hand over the agreement this provider has signed."""
        ...

    def require_offers(self, contract_id: str) -> None:
        """Raise AccessDenied unless this contract's consumer can be told of an offer."""
        ...

    def submit_offer(self, offer: Envelope) -> ContractRecord:
        """Hand over an offer that answers a consumer's request."""
        ...

    def revoke(self, contract_id: str, reason: str) -> ContractRecord:
        """Tell that a licence has ended."""
        ...
