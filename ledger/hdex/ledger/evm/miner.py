"""Opens or makes the chain's file, mines each transaction at once, answers for its state. Not thread-safe."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Protocol, cast

from eth.abc import BlockAPI, BlockHeaderAPI, ComputationAPI, ReceiptAPI, SignedTransactionAPI, StateAPI
from eth.db.atomic import AtomicDB
from eth.exceptions import BlockNotFound, HeaderNotFound, PyEVMError, TransactionNotFound
from eth.typing import AccountDetails
from eth.vm.spoof import SpoofTransaction
from eth_keys.exceptions import BadSignature
from eth_typing import Address, BlockNumber, Hash32
from eth_utils.address import to_canonical_address
from eth_utils.exceptions import ValidationError
from rlp.exceptions import RLPException

from hdex.ledger.errors import ChainUnavailable, ChainWrong
from hdex.ledger.evm.refusal import SERVER_ERROR, RpcError
from hdex.ledger.evm.store import BlockStore, LogRow
from hdex.ledger.evm.vm import FREE_GENESIS, TRANSACTION_GAS, chain_class

BALANCE_WEI = 10**27


class Miner:
    """One chain in one file, written by one thread at a time."""

    def __init__(
        self, path: Path, genesis_accounts: Sequence[str] | None, clock: Callable[[], datetime], *, chain_id: int
    ) -> None:
        self._clock = clock
        self._store = BlockStore(path, create=genesis_accounts is not None)
        try:
            self._open(genesis_accounts, chain_id)
        except BaseException:
            self._store.close()
            raise

    def _open(self, genesis_accounts: Sequence[str] | None, chain_id: int) -> None:
        found = self._store.meta("chain_id")
        if found is None and genesis_accounts is None:
            raise ChainUnavailable("the chain's file holds no chain")
        if found is not None and int(found) != chain_id:
            raise ChainWrong(f"the file holds chain {found}, asked for {chain_id}")
        self.chain_id = chain_id
        self._class = chain_class(chain_id)
        self._db = AtomicDB(self._store)
        if found is None:
            self._make_genesis(genesis_accounts or ())
        self._chain = self._class(self._db)

    def _make_genesis(self, accounts: Sequence[str]) -> None:
        state = {
            to_canonical_address(account): AccountDetails(balance=BALANCE_WEI, nonce=0, code=b"", storage={})
            for account in accounts
        }
        genesis: dict[str, int | bytes | BlockNumber | Hash32 | None] = {**FREE_GENESIS, "timestamp": self._now()}
        with self._store.block():
            self._class.from_genesis(self._db, genesis, state)
            self._store.put_meta("chain_id", str(self.chain_id))

    def _now(self) -> int:
        return int(self._clock().timestamp())

    def close(self) -> None:
        """Let go of the file."""
        self._store.close()

    def head(self) -> BlockHeaderAPI:
        """Return the newest block's header."""
        return self._chain.get_canonical_head()

    def header(self, number: int) -> BlockHeaderAPI | None:
        """Return the header of a block, None beyond the head."""
        try:
            return self._chain.get_canonical_block_header_by_number(BlockNumber(number))
        except (HeaderNotFound, BlockNotFound):
            return None

    def block(self, header: BlockHeaderAPI) -> BlockAPI:
        """Return the block of a header."""
        return self._chain.get_block_by_header(header)

    def header_by_hash(self, block_hash: bytes) -> BlockHeaderAPI | None:
        """Return the header with this hash, None when unknown."""
        try:
            return self._chain.get_block_header_by_hash(Hash32(block_hash))
        except (HeaderNotFound, ValidationError):
            return None

    def transaction(self, tx_hash: bytes) -> tuple[SignedTransactionAPI, ReceiptAPI, BlockHeaderAPI] | None:
        """Return a mined transaction with its receipt and block, None when unknown."""
        try:
            number, index = self._chain.get_canonical_transaction_index(Hash32(tx_hash))
        except TransactionNotFound:
            return None
        transaction = self._chain.get_canonical_transaction_by_index(number, index)
        receipt = self._chain.get_transaction_receipt_by_index(number, index)
        return transaction, receipt, self._chain.get_canonical_block_header_by_number(number)

    @contextmanager
    def state(self, header: BlockHeaderAPI) -> Iterator[StateAPI]:
        """Lend the state after a block; what is done to it is forgotten."""
        with self._chain.get_vm(header).in_costless_state() as state:
            yield state

    def logs(self, first: int, last: int, addresses: Sequence[bytes]) -> Iterator[LogRow]:
        """Return events in chain order."""
        return self._store.logs(first, last, addresses)

    def call(self, message: SpoofTransaction, header: BlockHeaderAPI) -> ComputationAPI:
        """Run a message on the state after a block and forget what it did."""
        try:
            with self.state(header) as state:
                return state.costless_execute_transaction(cast(SignedTransactionAPI, message))
        except ValidationError as error:
            raise RpcError(SERVER_ERROR, f"the call is not valid: {error}") from error

    def message(self, sender: bytes, to: bytes, *, data: bytes, value: int, gas: int) -> SpoofTransaction:
        """Return an unsigned transaction that can be run by `call`."""
        vm = self._chain.get_vm(self.head())
        nonce = vm.state.get_nonce(Address(sender))
        unsigned = vm.create_unsigned_transaction(
            nonce=nonce, gas_price=0, gas=gas, to=Address(to), value=value, data=data
        )
        return SpoofTransaction(unsigned, from_=sender)

    def send(self, raw: bytes) -> bytes:
        """Mine one signed transaction into a block of its own; on return it is on disk. Return its hash."""
        transaction = self._decode(raw)
        self._require_sendable(transaction)
        try:
            with self._store.block():
                self._mine(transaction)
        except (ValidationError, PyEVMError) as error:
            self._chain = self._class(self._db)
            raise RpcError(SERVER_ERROR, f"the transaction is not valid: {error}") from error
        except BaseException:
            self._chain = self._class(self._db)  # its caches may hold what was rolled back
            raise
        return bytes(transaction.hash)

    def _decode(self, raw: bytes) -> SignedTransactionAPI:
        builder = self._chain.get_vm().get_transaction_builder()
        try:
            transaction = builder.decode(raw)
            transaction.check_signature_validity()
        except (RLPException, ValidationError, PyEVMError, BadSignature, ValueError, TypeError) as error:
            raise RpcError(SERVER_ERROR, "the raw transaction cannot be decoded") from error
        return transaction

    def _require_sendable(self, transaction: SignedTransactionAPI) -> None:
        if transaction.chain_id != self.chain_id:
            raise RpcError(SERVER_ERROR, f"invalid chain id: found {transaction.chain_id}, this is {self.chain_id}")
        if self.transaction(transaction.hash) is not None:
            raise RpcError(SERVER_ERROR, "already known")
        if transaction.gas > TRANSACTION_GAS:
            raise RpcError(SERVER_ERROR, f"exceeds block gas limit: {transaction.gas} asked, {TRANSACTION_GAS} allowed")
        with self.state(self.head()) as state:
            expected = state.get_nonce(transaction.sender)
        if transaction.nonce != expected:
            word = "low" if transaction.nonce < expected else "high"
            raise RpcError(SERVER_ERROR, f"nonce too {word}: found {transaction.nonce}, next is {expected}")

    def _mine(self, transaction: SignedTransactionAPI) -> None:
        self._chain.set_header_timestamp(max(self._now(), self.head().timestamp))  # a clock set back cannot go back
        result, receipts, _ = self._chain.mine_all([transaction])
        header = result.imported_block.header
        emitted = enumerate(receipts[0].logs)
        self._store.put_logs(
            [log_row(header, position, cast(EmittedLog, log), transaction.hash) for position, log in emitted]
        )


class EmittedLog(Protocol):
    """An event in a receipt."""

    address: bytes
    topics: Sequence[int]
    data: bytes


def log_row(header: BlockHeaderAPI, position: int, log: EmittedLog, tx: bytes) -> LogRow:
    """Return one emitted event for the index."""
    return LogRow(
        block=header.block_number,
        position=position,
        address=bytes(log.address),
        topics=tuple(f"0x{topic:064x}" for topic in log.topics),
        data=bytes(log.data),
        block_hash=bytes(header.hash),
        tx=bytes(tx),
        time=header.timestamp,
    )
