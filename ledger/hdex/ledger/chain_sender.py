"""Brings one account's transactions into blocks: nonces from the chain, and a higher price where one is stuck.

A nonce is never remembered, so a crash leaves no gap. A transaction that no block takes is sent again under its own
nonce with a higher price; after a restart the one that is stuck is found because the chain counts it as pending and
never as mined.
"""

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import Enum, auto
from typing import Generic, Protocol, TypeVar

from hdex.ledger.errors import ChainUnavailable

Receipt = TypeVar("Receipt")
Receipt_co = TypeVar("Receipt_co", covariant=True)
NONCE_ATTEMPTS = 8


class Outcome(Enum):
    """What the chain said to a transaction."""

    ACCEPTED = auto()
    NONCE_TAKEN = auto()  # another process of this account was faster
    UNDERPRICED = auto()  # one with this nonce waits already and pays as much


class Account(Protocol):
    """What the chain says to an account before it sends."""

    def nonce(self, *, pending: bool) -> int:
        """Return the account's next nonce, after what is mined or also after what waits."""
        ...

    def gas_price(self) -> int:
        """Return a price that the next blocks take, in wei."""
        ...


class Pool(Account, Protocol[Receipt_co]):
    """One call of one account, ready to be signed with any nonce and price."""

    def send(self, nonce: int, gas_price: int) -> tuple[bytes, Outcome]:
        """Sign and send; return the transaction's hash and what the chain said."""
        ...

    def receipt(self, tx_hash: bytes) -> Receipt_co | None:
        """Return the receipt of a mined transaction, None while it waits."""
        ...


class Batch(Account, Protocol[Receipt_co]):
    """Several calls of one account, asked about and sent in one round trip."""

    def send_all(self, nonce: int, gas_price: int) -> list[bytes]:
        """Sign each with the next nonce, from `nonce` on; send, and return the hashes that the chain took."""
        ...

    def receipts(self, hashes: Sequence[bytes]) -> Sequence[Receipt_co]:
        """Return the receipts of those that are mined."""
        ...


@dataclass(frozen=True, slots=True)
class Patience:
    """Seconds: between looks for a receipt and for the nonce, until a price is raised, until the caller is told."""

    poll: float = 0.02  # web3's own 0.1 s is five times a block of the embedded chain
    notice: float = 1.0  # between looks whether another client of this account used our nonce
    replace: float = 20.0
    give_up: float = 60.0


class Sender(Generic[Receipt]):
    """One account's nonces; threads of one process may share it."""

    def __init__(self, patience: Patience, clock: Callable[[], float], pause: Callable[[float], object]) -> None:
        """clock: seconds that never go back; pause: wait so many seconds."""
        self._patience, self._clock, self._pause = patience, clock, pause
        self._lock = threading.Lock()  # owns _stalled and the step from reading the nonce to sending with it
        self._stalled: tuple[int, float] | None = None  # the lowest nonce that is sent and not mined, seen since

    def mined(self, pool: Pool[Receipt]) -> Receipt:
        """Return the receipt of the call, mined once. Raises ChainUnavailable when no block takes it in time."""
        began = raised_at = looked_at = self._clock()
        nonce, price, sent = self._submit(pool)
        while True:
            for tx_hash in sent:
                receipt = pool.receipt(tx_hash)
                if receipt is not None:
                    return receipt
            now = self._clock()
            if now - began >= self._patience.give_up:
                self._note_stalled(pool, began)
                raise ChainUnavailable(f"the transaction was not mined within {self._patience.give_up:g} s")
            if now - raised_at >= self._patience.replace:
                raised_at = looked_at = now
                nonce, price, sent = self._again(pool, nonce, price, sent)
            elif now - looked_at >= self._patience.notice:
                looked_at, held = now, nonce
                nonce, price, sent = self._noticed(pool, nonce, price, sent)
                raised_at = raised_at if nonce == held else now
            self._pause(self._patience.poll)

    def mined_together(self, batch: Batch[Receipt]) -> Sequence[Receipt]:
        """Return the receipts of the calls of a batch that the chain took; where it takes too long, all pay more.

        Nothing is sent while an earlier transaction waits. Whoever asks looks what stands and sends the rest through
        `mined`. Raises ChainUnavailable when no block takes them in time.
        """
        began = raised_at = self._clock()
        price = batch.gas_price()
        with self._lock:
            nonce = batch.nonce(pending=True)
            if nonce > batch.nonce(pending=False):
                return []
            self._stalled = None
            sent = batch.send_all(nonce, price)
        count = len(sent)
        while len(found := batch.receipts(sent)) < count:
            now = self._clock()
            if now - began >= self._patience.give_up:
                self._note_stalled(batch, began)
                raise ChainUnavailable(f"{count} transactions were not mined within {self._patience.give_up:g} s")
            if now - raised_at >= self._patience.replace:
                raised_at, price = now, max(higher(price), batch.gas_price())
                sent += batch.send_all(nonce, price)  # those that are mined are refused: their nonces are taken
            self._pause(self._patience.poll)
        return found

    def _submit(self, pool: Pool[Receipt]) -> tuple[int, int, list[bytes]]:
        """Return nonce, price and hash of the transaction that the chain took."""
        price = pool.gas_price()
        for _ in range(NONCE_ATTEMPTS):
            with self._lock:
                nonce, replaces = self._nonce(pool)
                tx_hash, outcome = pool.send(nonce, price)
            if outcome is Outcome.ACCEPTED:
                return nonce, price, [tx_hash]
            if replaces:
                price += higher(price)  # nobody tells what the stuck one pays
        raise ChainUnavailable("other processes of this account took every nonce, or one that is stuck outbids us")

    def _nonce(self, pool: Pool[Receipt]) -> tuple[int, bool]:
        """Return the nonce to use, and whether it replaces one that is stuck."""
        mined, pending = pool.nonce(pending=False), pool.nonce(pending=True)
        if pending <= mined:
            self._stalled = None
            return pending, False
        now = self._clock()
        if self._stalled is None or self._stalled[0] != mined:
            self._stalled = (mined, now)
        stuck = now - self._stalled[1] >= self._patience.replace
        return (mined, True) if stuck else (pending, False)

    def _note_stalled(self, account: Account, since: float) -> None:
        """Let the next call replace what this one left waiting."""
        mined = account.nonce(pending=False)
        with self._lock:
            if self._stalled is None or self._stalled[0] != mined:
                self._stalled = (mined, since)

    def _again(self, pool: Pool[Receipt], nonce: int, price: int, sent: list[bytes]) -> tuple[int, int, list[bytes]]:
        """Pay more under the same nonce; under a new one where another transaction used ours."""
        if pool.nonce(pending=False) > nonce:
            return self._noticed(pool, nonce, price, sent)
        price = max(higher(price), pool.gas_price())
        tx_hash, outcome = pool.send(nonce, price)
        return nonce, price, [*sent, tx_hash] if outcome is Outcome.ACCEPTED else sent

    def _noticed(self, pool: Pool[Receipt], nonce: int, price: int, sent: list[bytes]) -> tuple[int, int, list[bytes]]:
        """Return what waits: the same, or sent anew where another client's transaction was mined under our nonce.

        The nonce is asked first and the receipts afterwards: between the two our own may be mined.
        """
        if pool.nonce(pending=False) <= nonce or any(pool.receipt(tx_hash) is not None for tx_hash in sent):
            return nonce, price, sent
        return self._submit(pool)


def higher(price: int) -> int:
    """Return a price that every client takes as a replacement: they ask for an eighth or a tenth more."""
    return price + price // 4 + 1
