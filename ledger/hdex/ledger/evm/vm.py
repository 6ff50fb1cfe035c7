"""The rules of the embedded chain: Paris without fees, one transaction per block, block times from the clock."""

from typing import Any, cast

from eth.abc import BlockHeaderAPI, MiningChainAPI
from eth.chains.base import MiningChain
from eth.rlp.headers import BlockHeader
from eth.vm.forks.paris import ParisVM

BLOCK_GAS = 30_000_000
TRANSACTION_GAS = BLOCK_GAS // 2 - 1  # a fuller block would raise the base fee from 0 to 1, for ever
FREE_GENESIS: dict[str, int | bytes] = {
    "difficulty": 0,
    "gas_limit": BLOCK_GAS,
    "base_fee_per_gas": 0,
    "extra_data": b"hdex embedded chain",
}


class FreeParisVM(ParisVM):
    """Paris, but the gas limit stays and two blocks may fall into one second (instant mining outruns whole seconds)."""

    @classmethod
    def create_header_from_parent(cls, parent_header: BlockHeaderAPI | None, **header_params: Any) -> BlockHeader:
        """Return the header of the next block with the gas limit of its parent."""
        if parent_header is not None:
            header_params["gas_limit"] = parent_header.gas_limit
        return cast(BlockHeader, ParisVM.create_header_from_parent(parent_header, **header_params))

    @classmethod
    def validate_header(cls, header: BlockHeaderAPI, parent_header: BlockHeaderAPI) -> None:
        """Check as Paris does, except that a block may carry its parent's time."""
        if parent_header is not None and header.timestamp == parent_header.timestamp > 0:
            parent_header = parent_header.copy(timestamp=parent_header.timestamp - 1)
        super().validate_header(header, parent_header)


def chain_class(chain_id: int) -> type[MiningChainAPI]:
    """Return the chain's class with this EIP-155 id."""
    rules = ((0, FreeParisVM),)
    return cast(
        "type[MiningChainAPI]",
        MiningChain.configure(__name__="EmbeddedMiningChain", vm_configuration=rules, chain_id=chain_id),
    )
