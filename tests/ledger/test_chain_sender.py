"""Nonces and stuck transactions: each call is mined exactly once, whatever the pool does and whoever shares it."""

from collections.abc import Sequence

import pytest

from hdex.ledger.chain_sender import NONCE_ATTEMPTS, Outcome, Patience, Sender, higher
from hdex.ledger.errors import ChainUnavailable


class Chain:
    """A pool and its blocks: takes what pays the base fee, in the order of nonces, when time passes."""

    def __init__(self) -> None:
        self.now = 0.0
        self.base_fee = 100
        self.mines = True
        self.waiting: dict[int, tuple[int, str]] = {}  # nonce -> price, what
        self.mined: list[tuple[int, str]] = []  # price, what; its index is the nonce

    def clock(self) -> float:
        return self.now

    def pause(self, seconds: float) -> None:
        self.now += seconds
        while self.mines and len(self.mined) in self.waiting and self.waiting[len(self.mined)][0] >= self.base_fee:
            self.mined.append(self.waiting.pop(len(self.mined)))

    def put(self, nonce: int, price: int, what: str) -> Outcome:
        if nonce < len(self.mined):
            return Outcome.NONCE_TAKEN
        held = self.waiting.get(nonce)
        if held is not None and price < held[0] + held[0] // 10:
            return Outcome.UNDERPRICED
        self.waiting[nonce] = (price, what)
        return Outcome.ACCEPTED

    def sender(self) -> Sender[str]:
        return Sender[str](Patience(poll=1, replace=20, give_up=100), self.clock, self.pause)


class Call:
    """One call named `what`."""

    def __init__(self, chain: Chain, what: str, price: int | None = None) -> None:
        self.chain, self.what, self.price = chain, what, price

    def nonce(self, *, pending: bool) -> int:
        nonce = len(self.chain.mined)
        while pending and nonce in self.chain.waiting:
            nonce += 1
        return nonce

    def gas_price(self) -> int:
        return self.price if self.price is not None else self.chain.base_fee

    def send(self, nonce: int, gas_price: int) -> tuple[bytes, Outcome]:
        return f"{self.what} {nonce} {gas_price}".encode(), self.chain.put(nonce, gas_price, self.what)

    def receipt(self, tx_hash: bytes) -> str | None:
        what, nonce, price = tx_hash.decode().rsplit(" ", 2)
        mined = self.chain.mined
        return what if int(nonce) < len(mined) and mined[int(nonce)] == (int(price), what) else None


class Together:
    """Calls of these names as one batch."""

    def __init__(self, chain: Chain, *names: str, price: int | None = None) -> None:
        self.calls = [Call(chain, name, price) for name in names]

    def nonce(self, *, pending: bool) -> int:
        return self.calls[0].nonce(pending=pending)

    def gas_price(self) -> int:
        return self.calls[0].gas_price()

    def send_all(self, nonce: int, gas_price: int) -> list[bytes]:
        sent = [call.send(number, gas_price) for number, call in enumerate(self.calls, nonce)]
        return [tx_hash for tx_hash, outcome in sent if outcome is Outcome.ACCEPTED]

    def receipts(self, hashes: Sequence[bytes]) -> list[str]:
        found = [self.calls[0].receipt(tx_hash) for tx_hash in hashes]
        return [one for one in found if one is not None]


def test_calls_sent_together_are_mined_each_once_and_in_order() -> None:
    chain = Chain()
    assert chain.sender().mined_together(Together(chain, "a", "b", "c")) == ["a", "b", "c"]
    assert [what for _, what in chain.mined] == ["a", "b", "c"]


def test_nothing_is_sent_together_while_an_earlier_one_waits() -> None:
    chain = Chain()
    chain.mines = False
    chain.put(0, 90, "stuck")
    assert chain.sender().mined_together(Together(chain, "a", "b")) == []
    assert list(chain.waiting) == [0]


def test_a_batch_that_pays_too_little_is_replaced_under_its_own_nonces() -> None:
    chain = Chain()
    chain.base_fee = 130
    assert chain.sender().mined_together(Together(chain, "a", "b", price=90)) == ["a", "b"]
    assert [what for _, what in chain.mined] == ["a", "b"]
    assert chain.now < 100


def test_whoever_sent_a_batch_that_no_block_takes_is_told() -> None:
    chain = Chain()
    chain.mines = False
    with pytest.raises(ChainUnavailable):
        chain.sender().mined_together(Together(chain, "a", "b"))


def test_a_transaction_that_pays_enough_is_mined_once() -> None:
    chain = Chain()
    sender = chain.sender()
    assert [sender.mined(Call(chain, what)) for what in ("a", "b")] == ["a", "b"]
    assert chain.mined == [(100, "a"), (100, "b")]


def test_one_that_pays_too_little_is_replaced_under_its_own_nonce() -> None:
    chain = Chain()
    chain.base_fee = 130
    assert chain.sender().mined(Call(chain, "a", price=90)) == "a"
    ((price, what),) = chain.mined
    assert (price >= 130, what) == (True, "a")
    assert chain.now < 100


def test_a_base_fee_that_rises_meanwhile_is_followed() -> None:
    chain = Chain()
    chain.mines = False
    call = Call(chain, "a")
    sender = chain.sender()
    with pytest.raises(ChainUnavailable, match="100 s"):
        sender.mined(call)
    assert list(chain.waiting) == [0]  # four prices, one nonce
    chain.mines, chain.base_fee = True, 5_000
    assert sender.mined(Call(chain, "b")) == "b"
    assert [what for _, what in chain.mined] == ["b"]  # what was stuck was replaced and cannot come later


def test_after_a_restart_what_is_stuck_is_found_and_replaced() -> None:
    chain = Chain()
    chain.base_fee = 1_000
    chain.put(0, 90, "of the process that died")
    sender = chain.sender()  # knows nothing
    with pytest.raises(ChainUnavailable):
        sender.mined(Call(chain, "a", price=1_000))  # waits behind it
    assert sender.mined(Call(chain, "b", price=1_000)) == "b"
    assert chain.mined[0] == (1_000, "b")


def test_a_stuck_one_that_pays_more_than_the_market_is_outbid() -> None:
    chain = Chain()
    chain.put(0, 400, "dear")
    chain.mines = False
    sender = chain.sender()
    with pytest.raises(ChainUnavailable):
        sender.mined(Call(chain, "a"))
    chain.put(0, 450, "dear")
    nonce, price, _ = sender._submit(Call(chain, "b"))
    assert (nonce, price >= 495) == (0, True)


def test_where_another_process_used_our_nonce_the_call_goes_out_again() -> None:
    chain = Chain()
    chain.mines = False
    call = Call(chain, "a")
    sender = chain.sender()
    nonce, price, sent = sender._submit(call)
    chain.waiting[0] = (500, "of another process")
    chain.mines = True
    chain.pause(1)
    nonce, price, sent = sender._again(call, nonce, price, sent)
    assert nonce == 1
    chain.pause(1)
    assert [what for _, what in chain.mined] == ["of another process", "a"]


def test_a_nonce_that_another_client_took_by_a_higher_price_is_noticed_within_a_second() -> None:
    chain = Chain()
    chain.base_fee = 200

    class Outbid(Call):
        def send(self, nonce: int, gas_price: int) -> tuple[bytes, Outcome]:
            answer = super().send(nonce, gas_price)
            if self.what == "ours" and nonce == 0:  # taken, then displaced before any block: nobody tells the caller
                chain.waiting[0] = (500, "theirs")
            return answer

    sender = Sender[str](Patience(poll=0.02), chain.clock, chain.pause)
    assert sender.mined(Outbid(chain, "ours")) == "ours"
    assert [what for _, what in chain.mined] == ["theirs", "ours"]
    assert chain.now < 1.1


def test_looking_at_the_nonce_sends_nothing_twice_while_a_block_is_slow() -> None:
    chain = Chain()
    chain.mines = False

    class Slow(Call):
        sends = 0

        def send(self, nonce: int, gas_price: int) -> tuple[bytes, Outcome]:
            self.sends += 1
            return super().send(nonce, gas_price)

        def nonce(self, *, pending: bool) -> int:
            chain.mines = chain.now > 7
            return super().nonce(pending=pending)

    call = Slow(chain, "a")
    assert Sender[str](Patience(poll=0.02), chain.clock, chain.pause).mined(call) == "a"
    assert call.sends == 1


def test_one_that_was_mined_while_we_looked_away_is_not_sent_again() -> None:
    chain = Chain()
    call, sender = Call(chain, "a"), chain.sender()
    nonce, price, sent = sender._submit(call)
    chain.pause(1)
    assert sender._again(call, nonce, price, sent) == (nonce, price, sent)
    assert chain.waiting == {}


def test_an_account_whose_every_nonce_is_taken_gives_up() -> None:
    chain = Chain()

    class Raced(Call):
        tries = 0

        def send(self, nonce: int, gas_price: int) -> tuple[bytes, Outcome]:
            self.tries += 1
            return b"x 0 0", Outcome.NONCE_TAKEN

    raced = Raced(chain, "a")
    with pytest.raises(ChainUnavailable, match="took every nonce"):
        chain.sender().mined(raced)
    assert raced.tries == NONCE_ATTEMPTS


def test_a_replacement_pays_more_than_any_client_asks_for() -> None:
    for price in (0, 1, 7, 100, 10**9):
        assert higher(price) > price + price // 8
