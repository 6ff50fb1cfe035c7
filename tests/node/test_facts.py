"""Facts for the chain wait while it is away, go in order, go once, and one that is refused holds up no other."""

import threading
from datetime import timedelta
from pathlib import Path

import pytest
from tests.node.market_stage import NOW, Market

from hdex.ledger.chain_memory import MemoryChain
from hdex.ledger.errors import ChainUnavailable, ChainWrong
from hdex.ledger.ports import Chain, NewGrant
from hdex.node.documents import SqliteDocuments
from hdex.node.errors import AccessDenied
from hdex.node.facts import TOGETHER, ChainFacts

PATIENCE_S = 60.0  # a bound for a loaded machine, not a wait
PAPER, LATER = b"\x0a" * 32, NOW + timedelta(days=1)


@pytest.fixture
def market(tmp_path: Path) -> Market:
    return Market(tmp_path)


@pytest.fixture
def facts(market: Market) -> ChainFacts:
    return market.grounds["hospital-a"].facts


def kinds(market: Market) -> list[str]:
    return [fact.kind for fact in market.ledger.facts if not fact.kind.startswith("Node")]


def test_facts_wait_for_the_chain_and_go_in_the_order_they_were_said(market: Market, facts: ChainFacts) -> None:
    market.ledger.up = False
    facts.list_product(b"\x01" * 32)
    facts.issue_grant("g", PAPER, LATER)
    facts.revoke_grant("g")
    facts.withdraw_product(b"\x01" * 32)
    facts.seal_round("study", 1, b"\x02" * 32)
    assert facts.flush() == 5
    market.ledger.up = True
    assert facts.flush() == 0
    assert kinds(market) == ["ProductListed", "GrantIssued", "GrantRevoked", "ProductWithdrawn", "RoundSealed"]


def test_a_fact_said_twice_is_sent_once(market: Market, facts: ChainFacts) -> None:
    for _ in range(3):
        facts.issue_grant("g", PAPER, LATER)
        facts.flush()
    assert kinds(market) == ["GrantIssued"]


def test_facts_outlive_the_process(market: Market, tmp_path: Path) -> None:
    def away() -> Chain:
        raise ChainUnavailable("down")

    ChainFacts(away, SqliteDocuments(tmp_path / "d.db"), node="hospital-a").list_product(b"\x01" * 32)
    chain = MemoryChain(market.ledger, "hospital-a")
    again = ChainFacts(lambda: chain, SqliteDocuments(tmp_path / "d.db"), node="hospital-a")
    assert again.flush() == 0
    assert kinds(market) == ["ProductListed"]


def test_a_fact_that_the_contract_refuses_does_not_hold_up_the_others(market: Market, facts: ChainFacts) -> None:
    """It stood first in the outbox for ever, and every later verb of the node failed on it."""
    facts.revoke_grant("never-issued")
    facts.issue_grant("g", PAPER, LATER)
    assert kinds(market) == ["GrantIssued"]
    assert facts.flush() == 0
    kept = market.grounds["hospital-a"].documents.get("chain_fact", "revoke:never-issued")
    assert kept["refused"] == "GrantUnknown"


def test_a_node_that_is_not_enrolled_yet_waits(market: Market) -> None:
    ground = market.grounds["buyer-other"]
    ground.facts.list_product(b"\x03" * 32)
    assert ground.facts.flush() == 1
    MemoryChain(market.ledger, "operator").enroll("buyer-other", "buyer-other", b"\x11" * 32)
    assert ground.facts.flush() == 0


@pytest.mark.parametrize("error", [ChainUnavailable("down"), ChainWrong("another chain")])
def test_a_wrong_or_silent_chain_is_sent_nothing_and_breaks_no_verb(market: Market, error: Exception) -> None:
    def chain() -> Chain:
        raise error

    facts = ChainFacts(chain, market.grounds["hospital-a"].documents, node="hospital-a")
    facts.list_product(b"\x01" * 32)
    assert facts.flush() == 1


def test_a_grant_counts_as_revoked_when_the_chain_says_so(market: Market, facts: ChainFacts) -> None:
    facts.issue_grant("g", PAPER, LATER)
    facts.require_not_revoked("g", NOW)
    with pytest.raises(AccessDenied):
        facts.require_not_revoked("g", LATER)
    with pytest.raises(AccessDenied):
        facts.require_not_revoked("unknown", NOW)
    MemoryChain(market.ledger, "hospital-a").revoke_grant("g")
    with pytest.raises(AccessDenied) as refused:
        facts.require_not_revoked("g", NOW)
    assert refused.value.rule == "grant.not_live"


def test_a_grant_on_its_way_and_a_silent_chain_change_nothing(market: Market, facts: ChainFacts) -> None:
    market.ledger.up = False
    facts.issue_grant("g", PAPER, LATER)
    facts.require_not_revoked("g", NOW)
    market.ledger.up = True
    facts.require_not_revoked("g", NOW)  # not sent yet, and not refused for that
    facts.flush()
    market.ledger.up = False
    facts.require_not_revoked("g", NOW)


def test_no_verb_waits_for_the_chain_where_a_thread_sends(market: Market) -> None:
    """A chain takes tens of facts a second: every contract that was finalized stood in its queue."""
    answers, stop = threading.Event(), threading.Event()

    def chain() -> Chain:
        assert answers.wait(PATIENCE_S)
        return MemoryChain(market.ledger, "hospital-a")

    documents = market.grounds["hospital-a"].documents
    facts = ChainFacts(chain, documents, node="hospital-a")
    sender = facts.start(stop)
    facts.issue_grant("g", PAPER, LATER)
    facts.issue_grant("h", PAPER, LATER)
    assert kinds(market) == []
    assert [documents.get("chain_fact", f"grant:{name}")["done"] for name in "gh"] == [False, False]
    answers.set()
    stop.set()
    sender.join(PATIENCE_S)
    assert kinds(market) == ["GrantIssued", "GrantIssued"]
    facts.issue_grant("i", PAPER, LATER)  # nobody sends any more: it goes before the verb returns
    assert len(kinds(market)) == 3


def test_facts_that_were_sent_are_not_read_again(market: Market, facts: ChainFacts) -> None:
    for number in range(3):
        facts.issue_grant(f"g-{number}", PAPER, LATER)
    documents = market.grounds["hospital-a"].documents
    documents.put("chain_fact", "grant:g-0", {})  # would break whoever reads it
    facts.issue_grant("g-3", PAPER, LATER)
    assert len(kinds(market)) == 4


def test_grants_that_wait_go_together_between_what_was_said_before_and_after(market: Market, facts: ChainFacts) -> None:
    market.ledger.up = False
    facts.list_product(b"\x01" * 32)
    for number in range(TOGETHER + 2):
        facts.issue_grant(f"g-{number}", PAPER, LATER)
    facts.revoke_grant("g-1")
    facts.issue_grant("last", PAPER, LATER)
    market.ledger.up = True
    assert facts.flush() == 0
    said = ["ProductListed", *["GrantIssued"] * (TOGETHER + 2), "GrantRevoked", "GrantIssued"]
    assert kinds(market) == said


def test_one_refused_grant_holds_up_none_of_those_it_was_sent_with(market: Market, facts: ChainFacts) -> None:
    MemoryChain(market.ledger, "hospital-a").issue_grant("g-1", "hospital-a", b"\x0b" * 32, LATER)
    market.ledger.up = False
    for number in range(3):
        facts.issue_grant(f"g-{number}", PAPER, LATER)
    market.ledger.up = True
    assert facts.flush() == 0
    documents = market.grounds["hospital-a"].documents
    kept = [documents.get("chain_fact", f"grant:g-{number}")["refused"] for number in range(3)]
    assert kept == ["", "GrantDiffers", ""]


def test_a_stop_between_a_batch_and_its_record_issues_nothing_twice(market: Market, tmp_path: Path) -> None:
    def away() -> Chain:
        raise ChainUnavailable("down")

    before = ChainFacts(away, SqliteDocuments(tmp_path / "d.db"), node="hospital-a")
    for number in range(4):
        before.issue_grant(f"g-{number}", PAPER, LATER)
    chain = MemoryChain(market.ledger, "hospital-a")
    chain.issue_grants("hospital-a", [NewGrant(f"g-{number}", PAPER, LATER) for number in range(3)])  # then it stopped
    again = ChainFacts(lambda: chain, SqliteDocuments(tmp_path / "d.db"), node="hospital-a")
    assert again.flush() == 0
    assert kinds(market) == ["GrantIssued"] * 4
