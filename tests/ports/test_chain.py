"""The Chain port's promises, kept by memory, by the embedded EVM over HTTP and, where it is installed, by anvil."""

import hashlib
import shutil
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from web3.types import RPCEndpoint

from hdex.ledger import merkle
from hdex.ledger.chain_memory import MemoryChain, MemoryLedger
from hdex.ledger.chain_web3 import Web3Chain, connect, deploy
from hdex.ledger.contract import account_address
from hdex.ledger.errors import AnchorAlarm, ChainRefused
from hdex.ledger.evm import EmbeddedChain
from hdex.ledger.ports import Chain, NewGrant
from hdex.node.wire.chain_rpc import ChainServer

OPERATOR = "1 operator: demonstration"
CHAIN_ID = 40426
NAMES = ("operator", "hospital-a", "hospital-b", "exchange")
KEYS = {name: hashlib.sha256(f"test account {name}".encode()).digest() for name in NAMES}
ADDRESSES = {name: account_address(key) for name, key in KEYS.items()}
Connect = Callable[[str], Chain]


def now() -> datetime:
    return datetime.now(UTC)


def digest(text: str) -> bytes:
    return hashlib.sha256(text.encode()).digest()


@contextmanager
def memory(_folder: Path) -> Iterator[Connect]:
    ledger = MemoryLedger(admin=ADDRESSES["operator"], operator=OPERATOR, chain_id=CHAIN_ID)
    yield lambda name: MemoryChain(ledger, ADDRESSES[name])


@contextmanager
def embedded(folder: Path) -> Iterator[Connect]:
    chain = EmbeddedChain(folder / "chain.db", list(ADDRESSES.values()), now, chain_id=CHAIN_ID)
    with ChainServer(chain.respond) as server:
        yield deployed(server.url)
    chain.close()


@contextmanager
def anvil(_folder: Path) -> Iterator[Connect]:
    program = shutil.which("anvil")
    if program is None:
        pytest.skip("anvil is not installed")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [program, "--host", "127.0.0.1", "--port", str(port), "--chain-id", str(CHAIN_ID), "--quiet"]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        url = f"http://127.0.0.1:{port}"
        wait_for(port)
        for address in ADDRESSES.values():
            funded = connect(url).provider.make_request(RPCEndpoint("anvil_setBalance"), [address, hex(10**24)])
            assert "error" not in funded
        yield deployed(url)
    finally:
        process.terminate()
        process.wait()


def wait_for(port: int) -> None:
    end = time.monotonic() + 20
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
            return
        except OSError:
            assert time.monotonic() < end, "the node did not start"
            time.sleep(0.02)


def deployed(url: str) -> Connect:
    address = deploy(url, KEYS["operator"], OPERATOR, expect_chain_id=CHAIN_ID)
    return lambda name: Web3Chain(url, address, KEYS[name], CHAIN_ID)


@dataclass
class Network:
    """One contract with three enrolled nodes."""

    connect: Connect

    def __post_init__(self) -> None:
        self.operator = self.connect("operator")
        for name in NAMES[1:]:
            self.operator.enroll(name, ADDRESSES[name], digest(f"log key of {name}"))
        self.a = self.connect("hospital-a")
        self.b = self.connect("hospital-b")
        self.exchange = self.connect("exchange")


@pytest.fixture(params=[memory, embedded, anvil], ids=["memory", "embedded", "anvil"])
def network(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Network]:
    made: Callable[[Path], AbstractContextManager[Connect]] = request.param
    with made(tmp_path) as connect:
        yield Network(connect)


def refused_rule(call: Callable[[], object]) -> str:
    with pytest.raises(ChainRefused) as refusal:
        call()
    return refusal.value.rule


def test_the_chain_says_its_id_and_who_runs_it(network: Network) -> None:
    assert network.a.chain_id() == CHAIN_ID
    assert network.a.operator() == OPERATOR


def test_only_the_operator_enrolls_and_a_node_keeps_its_key(network: Network) -> None:
    key_hash = digest("log key of hospital-a")
    again = network.operator.enroll("hospital-a", ADDRESSES["hospital-a"], key_hash)
    enrolled = network.operator.records("NodeEnrolled")
    assert [record.fields["node"] for record in enrolled] == list(NAMES[1:])
    assert (again.tx, again.block) == (enrolled[0].tx, enrolled[0].block)
    stranger = account_address(digest("stranger"))
    assert refused_rule(lambda: network.a.enroll("hospital-c", stranger, key_hash)) == "NotAdmin"
    assert refused_rule(lambda: network.operator.enroll("hospital-a", stranger, key_hash)) == "NodeEnrolledOtherwise"
    assert refused_rule(lambda: network.operator.enroll("c", ADDRESSES["hospital-a"], key_hash)) == "KeyTaken"
    assert refused_rule(lambda: network.operator.enroll("Name With Spaces", stranger, key_hash)) == "NodeIdInvalid"


def test_anchors_are_told_in_growing_size_with_block_and_time(network: Network) -> None:
    before = now() - timedelta(seconds=2)
    first = network.a.anchor("hospital-a", 3, digest("root 3"), digest("note 3"))
    network.b.anchor("hospital-b", 9, digest("root of b"), digest("note of b"))
    second = network.a.anchor("hospital-a", 7, digest("root 7"), digest("note 7"))
    anchors = network.exchange.anchors("hospital-a")
    assert [(anchor.size, anchor.root, anchor.note_hash) for anchor in anchors] == [
        (3, digest("root 3"), digest("note 3")),
        (7, digest("root 7"), digest("note 7")),
    ]
    assert [(anchor.tx, anchor.block) for anchor in anchors] == [(first.tx, first.block), (second.tx, second.block)]
    assert before <= anchors[0].time <= anchors[1].time <= now() + timedelta(seconds=5)
    assert network.a.anchors("hospital-z") == []


def test_the_same_anchor_again_is_the_first_one(network: Network) -> None:
    first = network.a.anchor("hospital-a", 3, digest("root"), digest("note"))
    assert network.a.anchor("hospital-a", 3, digest("root"), digest("note")) == first
    network.a.anchor("hospital-a", 4, digest("root 4"), digest("note 4"))
    assert network.a.anchor("hospital-a", 3, digest("root"), digest("note")) == first
    assert len(network.a.anchors("hospital-a")) == 2


def test_another_root_for_an_anchored_size_is_an_alarm_and_a_smaller_size_is_refused(network: Network) -> None:
    network.a.anchor("hospital-a", 3, digest("root"), digest("note"))
    network.a.anchor("hospital-a", 5, digest("root 5"), digest("note 5"))
    for size in (3, 5):
        with pytest.raises(AnchorAlarm):
            network.a.anchor("hospital-a", size, digest("rewritten"), digest("note"))
    shrunk = refused_rule(lambda: network.a.anchor("hospital-a", 4, digest("root 4"), digest("note 4")))
    assert shrunk == "SizeMustGrow"
    assert [anchor.size for anchor in network.a.anchors("hospital-a")] == [3, 5]


def test_a_log_that_begins_anew_each_year_goes_on_under_one_account(network: Network) -> None:
    network.a.anchor("hospital-a", 900, digest("end of 2026"), digest("note 900"))
    first = network.a.anchor("hospital-a/2027", 1, digest("2027 at 1"), digest("note 1"))
    assert network.a.anchor("hospital-a/2027", 1, digest("2027 at 1"), digest("note 1")) == first
    network.a.anchor("hospital-a/2027", 900, digest("2027 at 900"), digest("note 900 of 2027"))
    with pytest.raises(AnchorAlarm):
        network.a.anchor("hospital-a/2027", 900, digest("end of 2026"), digest("note 900"))
    late = [("hospital-a", 901), ("hospital-a/2026", 1), ("hospital-a/2027", 899)]
    for name, size in late:
        assert refused_rule(lambda name=name, size=size: network.a.anchor(name, size, digest("x"), digest("y"))) == (  # type: ignore[misc]
            "SizeMustGrow"
        )
    assert network.a.anchor("hospital-a", 900, digest("end of 2026"), digest("note 900")).block is not None
    assert [anchor.size for anchor in network.b.anchors("hospital-a")] == [900]
    assert [anchor.size for anchor in network.b.anchors("hospital-a/2027")] == [1, 900]
    assert network.b.anchors("hospital-a/2028") == []
    told = [(record.fields["shard"], record.fields["size"]) for record in network.b.records("CheckpointAnchored")]
    assert told == [(0, 900), (2027, 1), (2027, 900)]
    for name in ("hospital-a/", "hospital-a/27", "hospital-a/2027/1", "hospital-a/٢٠٢٧"):
        assert refused_rule(lambda name=name: network.a.anchors(name)) == "NodeIdInvalid"  # type: ignore[misc]


def test_nobody_anchors_lists_or_grants_for_another_node(network: Network) -> None:
    calls: list[Callable[[], object]] = [
        lambda: network.b.anchor("hospital-a", 3, digest("root"), digest("note")),
        lambda: network.b.list_product("hospital-a", digest("manifest")),
        lambda: network.b.issue_grant("g", "hospital-a", digest("agreement"), now()),
        lambda: network.a.anchor("hospital-z", 3, digest("root"), digest("note")),
    ]
    assert {refused_rule(call) for call in calls} == {"NotTheNodesKey"}


def test_a_product_is_listed_once_and_withdrawn_for_good(network: Network) -> None:
    manifest = digest("manifest")
    assert refused_rule(lambda: network.a.withdraw_product(manifest)) == "ProductUnknown"
    listed = network.a.list_product("hospital-a", manifest)
    assert network.a.list_product("hospital-a", manifest) == listed
    assert refused_rule(lambda: network.b.list_product("hospital-b", manifest)) == "ProductOfAnother"
    assert refused_rule(lambda: network.b.withdraw_product(manifest)) == "NotTheNodesKey"
    withdrawn = network.a.withdraw_product(manifest)
    assert network.a.withdraw_product(manifest) == withdrawn
    assert refused_rule(lambda: network.a.list_product("hospital-a", manifest)) == "ProductWithdrawnAlready"
    assert [record.fields for record in network.b.records("ProductWithdrawn")] == [
        {"node": "hospital-a", "digest": manifest.hex()}
    ]


def test_a_grant_holds_until_it_expires_or_is_revoked(network: Network) -> None:
    expires = now().replace(microsecond=0) + timedelta(days=30)
    assert not network.a.is_granted("grant-1", now())
    issued = network.a.issue_grant("grant-1", "hospital-a", digest("agreement"), expires)
    assert network.a.issue_grant("grant-1", "hospital-a", digest("agreement"), expires) == issued
    assert network.b.is_granted("grant-1", now())
    assert network.b.is_granted("grant-1", expires - timedelta(seconds=1))
    assert not network.b.is_granted("grant-1", expires)
    changed = refused_rule(lambda: network.a.issue_grant("grant-1", "hospital-a", digest("other"), expires))
    assert changed == "GrantDiffers"
    assert refused_rule(lambda: network.b.revoke_grant("grant-1")) == "NotTheNodesKey"
    assert refused_rule(lambda: network.a.revoke_grant("grant-2")) == "GrantUnknown"
    assert network.a.revoke_grant("grant-1") == network.a.revoke_grant("grant-1")
    assert not network.b.is_granted("grant-1", now())


def test_many_grants_are_issued_together_each_once(network: Network) -> None:
    """Also those of which some stand already: the outbox sends them again after a stop."""
    expires = now().replace(microsecond=0) + timedelta(days=30)
    grants = [NewGrant(f"grant-{number}", digest(f"agreement {number}"), expires) for number in range(5)]
    network.a.issue_grant("grant-2", "hospital-a", digest("agreement 2"), expires)
    for _ in range(2):
        network.a.issue_grants("hospital-a", grants)
    assert all(network.b.is_granted(one.grant_id, now()) for one in grants)
    told = {record.fields["agreementDigest"] for record in network.b.records("GrantIssued")}
    assert told == {one.agreement_digest.hex() for one in grants}
    assert len(network.b.records("GrantIssued")) == len(grants)


def test_grants_issued_together_are_refused_by_the_rule_of_the_one_that_is_wrong(network: Network) -> None:
    expires = now().replace(microsecond=0) + timedelta(days=30)
    network.a.issue_grant("grant-1", "hospital-a", digest("agreement"), expires)
    grants = [NewGrant(f"grant-{number}", digest("other"), expires) for number in range(3)]
    assert refused_rule(lambda: network.a.issue_grants("hospital-a", grants)) == "GrantDiffers"
    assert refused_rule(lambda: network.b.issue_grants("hospital-a", grants)) == "NotTheNodesKey"
    assert network.b.is_granted("grant-0", now())


def test_a_revoked_grant_issued_again_stays_revoked(network: Network) -> None:
    expires = now() + timedelta(days=30)
    network.a.issue_grant("grant-1", "hospital-a", digest("agreement"), expires)
    network.a.revoke_grant("grant-1")
    network.a.issue_grant("grant-1", "hospital-a", digest("agreement"), expires)
    assert not network.a.is_granted("grant-1", now())


def test_a_round_is_sealed_once_by_the_one_who_runs_the_study(network: Network) -> None:
    sealed = network.exchange.seal_round("study-1", 1, digest("round 1"))
    assert network.exchange.seal_round("study-1", 1, digest("round 1")) == sealed
    assert refused_rule(lambda: network.exchange.seal_round("study-1", 1, digest("other"))) == "RoundDiffers"
    assert refused_rule(lambda: network.b.seal_round("study-1", 2, digest("round 2"))) == "StudyOfAnother"
    assert refused_rule(lambda: network.operator.seal_round("study-2", 1, digest("x"))) == "NotEnrolled"
    network.exchange.seal_round("study-1", 2, digest("round 2"))
    told = [(record.fields["round"], record.fields["node"]) for record in network.a.records("RoundSealed")]
    assert told == [(1, "exchange"), (2, "exchange")]


def test_unknown_kinds_and_short_digests_are_refused_before_they_are_sent(network: Network) -> None:
    with pytest.raises(ValueError, match="emits no Transfer"):
        network.a.records("Transfer")
    assert refused_rule(lambda: network.a.list_product("hospital-a", b"short")) == "Empty"
    assert refused_rule(lambda: network.a.list_product("hospital-a", bytes(32))) == "Empty"
    assert refused_rule(lambda: network.a.anchor("hospital-a", 0, digest("root"), digest("note"))) == "Empty"
    assert refused_rule(lambda: network.a.anchor("hospital-a", -1, digest("root"), digest("note"))) == "OutOfRange"
    assert refused_rule(lambda: network.exchange.seal_round("study", 2**64, digest("round"))) == "OutOfRange"


def test_threads_of_one_account_do_not_take_each_others_nonce(network: Network) -> None:
    manifests = [digest(f"manifest {number}") for number in range(12)]
    with ThreadPoolExecutor(6) as pool:
        list(pool.map(lambda manifest: network.a.list_product("hospital-a", manifest), manifests))
    listed = {record.fields["digest"] for record in network.a.records("ProductListed")}
    assert listed == {manifest.hex() for manifest in manifests}


def test_two_clients_of_one_account_both_get_through(network: Network) -> None:
    clients = [network.a, network.connect("hospital-a")]
    work = [(clients[number % 2], digest(f"manifest {number}")) for number in range(12)]
    with ThreadPoolExecutor(6) as pool:
        list(pool.map(lambda item: item[0].list_product("hospital-a", item[1]), work))
    assert len(network.a.records("ProductListed")) == 12


def test_the_contract_verifies_inclusion_as_rfc_9162_does(network: Network) -> None:
    if not isinstance(network.a, Web3Chain):
        return
    size = 0
    for size in (1, 2, 7, 13):
        leaves = [merkle.leaf_hash(str(number).encode()) for number in range(size)]
        network.a.anchor("hospital-a", size, merkle.root(leaves), digest(f"note {size}"))
        for index in range(size):
            proof = merkle.inclusion_proof(leaves, index, size)
            assert network.a.verify_inclusion("hospital-a", leaves[index], index, proof)
            assert not network.a.verify_inclusion("hospital-a", digest("not a leaf"), index, proof)
            assert not network.a.verify_inclusion("hospital-a", leaves[index], index, [*proof, digest("longer")])
            assert size == 1 or not network.a.verify_inclusion("hospital-a", leaves[index], index, proof[:-1])
        assert not network.a.verify_inclusion("hospital-a", leaves[0], size, [])


def test_a_lost_key_is_rotated_and_the_old_one_anchors_no_more(network: Network) -> None:
    assert isinstance(network.a, Web3Chain | MemoryChain)
    network.a.anchor("hospital-a", 3, digest("root"), digest("note"))
    stranger = account_address(digest("stranger"))
    assert isinstance(network.b, Web3Chain | MemoryChain)
    other, key_hash = network.b, digest("new log key")
    assert refused_rule(lambda: other.rotate("hospital-a", stranger, key_hash)) == "NotTheNodesKey"
    rotated = network.a.rotate("hospital-a", ADDRESSES["operator"], key_hash)
    assert network.a.rotate("hospital-a", ADDRESSES["operator"], key_hash) == rotated
    late = refused_rule(lambda: network.a.anchor("hospital-a", 4, digest("root 4"), digest("note 4")))
    assert late == "NotTheNodesKey"
    network.operator.anchor("hospital-a", 4, digest("root 4"), digest("note 4"))
    assert [anchor.size for anchor in network.b.anchors("hospital-a")] == [3, 4]
