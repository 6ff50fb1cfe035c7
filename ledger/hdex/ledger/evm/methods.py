"""The JSON-RPC methods that a stock Web3(HTTPProvider) needs, each a few lines over the embedded chain."""

from collections.abc import Callable, Mapping, Sequence
from typing import cast

from eth.abc import BlockHeaderAPI, ComputationAPI
from eth.exceptions import Revert
from eth.vm.spoof import SpoofTransaction
from eth_typing import Address

from hdex.ledger.evm import views
from hdex.ledger.evm.miner import Miner
from hdex.ledger.evm.refusal import INVALID_PARAMS, METHOD_NOT_FOUND, REVERTED, SERVER_ERROR, RpcError
from hdex.ledger.evm.store import LogRow
from hdex.ledger.evm.vm import TRANSACTION_GAS

Json = object
Params = Sequence[Json]
Method = Callable[[Miner, Params], Json]
METHODS: dict[str, Method] = {}
CLIENT = "hdex-embedded/1"
FEE_HISTORY_BLOCKS = 1024


def method(name: str) -> Callable[[Method], Method]:
    """Enter a function into the table of methods."""

    def enter(function: Method) -> Method:
        METHODS[name] = function
        return function

    return enter


def require_method(name: str) -> str:
    """Return the name of a method that exists."""
    if name not in METHODS:
        raise RpcError(METHOD_NOT_FOUND, f"the method {name[:64]} does not exist")
    return name


# reading parameters


def text(params: Params, index: int, default: str | None = None) -> str:
    """Return a string parameter."""
    value = params[index] if index < len(params) else None
    if value is None:
        value = default
    if not isinstance(value, str):
        raise RpcError(INVALID_PARAMS, f"parameter {index} must be a string")
    return value


def table(params: Params, index: int) -> Mapping[str, Json]:
    """Return an object parameter."""
    if index < len(params) and isinstance(params[index], dict):
        return cast("Mapping[str, Json]", params[index])
    raise RpcError(INVALID_PARAMS, f"parameter {index} must be an object")


def octets(value: Json, length: int | None = None) -> bytes:
    """Return the bytes of a 0x hex value."""
    try:
        if not isinstance(value, str) or not value.startswith("0x"):
            raise ValueError
        found = bytes.fromhex(value[2:])
    except ValueError as error:
        raise RpcError(INVALID_PARAMS, "bytes are written as 0x and an even number of hex digits") from error
    if length is not None and len(found) != length:
        raise RpcError(INVALID_PARAMS, f"{length} bytes are expected, found {len(found)}")
    return found


def number(value: Json) -> int:
    """Return the integer of a 0x hex quantity."""
    try:
        return value if isinstance(value, int) else int(cast(str, value), 16)
    except (TypeError, ValueError) as error:
        raise RpcError(INVALID_PARAMS, "a quantity is written as 0x and hex digits") from error


def block_number(chain: Miner, tag: Json) -> int:
    """Return the number of a block tag: every mined block is final here."""
    if tag in (None, "latest", "pending", "safe", "finalized"):
        return chain.head().block_number
    return 0 if tag == "earliest" else number(tag)


def state_header(chain: Miner, params: Params, index: int) -> BlockHeaderAPI:
    """Return the header whose state a call asks about."""
    found = chain.header(block_number(chain, params[index] if index < len(params) else None))
    if found is None:
        raise RpcError(SERVER_ERROR, "header not found")
    return found


# the chain


@method("web3_clientVersion")
def client_version(_chain: Miner, _params: Params) -> Json:
    return CLIENT


@method("eth_chainId")
def chain_id(chain: Miner, _params: Params) -> Json:
    return views.quantity(chain.chain_id)


@method("net_version")
def net_version(chain: Miner, _params: Params) -> Json:
    return str(chain.chain_id)


@method("eth_syncing")
@method("net_listening")
def syncing(_chain: Miner, _params: Params) -> Json:
    return False


@method("eth_accounts")
def accounts(_chain: Miner, _params: Params) -> Json:
    return []  # keys stay with their nodes


@method("eth_blockNumber")
def head_number(chain: Miner, _params: Params) -> Json:
    return views.quantity(chain.head().block_number)


@method("eth_gasPrice")
@method("eth_maxPriorityFeePerGas")
def gas_price(_chain: Miner, _params: Params) -> Json:
    return "0x0"


@method("eth_feeHistory")
def fee_history(chain: Miner, params: Params) -> Json:
    newest = block_number(chain, params[1] if len(params) > 1 else None)
    count = max(1, min(number(params[0]) if params else 1, newest + 1, FEE_HISTORY_BLOCKS))
    percentiles = params[2] if len(params) > 2 and isinstance(params[2], list) else []
    return {
        "oldestBlock": views.quantity(newest + 1 - count),
        "baseFeePerGas": ["0x0"] * (count + 1),
        "gasUsedRatio": [0.0] * count,
        "reward": [["0x0"] * len(percentiles)] * count,
    }


# blocks and transactions


@method("eth_getBlockByNumber")
def block_by_number(chain: Miner, params: Params) -> Json:
    header = chain.header(block_number(chain, text(params, 0)))
    full = len(params) > 1 and params[1] is True
    return None if header is None else views.block_view(chain.block(header), full=full)


@method("eth_getBlockByHash")
def block_by_hash(chain: Miner, params: Params) -> Json:
    header = chain.header_by_hash(octets(text(params, 0), 32))
    full = len(params) > 1 and params[1] is True
    return None if header is None else views.block_view(chain.block(header), full=full)


@method("eth_getTransactionByHash")
def transaction_by_hash(chain: Miner, params: Params) -> Json:
    found = chain.transaction(octets(text(params, 0), 32))
    return None if found is None else views.transaction_view(found[0], found[2])


@method("eth_getTransactionReceipt")
def receipt_by_hash(chain: Miner, params: Params) -> Json:
    found = chain.transaction(octets(text(params, 0), 32))
    if found is None:
        return None
    transaction, receipt, header = found
    logs = list(chain.logs(header.block_number, header.block_number, ()))
    return views.receipt_view(transaction, receipt, header, logs)


@method("eth_getBlockReceipts")
def block_receipts(chain: Miner, params: Params) -> Json:
    header = block_of(chain, text(params, 0))
    found = None if header is None else chain.block(header)
    return None if found is None else [receipt_by_hash(chain, [views.data(tx.hash)]) for tx in found.transactions]


@method("eth_getBlockTransactionCountByNumber")
@method("eth_getBlockTransactionCountByHash")
def transactions_in_block(chain: Miner, params: Params) -> Json:
    header = block_of(chain, text(params, 0))
    return None if header is None else views.quantity(len(chain.block(header).transactions))


@method("eth_getTransactionByBlockNumberAndIndex")
@method("eth_getTransactionByBlockHashAndIndex")
def transaction_in_block(chain: Miner, params: Params) -> Json:
    header, index = block_of(chain, text(params, 0)), number(text(params, 1))
    transactions = [] if header is None else chain.block(header).transactions
    if header is None or not 0 <= index < len(transactions):
        return None
    return views.transaction_view(transactions[index], header)


def block_of(chain: Miner, named: str) -> BlockHeaderAPI | None:
    """Return the header of a block named by its hash, its number or a tag."""
    is_hash = named.startswith("0x") and len(named) == 66
    return chain.header_by_hash(octets(named, 32)) if is_hash else chain.header(block_number(chain, named))


@method("eth_sendRawTransaction")
def send_raw(chain: Miner, params: Params) -> Json:
    return views.data(chain.send(octets(text(params, 0))))


@method("eth_getLogs")
def get_logs(chain: Miner, params: Params) -> Json:
    wanted = table(params, 0)
    if "blockHash" in wanted:
        header = chain.header_by_hash(octets(wanted["blockHash"], 32))
        if header is None:
            raise RpcError(SERVER_ERROR, "header not found")
        first: int = header.block_number
        last = first
    else:
        first = block_number(chain, wanted.get("fromBlock"))
        last = block_number(chain, wanted.get("toBlock"))
    named = wanted.get("address") or []
    addresses = [octets(address, 20) for address in ([named] if isinstance(named, str) else cast("list[Json]", named))]
    topics = cast("list[Json]", wanted.get("topics") or [])
    return [views.log_view(row) for row in chain.logs(first, last, addresses) if matches(row, topics)]


def matches(row: LogRow, topics: Sequence[Json]) -> bool:
    """Return whether an event has these topics: null is any, a list is one of."""
    if len(topics) > len(row.topics):
        return False
    return all(
        wanted is None or found in [str(one).lower() for one in (wanted if isinstance(wanted, list) else [wanted])]
        for wanted, found in zip(topics, row.topics, strict=False)
    )


# state


def account(params: Params) -> Address:
    """Return the address that is asked about."""
    return Address(octets(text(params, 0), 20))


@method("eth_getBalance")
def balance(chain: Miner, params: Params) -> Json:
    with chain.state(state_header(chain, params, 1)) as state:
        return views.quantity(state.get_balance(octets(text(params, 0), 20)))  # type: ignore[arg-type]


@method("eth_getTransactionCount")
def transaction_count(chain: Miner, params: Params) -> Json:
    with chain.state(state_header(chain, params, 1)) as state:
        return views.quantity(state.get_nonce(octets(text(params, 0), 20)))  # type: ignore[arg-type]


@method("eth_getCode")
def code(chain: Miner, params: Params) -> Json:
    with chain.state(state_header(chain, params, 1)) as state:
        return views.data(state.get_code(octets(text(params, 0), 20)))  # type: ignore[arg-type]


@method("eth_getStorageAt")
def storage_at(chain: Miner, params: Params) -> Json:
    with chain.state(state_header(chain, params, 2)) as state:
        value = state.get_storage(account(params), number(text(params, 1)))
        return f"0x{value:064x}"


@method("eth_call")
def call(chain: Miner, params: Params) -> Json:
    computation = chain.call(message(chain, table(params, 0)), state_header(chain, params, 1))
    require_success(computation)
    return views.data(computation.output)


@method("eth_estimateGas")
def estimate_gas(chain: Miner, params: Params) -> Json:
    """One run with all gas, then a quarter more: a call may keep back a 64th at each depth (EIP-150)."""
    asked = message(chain, table(params, 0))
    computation = chain.call(asked, chain.head())
    require_success(computation)
    used = asked.gas - computation.get_gas_remaining()
    return views.quantity(min(TRANSACTION_GAS, used + used // 4))


def message(chain: Miner, fields: Mapping[str, Json]) -> SpoofTransaction:
    """Return what eth_call and eth_estimateGas ask to run."""
    given = fields.get("input", fields.get("data")) or "0x"
    gas = number(fields["gas"]) if fields.get("gas") is not None else TRANSACTION_GAS
    return chain.message(
        octets(fields["from"], 20) if fields.get("from") else bytes(20),
        octets(fields["to"], 20) if fields.get("to") else b"",
        data=octets(given),
        value=number(fields.get("value") or 0),
        gas=min(gas, TRANSACTION_GAS),
    )


def require_success(computation: ComputationAPI) -> None:
    """Raise what the EVM found, with the contract's own error as data."""
    if not computation.is_error:
        return
    if isinstance(computation.error, Revert):
        raise RpcError(REVERTED, "execution reverted", views.data(computation.output))
    raise RpcError(SERVER_ERROR, f"execution failed: {type(computation.error).__name__}")
