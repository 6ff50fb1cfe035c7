"""The embedded EVM: a chain of one operator, durable over kill -9. The only home of py-evm."""

from hdex.ledger.evm.embedded import DEFAULT_CHAIN_ID, EmbeddedChain

__all__ = ["DEFAULT_CHAIN_ID", "EmbeddedChain"]
