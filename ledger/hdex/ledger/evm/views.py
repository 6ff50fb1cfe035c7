"""Blocks, transactions, receipts and logs as JSON-RPC shows them."""

import rlp
from eth._utils.address import generate_contract_address
from eth.abc import BlockAPI, BlockHeaderAPI, ReceiptAPI, SignedTransactionAPI
from eth_utils.address import to_checksum_address

from hdex.ledger.evm.store import LogRow


def quantity(value: int) -> str:
    """Return an integer as JSON-RPC writes it: no leading zeros."""
    return hex(value)


def data(value: bytes) -> str:
    """Return bytes as JSON-RPC writes them."""
    return "0x" + value.hex()


def bloom(value: int) -> str:
    """Return a bloom filter, 256 bytes."""
    return f"0x{value:0512x}"


def block_view(block: BlockAPI, *, full: bool) -> dict[str, object]:
    """Return a block with its transactions' hashes, or with the transactions."""
    header = block.header
    hashes: list[object] = [data(transaction.hash) for transaction in block.transactions]
    whole: list[object] = [transaction_view(transaction, header) for transaction in block.transactions]
    return {
        "number": quantity(header.block_number),
        "hash": data(header.hash),
        "parentHash": data(header.parent_hash),
        "nonce": data(header.nonce),
        "mixHash": data(header.mix_hash),
        "sha3Uncles": data(header.uncles_hash),
        "logsBloom": bloom(header.bloom),
        "transactionsRoot": data(header.transaction_root),
        "stateRoot": data(header.state_root),
        "receiptsRoot": data(header.receipt_root),
        "miner": to_checksum_address(header.coinbase),
        "difficulty": quantity(header.difficulty),
        "totalDifficulty": "0x0",
        "extraData": data(header.extra_data),
        "size": quantity(len(rlp.encode(block))),
        "gasLimit": quantity(header.gas_limit),
        "gasUsed": quantity(header.gas_used),
        "baseFeePerGas": quantity(header.base_fee_per_gas or 0),
        "timestamp": quantity(header.timestamp),
        "transactions": whole if full else hashes,
        "uncles": [],
    }


def transaction_view(transaction: SignedTransactionAPI, header: BlockHeaderAPI) -> dict[str, object]:
    """Return a mined transaction; every block holds exactly one."""
    kind = getattr(transaction, "type_id", 0) or 0
    signature_v = transaction.y_parity if kind else transaction.v  # type: ignore[attr-defined]  # legacy only
    view: dict[str, object] = {
        "hash": data(transaction.hash),
        "type": quantity(kind),
        "chainId": quantity(transaction.chain_id or 0),
        "nonce": quantity(transaction.nonce),
        "blockHash": data(header.hash),
        "blockNumber": quantity(header.block_number),
        "transactionIndex": "0x0",
        "from": to_checksum_address(transaction.sender),
        "to": to_checksum_address(transaction.to) if transaction.to else None,
        "value": quantity(transaction.value),
        "gas": quantity(transaction.gas),
        "gasPrice": quantity(effective_price(transaction, header)),
        "input": data(transaction.data),
        "v": quantity(signature_v),
        "r": quantity(transaction.r),
        "s": quantity(transaction.s),
    }
    return view | fee_view(transaction, kind)


def fee_view(transaction: SignedTransactionAPI, kind: int) -> dict[str, object]:
    """Return the fields that only typed transactions have."""
    if kind == 0:
        return {}
    accesses = [
        {"address": to_checksum_address(account), "storageKeys": [f"0x{key:064x}" for key in keys]}
        for account, keys in transaction.access_list
    ]
    fees: dict[str, object] = {
        "maxFeePerGas": quantity(transaction.max_fee_per_gas),
        "maxPriorityFeePerGas": quantity(transaction.max_priority_fee_per_gas),
    }
    view: dict[str, object] = {"accessList": accesses, "yParity": quantity(transaction.y_parity)}
    return view | fees if kind == 2 else view


def effective_price(transaction: SignedTransactionAPI, header: BlockHeaderAPI) -> int:
    """Return the price per gas that was paid (EIP-1559)."""
    base = header.base_fee_per_gas or 0
    return min(transaction.max_fee_per_gas, transaction.max_priority_fee_per_gas + base)


def receipt_view(
    transaction: SignedTransactionAPI, receipt: ReceiptAPI, header: BlockHeaderAPI, logs: list[LogRow]
) -> dict[str, object]:
    """Return what became of a transaction."""
    created = None if transaction.to else generate_contract_address(transaction.sender, transaction.nonce)
    return {
        "transactionHash": data(transaction.hash),
        "transactionIndex": "0x0",
        "blockHash": data(header.hash),
        "blockNumber": quantity(header.block_number),
        "from": to_checksum_address(transaction.sender),
        "to": to_checksum_address(transaction.to) if transaction.to else None,
        "contractAddress": to_checksum_address(created) if created else None,
        "cumulativeGasUsed": quantity(receipt.gas_used),
        "gasUsed": quantity(receipt.gas_used),
        "effectiveGasPrice": quantity(effective_price(transaction, header)),
        "logs": [log_view(log) for log in logs],
        "logsBloom": bloom(receipt.bloom),
        "status": "0x1" if receipt.state_root == b"\x01" else "0x0",
        "type": quantity(getattr(transaction, "type_id", 0) or 0),
    }


def log_view(log: LogRow) -> dict[str, object]:
    """Return one emitted event."""
    return {
        "address": to_checksum_address(log.address),
        "topics": list(log.topics),
        "data": data(log.data),
        "blockNumber": quantity(log.block),
        "blockHash": data(log.block_hash),
        "blockTimestamp": quantity(log.time),
        "transactionHash": data(log.tx),
        "transactionIndex": "0x0",
        "logIndex": quantity(log.position),
        "removed": False,
    }
