"""Every refusal and every event of ExchangeLedger, asked of the contract itself and not of our client."""

import hashlib
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
from eth_account import Account
from web3 import Web3
from web3.exceptions import ContractLogicError
from web3.logs import DISCARD

from hdex.ledger import contract
from hdex.ledger.chain_web3 import connect, deploy
from hdex.ledger.evm import EmbeddedChain
from hdex.node.wire.chain_rpc import ChainServer

CHAIN_ID = 40426
KEYS = {name: hashlib.sha256(f"rules {name}".encode()).digest() for name in ("operator", "a", "b", "new", "stranger")}
WHO = {name: contract.account_address(key) for name, key in KEYS.items()}
NOBODY = "0x" + "00" * 20
ZERO, LATER, EVER = bytes(32), 2_000_000_000, 2**64 - 1


def word(text: str) -> bytes:
    return hashlib.sha256(text.encode()).digest()


A, B, C = (contract.node_word(name) for name in ("hospital-a", "hospital-b", "hospital-c"))


class Ledger:
    """The contract on the embedded chain, called and sent to as any client would."""

    def __init__(self, url: str) -> None:
        self.web3 = connect(url)
        self.address = Web3.to_checksum_address(
            deploy(url, KEYS["operator"], "1 operator: test", expect_chain_id=CHAIN_ID)
        )
        abi: Any = list(contract.build().abi)
        self.contract = self.web3.eth.contract(self.address, abi=abi)

    def send(self, sender: str, name: str, *arguments: object) -> list[tuple[str, dict[str, Any]]]:
        """Send a call and return the events it emitted."""
        call = self.contract.functions[name](*arguments)
        nonce = self.web3.eth.get_transaction_count(Web3.to_checksum_address(WHO[sender]))
        fields: Any = {"from": WHO[sender], "nonce": nonce, "gas": 500_000, "gasPrice": 0, "chainId": CHAIN_ID}
        signed = Account.from_key(KEYS[sender]).sign_transaction(call.build_transaction(fields))
        receipt = self.web3.eth.wait_for_transaction_receipt(self.web3.eth.send_raw_transaction(signed.raw_transaction))
        assert receipt["status"] == 1, name
        return [
            (event, dict(log["args"]))
            for event in contract.event_names()
            for log in self.contract.events[event]().process_receipt(receipt, errors=DISCARD)
        ]

    def gas(self, sender: str, name: str, *arguments: object) -> int:
        """Return the gas that a call would take, as the EVM counts it."""
        asked: Any = {"from": WHO[sender]}
        return int(self.contract.functions[name](*arguments).estimate_gas(asked))

    def refusal(self, sender: str, name: str, *arguments: object) -> str:
        """Return the contract's error when this account makes this call."""
        asked: Any = {"from": WHO[sender]}
        with pytest.raises(ContractLogicError) as refused:
            self.contract.functions[name](*arguments).call(asked)
        return contract.error_rules().get(str(refused.value.data)[:10], "none of ours")

    def view(self, name: str, *arguments: object) -> Any:
        return self.contract.functions[name](*arguments).call()


@pytest.fixture(scope="module")
def chain(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    embedded = EmbeddedChain(
        tmp_path_factory.mktemp("chain") / "chain.db", list(WHO.values()), lambda: datetime.now(UTC), chain_id=CHAIN_ID
    )
    with ChainServer(embedded.respond) as server:
        yield server.url
    embedded.close()


@pytest.fixture(scope="module")
def told(chain: str) -> Ledger:
    """Return a ledger on which everything has happened once."""
    ledger = Ledger(chain)
    ledger.send("operator", "enroll", A, WHO["a"], word("log key"))
    ledger.send("operator", "enroll", B, WHO["b"], word("log key of b"))
    ledger.send("a", "anchor", A, 0, 5, word("root"), word("note"))
    ledger.send("b", "anchor", B, 0, 7, word("root of b"), word("note"))
    ledger.send("b", "anchor", B, 2027, 2, word("root of b in 2027"), word("note"))
    ledger.send("a", "listProduct", A, word("listed"))
    ledger.send("a", "listProduct", A, word("withdrawn"))
    ledger.send("a", "withdraw", word("withdrawn"))
    ledger.send("a", "issueGrant", word("grant"), A, word("agreement"), LATER)
    ledger.send("b", "sealRound", word("study"), 1, word("round"))
    return ledger


# error -> calls that must end in it: (sender, function, arguments)
REFUSALS: dict[str, list[tuple[Any, ...]]] = {
    "NotAdmin": [
        ("a", "enroll", C, WHO["new"], word("k")),
        ("a", "setAdmin", WHO["a"], True),
        ("operator", "setAdmin", WHO["operator"], False),  # one admin always stays
    ],
    "NotTheNodesKey": [
        ("b", "anchor", A, 0, 6, word("root"), word("note")),
        ("a", "anchor", C, 0, 6, word("root"), word("note")),
        ("b", "rotate", A, WHO["new"], word("k")),
        ("b", "listProduct", A, word("p")),
        ("b", "withdraw", word("listed")),
        ("b", "issueGrant", word("g"), A, word("agreement"), LATER),
        ("b", "revokeGrant", word("grant")),
    ],
    "NotEnrolled": [
        ("operator", "rotate", C, WHO["new"], word("k")),
        ("stranger", "sealRound", word("study 2"), 1, word("round")),
    ],
    "NodeEnrolledOtherwise": [
        ("operator", "enroll", A, WHO["new"], word("log key")),
        ("operator", "enroll", A, WHO["a"], word("another log key")),
    ],
    "KeyTaken": [
        ("operator", "enroll", C, WHO["a"], word("k")),
        ("a", "rotate", A, WHO["b"], word("k")),
    ],
    "SizeMustGrow": [
        ("a", "anchor", A, 0, 4, word("root"), word("note")),
        ("b", "anchor", B, 0, 9_000, word("root"), word("note")),  # its shard of 2027 has begun
        ("b", "anchor", B, 2026, 9_000, word("root"), word("note")),
        ("b", "anchor", B, 2027, 1, word("root"), word("note")),
    ],
    "RootDiffers": [
        ("a", "anchor", A, 0, 5, word("another root"), word("note")),
        ("b", "anchor", B, 2027, 2, word("another root"), word("note")),
    ],
    "ProductOfAnother": [("b", "listProduct", B, word("listed"))],
    "ProductWithdrawnAlready": [
        ("a", "listProduct", A, word("withdrawn")),
        ("b", "listProduct", B, word("withdrawn")),
    ],
    "ProductUnknown": [("a", "withdraw", word("never listed"))],
    "GrantDiffers": [
        ("a", "issueGrant", word("grant"), A, word("another agreement"), LATER),
        ("a", "issueGrant", word("grant"), A, word("agreement"), LATER + 1),
        ("b", "issueGrant", word("grant"), B, word("agreement"), LATER),
    ],
    "GrantUnknown": [("a", "revokeGrant", word("never issued"))],
    "StudyOfAnother": [("a", "sealRound", word("study"), 2, word("round"))],
    "RoundDiffers": [("b", "sealRound", word("study"), 1, word("another round"))],
    "Empty": [
        ("operator", "enroll", ZERO, WHO["new"], word("k")),
        ("operator", "enroll", C, NOBODY, word("k")),
        ("a", "rotate", A, NOBODY, word("k")),
        ("a", "anchor", A, 0, 0, word("root"), word("note")),
        ("a", "listProduct", A, ZERO),
        ("a", "issueGrant", ZERO, A, word("agreement"), LATER),
        ("a", "issueGrant", word("g"), A, ZERO, LATER),
        ("b", "sealRound", ZERO, 1, word("round")),
        ("b", "sealRound", word("study"), 3, ZERO),
    ],
}


def test_the_table_has_every_error_of_the_contract() -> None:
    assert set(REFUSALS) == set(contract.error_rules().values())


@pytest.mark.parametrize("rule", REFUSALS)
def test_the_contract_refuses(told: Ledger, rule: str) -> None:
    assert [told.refusal(*call) for call in REFUSALS[rule]] == [rule] * len(REFUSALS[rule])


def test_every_fact_is_told_by_one_event_and_the_same_again_by_none(chain: str) -> None:
    ledger, seen = Ledger(chain), set[str]()
    steps: list[tuple[tuple[Any, ...], str, dict[str, Any]]] = [
        (("operator", "setAdmin", WHO["new"], True), "AdminChanged", {"admin": WHO["new"], "allowed": True}),
        (
            ("new", "enroll", A, WHO["a"], word("k")),
            "NodeEnrolled",
            {"node": A, "key": WHO["a"], "logKeyHash": word("k")},
        ),
        (
            ("a", "anchor", A, 0, 3, word("root"), word("note")),
            "CheckpointAnchored",
            {"node": A, "shard": 0, "size": 3, "root": word("root"), "noteHash": word("note")},
        ),
        (("a", "listProduct", A, word("p")), "ProductListed", {"node": A, "digest": word("p")}),
        (("a", "withdraw", word("p")), "ProductWithdrawn", {"node": A, "digest": word("p")}),
        (
            ("a", "issueGrant", word("g"), A, word("agreement"), LATER),
            "GrantIssued",
            {"node": A, "grant": word("g"), "agreementDigest": word("agreement"), "expires": LATER},
        ),
        (("a", "revokeGrant", word("g")), "GrantRevoked", {"node": A, "grant": word("g")}),
        (
            ("a", "sealRound", word("study"), 1, word("round")),
            "RoundSealed",
            {"study": word("study"), "round": 1, "node": A, "digest": word("round")},
        ),
        (
            ("a", "rotate", A, WHO["b"], word("k2")),
            "NodeKeyRotated",
            {"node": A, "key": WHO["b"], "logKeyHash": word("k2")},
        ),
        (("operator", "setAdmin", WHO["new"], False), "AdminChanged", {"admin": WHO["new"], "allowed": False}),
    ]
    for call, event, fields in steps:
        assert ledger.send(*call) == [(event, fields)]
        again = ("b", *call[1:]) if event == "NodeKeyRotated" else call  # the old key may no longer speak for the node
        assert ledger.send(*again) == [], event
        seen.add(event)
    assert seen == set(contract.event_names())


def test_after_a_rotation_the_new_key_speaks_and_the_log_goes_on(chain: str) -> None:
    ledger = Ledger(chain)
    ledger.send("operator", "enroll", A, WHO["a"], word("k"))
    ledger.send("a", "anchor", A, 0, 3, word("root"), word("note"))
    ledger.send("operator", "rotate", A, WHO["new"], word("k2"))  # the key was lost: an admin may
    assert ledger.refusal("a", "anchor", A, 0, 4, word("root 4"), word("note 4")) == "NotTheNodesKey"
    assert ledger.refusal("new", "anchor", A, 0, 2, word("root 2"), word("note 2")) == "SizeMustGrow"
    ledger.send("new", "anchor", A, 0, 4, word("root 4"), word("note 4"))
    ledger.send("operator", "enroll", C, WHO["a"], word("k3"))  # the old account is free again
    assert ledger.view("nodeOf", WHO["a"]) == C
    assert ledger.view("nodes", A)[:2] == [WHO["new"], 4]


def test_a_grant_is_live_before_its_end_and_never_after_its_revocation(told: Ledger) -> None:
    assert [told.view("isGranted", word("grant"), when) for when in (0, LATER - 1, LATER, EVER)] == [
        True,
        True,
        False,
        False,
    ]
    assert told.view("isGranted", word("never issued"), 0) is False


def test_the_contract_says_who_runs_the_chain_and_takes_no_money(told: Ledger) -> None:
    assert told.view("operator") == "1 operator: test"
    payment: Any = {"from": WHO["a"], "to": told.address, "value": 1}
    with pytest.raises(ContractLogicError):
        told.web3.eth.call(payment)


def test_an_event_in_an_anchor_of_2000_costs_a_thousandth_of_its_own_transaction(told: Ledger) -> None:
    """bench/results/gas.json has the exact figures; an estimate is a quarter above what is spent."""
    spent = told.gas("a", "anchor", A, 0, 2_005, word("root of 2,005"), word("note")) * 4 // 5
    cheapest_transaction = 21_000 + 32 * 16  # which does not even emit an event
    assert spent / 2_000 < cheapest_transaction / 1_000
