"""The embedded EVM: a chain of one operator, durable over kill -9. The only home of py-evm."""

import sys

_limit = sys.getrecursionlimit()

from hdex.ledger.evm.embedded import DEFAULT_CHAIN_ID, EmbeddedChain  # noqa: E402  # the limit is read before py-evm is

# py-evm raises the limit to 100,000 for calls nested 1,024 deep, which our contract never makes; with that limit any
# deeply nested text crashes the whole process instead of raising RecursionError.
sys.setrecursionlimit(_limit)

__all__ = ["DEFAULT_CHAIN_ID", "EmbeddedChain"]
