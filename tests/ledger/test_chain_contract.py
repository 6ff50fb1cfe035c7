"""The contract's build, its words of 32 bytes, and account addresses."""

from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hdex.ledger import contract
from hdex.ledger.errors import ChainRefused

# EIP-55, "Test Cases"
EIP_55 = [
    "0x52908400098527886E0F7030069857D2E4169EE7",
    "0x8617E340B3D01FA5F11F306F4090FD50E238070D",
    "0xde709f2102306220921060314715629080e2fb77",
    "0x27b1fdb04752bbc536007a920d24acb045561c26",
    "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed",
    "0xfB6916095ca1df60bB79Ce92cE3Ea74c37c5d359",
    "0xdbF03B407c01E7cD3CBea99509d93f8DDDC8C6FB",
    "0xD1220A0cf47c7B9Be7A2E6BA89F429762e7b9aDb",
]


@pytest.mark.parametrize("address", EIP_55)
def test_addresses_carry_the_checksum_of_eip_55(address: str) -> None:
    assert contract.checksum_address(bytes.fromhex(address[2:])) == address


def test_the_account_of_a_key_is_the_one_ethereum_derives() -> None:
    # ethereum/go-ethereum crypto/crypto_test.go: testPrivHex, testAddrHex
    key = bytes.fromhex("289c2857d4598e37fb9647507e47a309d6133539bf21a8b9cb6df88fd5232032")
    assert contract.account_address(key).lower() == "0x970e8128ab834e8eac17ab8e3812f010678cf791"


def test_the_committed_build_names_its_compiler_and_holds_the_runtime_code() -> None:
    build = contract.build()
    assert build.compiler.startswith("0.8.37+")
    assert build.deployed_bytecode in build.bytecode
    assert len(build.deployed_bytecode) < 24_576  # EIP-170


def test_the_contract_has_the_functions_and_events_of_the_design() -> None:
    functions = {entry["name"] for entry in contract.build().abi if entry["type"] == "function"}
    named = "enroll rotate anchor listProduct withdraw issueGrant revokeGrant sealRound isGranted verifyInclusion"
    assert set(named.split()) <= functions
    events = "NodeEnrolled NodeKeyRotated CheckpointAnchored ProductListed ProductWithdrawn GrantIssued GrantRevoked"
    assert {*events.split(), "RoundSealed", "AdminChanged"} == set(contract.event_names())


def test_the_contract_moves_no_money() -> None:
    source = (Path(contract.__file__).parent / "contracts/ExchangeLedger.sol").read_text()
    assert "payable" not in source
    assert "delegatecall" not in source


@given(st.from_regex(contract.NODE_ID, fullmatch=True))
def test_a_node_id_comes_back_from_its_word(node_id: str) -> None:
    word = contract.node_word(node_id)
    assert len(word) == 32
    assert contract.node_id(word) == node_id


@pytest.mark.parametrize("node_id", ["", "Upper", "with space", "a" * 33, "医院", "a\n"])
def test_what_is_no_node_id_is_refused(node_id: str) -> None:
    with pytest.raises(ChainRefused):
        contract.node_word(node_id)


def test_a_time_without_a_zone_does_not_go_on_chain() -> None:
    assert contract.seconds(datetime(1970, 1, 2, tzinfo=UTC)) == 86400
    with pytest.raises(ValueError, match="zone"):
        contract.seconds(datetime(1970, 1, 2))
