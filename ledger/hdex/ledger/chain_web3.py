"""The Chain port over any EVM chain by URL: ours, Besu in production, anvil in tests.

With chain_web3_wallet the only home of web3.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from json import JSONDecodeError
from typing import Any, cast

import requests
from eth_typing import HexStr
from web3 import HTTPProvider, Web3
from web3.contract import Contract
from web3.exceptions import (
    BadFunctionCallOutput,
    ContractLogicError,
    Web3Exception,
    Web3RPCError,
)
from web3.middleware import ExtraDataToPOAMiddleware

from hdex.ledger import contract
from hdex.ledger.chain_sender import Patience
from hdex.ledger.chain_web3_wallet import Fields, Wallet, ask_all, with_margin
from hdex.ledger.errors import AnchorAlarm, ChainRefused, ChainUnavailable, ChainWrong
from hdex.ledger.ports import Anchor, Chain, ChainRecord, NewGrant, TxRef

CALL_TIMEOUT_S = 5.0
PATIENCE = Patience()
METHOD_NOT_FOUND = -32601
BATCH = 50  # calls in one round trip; the embedded chain takes 100


@contextmanager
def translated() -> Iterator[None]:
    """Turn what web3 and its transport raise into this room's errors."""
    try:
        yield
    except ContractLogicError as error:
        rule = contract.error_rules().get(str(error.data)[:10], "Reverted")
        raise ChainRefused(f"the contract refuses: {rule}", rule=rule) from error
    except BadFunctionCallOutput as error:
        raise ChainWrong("the contract's answer cannot be read") from error
    except Web3RPCError as error:
        if rpc_code(error) == METHOD_NOT_FOUND:
            raise ChainWrong("what answers does not know the methods of an EVM chain") from error
        raise ChainUnavailable(f"the chain refuses to answer: {error.message}") from error
    except (Web3Exception, JSONDecodeError, UnicodeDecodeError) as error:
        raise ChainWrong(f"what answers is not an EVM chain: {type(error).__name__}") from error
    except OSError as error:  # requests' errors are OSErrors
        raise ChainUnavailable(f"the chain does not answer: {type(error).__name__}") from error


def rpc_code(error: Web3RPCError) -> int | None:
    """Return the JSON-RPC error code of a refusal."""
    found = (error.rpc_response or {}).get("error")
    return cast("dict[str, int]", found).get("code") if isinstance(found, dict) else None


def connect(url: str) -> Web3:
    """Return a client of this URL; nothing is sent yet. Proxies and .netrc of the environment are not used."""
    session = requests.Session()
    session.trust_env = False
    provider = HTTPProvider(
        url, request_kwargs={"timeout": CALL_TIMEOUT_S}, session=session, exception_retry_configuration=None
    )
    web3 = Web3(provider)
    web3.middleware_onion.inject(ExtraDataToPOAMiddleware, layer=0)  # QBFT headers carry more than 32 extra bytes
    # It asks for the chain id before every call: we ask when we connect, and what we sign names the chain.
    web3.middleware_onion.remove("validation")
    return web3


def deploy(url: str, account_key: bytes, operator: str, *, expect_chain_id: int) -> str:
    """Deploy the committed build and return its address; the account becomes the contract's first admin."""
    web3 = connect(url)
    with translated():
        require_chain_id(web3, expect_chain_id)
        made = contract.build()
        factory = web3.eth.contract(abi=cast(Any, list(made.abi)), bytecode=made.bytecode)
        constructor = factory.constructor(operator)
        wallet = Wallet(web3, account_key, expect_chain_id, PATIENCE)
        gas = constructor.estimate_gas({"from": wallet.address})
        receipt = wallet.mined(lambda fields: constructor.build_transaction({**fields, "gas": with_margin(gas)}))
    return str(receipt["contractAddress"])


def require_chain_id(web3: Web3, expected: int) -> None:
    """Raise ChainWrong unless the node is of this chain."""
    found = web3.eth.chain_id
    if found != expected:
        raise ChainWrong(f"found chain {found}, asked for {expected}")


class Web3Chain:
    """ExchangeLedger at one address, used with one account. Connects at first use, so a node starts without a chain.

    account_key: 32 bytes, None for one who only reads. Each write first asks whether the fact stands already.
    """

    def __init__(
        self,
        url: str,
        contract_address: str,
        account_key: bytes | None,
        expect_chain_id: int,
        *,
        patience: Patience = PATIENCE,
    ) -> None:
        self._web3 = connect(url)
        self._expect_chain_id = expect_chain_id
        self._address = Web3.to_checksum_address(contract_address)
        self._contract: Contract = self._web3.eth.contract(self._address, abi=cast(Any, list(contract.build().abi)))
        self._wallet = None if account_key is None else Wallet(self._web3, account_key, expect_chain_id, patience)
        self._checked = False
        self._since: int | None = None  # the block of deployment: no log lies before it
        self._times: dict[int, int] = {}  # block number -> seconds, where logs do not carry them

    def check(self) -> None:
        """Raise ChainWrong unless chain id and code are ours. Runs before the first call and after each outage."""
        with translated():
            require_chain_id(self._web3, self._expect_chain_id)
            code = bytes(self._web3.eth.get_code(self._address))
        if code != contract.build().deployed_bytecode:
            raise ChainWrong(f"the code at {self._address} is not the committed contract: {len(code)} bytes found")
        self._checked = True

    def chain_id(self) -> int:
        with self._ours():
            return self._web3.eth.chain_id

    def operator(self) -> str:
        with self._ours():
            return str(self._view("operator"))

    def enroll(self, node_id: str, address: str, log_key_hash: bytes) -> TxRef:
        with self._ours():
            return self._bind("enroll", node_id, address, contract.digest_word(log_key_hash))

    def rotate(self, node_id: str, address: str, log_key_hash: bytes) -> TxRef:
        """Bind a node to a new account and log key: the node itself or an admin."""
        with self._ours():
            return self._bind("rotate", node_id, address, contract.digest_word(log_key_hash))

    def anchor(self, node_id: str, size: int, root: bytes, note_hash: bytes) -> TxRef:
        node, shard = contract.shard_of(node_id)
        word, facts = contract.node_word(node), (shard, contract.size_word(size))
        with self._ours():
            standing = self._anchor_at(word, *facts)
            if standing is None:
                return self._write("anchor", word, *facts, contract.digest_word(root), contract.digest_word(note_hash))
        if standing.root != root:
            raise AnchorAlarm(f"the chain holds another root of {node_id} at size {size}")
        return TxRef(standing.tx, standing.block)

    def anchors(self, node_id: str) -> list[Anchor]:
        node, shard = contract.shard_of(node_id)
        with self._ours():
            logs = self._logs("CheckpointAnchored", node=contract.node_word(node), shard=shard)
            return [self._anchor(log) for log in logs]

    def list_product(self, node_id: str, digest: bytes) -> TxRef:
        word = contract.node_word(node_id)
        with self._ours():
            held = self._view("products", contract.digest_word(digest))
            if held[0] == word and held[1] and not held[2]:
                return self._standing(held[1], "ProductListed", digest=digest)
            return self._write("listProduct", word, digest)

    def withdraw_product(self, digest: bytes) -> TxRef:
        with self._ours():
            held = self._view("products", contract.digest_word(digest))
            if held[2]:
                return self._standing(held[2], "ProductWithdrawn", digest=digest)
            return self._write("withdraw", digest)

    def issue_grant(self, grant_id: str, node_id: str, agreement_digest: bytes, expires: datetime) -> TxRef:
        facts = (contract.node_word(node_id), contract.digest_word(agreement_digest), contract.seconds(expires))
        grant = contract.name_word(grant_id)
        with self._ours():
            held = self._view("grants", grant)
            if tuple(held[:3]) == facts:
                return self._standing(held[3], "GrantIssued", grant=grant)
            return self._write("issueGrant", grant, *facts)

    def issue_grants(self, node_id: str, grants: Sequence[NewGrant]) -> None:
        for start in range(0, len(grants), BATCH):
            with self._ours():
                missing = self._missing(node_id, grants[start : start + BATCH])
                together = len(missing) > 1 and self._issued(node_id, missing)
            for one in () if together else missing:  # each asks again whether it stands, and says why it cannot
                self.issue_grant(one.grant_id, node_id, one.agreement_digest, one.expires)

    def revoke_grant(self, grant_id: str) -> TxRef:
        grant = contract.name_word(grant_id)
        with self._ours():
            held = self._view("grants", grant)
            if held[4]:
                return self._standing(held[4], "GrantRevoked", grant=grant)
            return self._write("revokeGrant", grant)

    def is_granted(self, grant_id: str, at: datetime) -> bool:
        with self._ours():
            return bool(self._view("isGranted", contract.name_word(grant_id), contract.seconds(at)))

    def seal_round(self, study: str, round: int, digest: bytes) -> TxRef:
        word = contract.name_word(study)
        with self._ours():
            held = self._view("rounds", word, contract.count(round))
            if held[1] and held[0] == digest:
                return self._standing(held[1], "RoundSealed", study=word, round=round)
            return self._write("sealRound", word, round, contract.digest_word(digest))

    def verify_inclusion(self, node_id: str, leaf_hash: bytes, index: int, proof: list[bytes]) -> bool:
        """Return whether the contract finds the leaf under the node's newest anchored head."""
        with self._ours():
            return bool(self._view("verifyInclusion", contract.node_word(node_id), leaf_hash, index, proof))

    def records(self, kind: str) -> list[ChainRecord]:
        contract.require_event(kind)
        with self._ours():
            return [self._record(kind, log) for log in self._logs(kind)]

    @contextmanager
    def _ours(self) -> Iterator[None]:
        """Lend the connection once it is known to be our chain and contract."""
        try:
            if not self._checked:
                self.check()
            with translated():
                yield
        except ChainUnavailable:
            self._checked = False  # whatever comes back may be another chain
            raise

    def _view(self, name: str, *arguments: object) -> Any:
        return self._contract.functions[name](*arguments).call()

    def _write(self, name: str, *arguments: object) -> TxRef:
        if self._wallet is None:
            raise ChainRefused("this client has no account key: it only reads", rule="NoKey")
        function = self._contract.functions[name](*arguments)
        # the estimate runs the call: what would revert is refused here and costs no transaction
        gas = function.estimate_gas({"from": self._wallet.address})
        receipt = self._wallet.mined(lambda fields: function.build_transaction({**fields, "gas": with_margin(gas)}))
        return TxRef(bytes(receipt["transactionHash"]), receipt["blockNumber"])

    def _missing(self, node_id: str, grants: Sequence[NewGrant]) -> list[NewGrant]:
        """Return the grants of which the contract does not hold exactly this, from one round trip."""
        data = [contract.call_data("grants", contract.name_word(one.grant_id)) for one in grants]
        answers = ask_all(self._web3, "eth_call", [[{"to": self._address, "data": one}, "latest"] for one in data])
        facts = [contract.grant_words(node_id, one.agreement_digest, one.expires).hex() for one in grants]
        held = [str(answer.get("result")).startswith("0x" + fact) for answer, fact in zip(answers, facts, strict=True)]
        return [one for one, stands in zip(grants, held, strict=True) if not stands]

    def _issued(self, node_id: str, grants: Sequence[NewGrant]) -> bool:
        """Send grants side by side and return whether all are mined; what the first costs, the others cost too."""
        if self._wallet is None:
            return False
        words = [
            (contract.name_word(one.grant_id), contract.grant_words(node_id, one.agreement_digest, one.expires))
            for one in grants
        ]
        data = [contract.call_data("issueGrant", *both) for both in words]
        gas = self._web3.eth.estimate_gas({"from": self._wallet.address, "to": self._address, "data": HexStr(data[0])})
        return self._wallet.succeeded(self._address, data, gas) == len(grants)

    def _bind(self, name: str, node_id: str, address: str, log_key_hash: bytes) -> TxRef:
        word, key = contract.node_word(node_id), Web3.to_checksum_address(address)
        held = self._view("nodes", word)
        if (held[0], held[5]) == (key, log_key_hash):
            event = "NodeEnrolled" if self._found("NodeEnrolled", held[6], node=word) else "NodeKeyRotated"
            return self._standing(held[6], event, node=word)
        return self._write(name, word, key, log_key_hash)

    def _found(self, event: str, block: int, **arguments: object) -> list[Fields]:
        emitter = self._contract.events[event]()
        found = emitter.get_logs(from_block=block, to_block=block, argument_filters=dict(arguments))
        return cast("list[Fields]", list(found))

    def _standing(self, block: int, event: str, **arguments: object) -> TxRef:
        """Return where a fact was written that the contract says stands since `block`."""
        for log in self._found(event, block, **arguments):
            return TxRef(bytes(log["transactionHash"]), log["blockNumber"])
        raise ChainWrong(f"the chain's state holds a fact that no {event} of block {block} tells")

    def _anchor_at(self, word: bytes, shard: int, size: int) -> Anchor | None:
        """Return the anchor of exactly this size; the state tells whether looking for it can find one."""
        _, newest_size, newest_shard, *_ = self._view("nodes", word)
        if (newest_shard, newest_size) < (shard, size):
            return None
        logs = self._logs("CheckpointAnchored", node=word, shard=shard, size=size)
        return self._anchor(logs[0]) if logs else None

    def _logs(self, event: str, **arguments: object) -> list[Fields]:
        if self._since is None:
            self._since = int(self._view("deployedBlock"))
        found = self._contract.events[event]().get_logs(from_block=self._since, argument_filters=dict(arguments))
        return cast("list[Fields]", list(found))

    def _time(self, log: Fields) -> datetime:
        given = log.get("blockTimestamp")
        if given is not None:
            return contract.time_of(int(given, 16) if isinstance(given, str) else int(given))
        block = int(log["blockNumber"])
        if block not in self._times:
            self._times[block] = self._web3.eth.get_block(cast(HexStr, log["blockHash"]))["timestamp"]
        return contract.time_of(self._times[block])

    def _anchor(self, log: Fields) -> Anchor:
        told = log["args"]
        return Anchor(
            size=told["size"],
            root=bytes(told["root"]),
            note_hash=bytes(told["noteHash"]),
            block=log["blockNumber"],
            time=self._time(log),
            tx=bytes(log["transactionHash"]),
        )

    def _record(self, kind: str, log: Fields) -> ChainRecord:
        fields = {name: plain(name, value) for name, value in log["args"].items()}
        return ChainRecord(kind, fields, log["blockNumber"], self._time(log), bytes(log["transactionHash"]))


def plain(name: str, value: object) -> str | int:
    """Return an event's argument as ChainRecord holds it."""
    if name == "node":
        return contract.node_id(cast(bytes, value))
    if isinstance(value, bytes):
        return value.hex()
    return value if isinstance(value, int) else str(value)


_: type[Chain] = Web3Chain
