"""One account over web3: signs its calls, sends them one by one or many in a round trip, and sees them mined."""

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, cast

from eth_account import Account
from eth_typing import Hash32
from web3 import HTTPProvider, Web3
from web3.exceptions import TransactionNotFound, Web3RPCError
from web3.types import Nonce, RPCEndpoint, TxParams, TxReceipt

from hdex.ledger.chain_sender import Outcome, Patience, Sender
from hdex.ledger.errors import ChainRefused, ChainWrong

KNOWN_WORDS = ("already known", "known transaction", "already imported")
NONCE_WORDS = ("nonce too", "nonce_too", "nonce is too")
PRICE_WORDS = ("underpriced", "replacement transaction")
Fields = Mapping[str, Any]


def ask_all(web3: Web3, method: str, params: Sequence[Sequence[object]]) -> list[Fields]:
    """Return the JSON-RPC answers to one method under many params, in their order, from one round trip."""
    answers = cast(HTTPProvider, web3.provider).make_batch_request([(RPCEndpoint(method), one) for one in params])
    if not isinstance(answers, list) or len(answers) != len(params):
        raise ChainWrong("what answers does not answer each call of a batch")
    return cast("list[Fields]", answers)


class Payer:
    """One account and what the chain says of it."""

    def __init__(self, web3: Web3, key: bytes) -> None:
        self._web3, self._account = web3, Account.from_key(key)

    def nonce(self, *, pending: bool) -> int:
        return self._web3.eth.get_transaction_count(self._account.address, "pending" if pending else "latest")

    def gas_price(self) -> int:
        price = self._web3.eth.gas_price
        return price + price // 4  # the base fee may rise by an eighth per block


class Call(Payer):
    """One call of one account as chain_sender needs it. `build` makes a transaction of nonce, price and sender."""

    def __init__(self, web3: Web3, key: bytes, chain_id: int, build: Callable[[TxParams], TxParams]) -> None:
        super().__init__(web3, key)
        sender = self._account.address
        self._fields = build({"from": sender, "chainId": chain_id, "gasPrice": Web3.to_wei(0, "wei")})

    def send(self, nonce: int, gas_price: int) -> tuple[bytes, Outcome]:
        fields: TxParams = {**self._fields, "nonce": Nonce(nonce), "gasPrice": Web3.to_wei(gas_price, "wei")}
        signed = self._account.sign_transaction(fields)
        tx_hash = bytes(signed.hash)
        try:
            self._web3.eth.send_raw_transaction(signed.raw_transaction)
        except Web3RPCError as error:
            words = error.message.lower()
            if any(known in words for known in KNOWN_WORDS):
                return tx_hash, Outcome.ACCEPTED
            if any(word in words for word in PRICE_WORDS):
                return tx_hash, Outcome.UNDERPRICED
            if not any(word in words for word in NONCE_WORDS):
                raise
            return tx_hash, Outcome.NONCE_TAKEN if self.receipt(tx_hash) is None else Outcome.ACCEPTED
        return tx_hash, Outcome.ACCEPTED

    def receipt(self, tx_hash: bytes) -> TxReceipt | None:
        try:
            return self._web3.eth.get_transaction_receipt(Hash32(tx_hash))
        except TransactionNotFound:
            return None


class Calls(Payer):
    """Several calls of one account, alike but for their data, as chain_sender sends them together."""

    def __init__(self, web3: Web3, key: bytes, fields: TxParams, data: Sequence[str]) -> None:
        super().__init__(web3, key)
        self._all = [cast(TxParams, {**fields, "data": one, "value": 0}) for one in data]

    def send_all(self, nonce: int, gas_price: int) -> list[bytes]:
        priced = enumerate(({**one, "gasPrice": gas_price} for one in self._all), nonce)
        signed = [self._account.sign_transaction(cast(TxParams, {**one, "nonce": i})) for i, one in priced]
        raw = [["0x" + bytes(one.raw_transaction).hex()] for one in signed]
        answers = ask_all(self._web3, "eth_sendRawTransaction", raw)
        return [bytes(one.hash) for one, answer in zip(signed, answers, strict=True) if "error" not in answer]

    def receipts(self, hashes: Sequence[bytes]) -> list[TxReceipt]:
        if not hashes:
            return []
        answers = ask_all(self._web3, "eth_getTransactionReceipt", [["0x" + one.hex()] for one in hashes])
        found = [answer["result"] for answer in answers if answer.get("result")]
        return [cast(TxReceipt, {**one, "status": int(str(one["status"]), 16)}) for one in found]


class Wallet:
    """One account: signs its calls and sees each mined."""

    def __init__(self, web3: Web3, key: bytes, chain_id: int, patience: Patience) -> None:
        self._web3, self._key, self._chain_id = web3, key, chain_id
        self._sender = Sender[TxReceipt](patience, time.monotonic, time.sleep)
        self.address = Web3.to_checksum_address(Account.from_key(key).address)

    def mined(self, build: Callable[[TxParams], TxParams]) -> TxReceipt:
        """Send what `build` makes of the fields and return its receipt. Raises ChainRefused when it reverts."""
        receipt = self._sender.mined(Call(self._web3, self._key, self._chain_id, build))
        if receipt["status"] != 1:
            raise ChainRefused("the transaction was mined but reverted", rule="Reverted")
        return receipt

    def succeeded(self, to: str, data: Sequence[str], gas: int) -> int:
        """Send calls of one contract together and return how many are mined and did not revert."""
        fields = cast(TxParams, {"to": to, "chainId": self._chain_id, "gas": with_margin(gas)})
        receipts = self._sender.mined_together(Calls(self._web3, self._key, fields, data))
        return sum(one["status"] for one in receipts)


def with_margin(gas: int) -> int:
    """Return more gas than the estimate: the state may change before the transaction is mined."""
    return gas + gas // 5
