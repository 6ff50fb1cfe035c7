"""Who read what, from the node's own log: found, newest first, and told how far each entry is proven."""

from dataclasses import replace
from pathlib import Path

import pytest
from tests.node.desk_stage import buyers_of
from tests.node.market_stage import BUYER, EXCHANGE, OTHER, Market, person

from hdex.ledger.errors import ChainUnavailable, EventInvalid
from hdex.ledger.event import Action
from hdex.ledger.note import Signer, cosign
from hdex.node.errors import RequestInvalid
from hdex.node.hospital.accesses import ACCESSES, MOST_ROWS, Accesses, Question, state


class Desk:
    """Accesses over one hospital's log."""

    def __init__(self, folder: Path, needed: int = 1) -> None:
        self.market = Market(folder)
        self.ground = self.market.grounds["hospital-a"]
        self.folder, self.anchored, self.chain_is_up, self.needed = folder, 0, True, needed
        self.accesses = self.opened()

    def opened(self) -> Accesses:
        buyers = replace(buyers_of(self.market, "hospital-a"), holders=lambda: {"c-1": BUYER})
        return Accesses(self.ground.log, self.folder, buyers=buyers, anchored=self.covered, needed=self.needed)

    def covered(self) -> int:
        if not self.chain_is_up:
            raise ChainUnavailable("the chain is down")
        return self.anchored

    def record(self, count: int = 1, action: str = "export", **facts: str) -> None:
        for _ in range(count):
            self.ground.recorder.allow(action, person(BUYER), **facts)  # type: ignore[arg-type]  # texts of Facts

    def vouch(self, *names: str) -> None:
        note = self.ground.log.checkpoint()
        lines = [cosign(note, Signer(name, name.encode().ljust(32)[:32]), self.market.now) for name in names]
        self.ground.log.add_cosignatures(note, lines)


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path)


def test_only_accesses_are_found_newest_first(desk: Desk) -> None:
    desk.record(2, contract="c-1")
    desk.record(1, "ingest.run")
    desk.ground.recorder.allow("round.join", EXCHANGE, contract="c-1")
    desk.ground.recorder.allow("round.join", EXCHANGE, contract="c-9")
    found = desk.accesses.find(Question())
    assert found["total"] == 4
    assert [(row["index"], row["action"], row["consumer"]) for row in found["rows"]] == [
        (4, "round.join", ""),  # under a contract that is not held here
        (3, "round.join", BUYER),  # asked by the exchange for who holds the contract
        (1, "export", BUYER),
        (0, "export", BUYER),
    ]


def test_an_event_written_later_is_found_without_a_restart_and_after_one(desk: Desk) -> None:
    desk.record(3, contract="c-1")
    assert desk.accesses.find(Question())["total"] == 3
    desk.record(1500, contract="c-1")  # more than one batch of the index
    assert desk.accesses.find(Question())["total"] == 1503
    assert desk.opened().find(Question())["total"] == 1503


def test_pages_hold_every_access_once(desk: Desk) -> None:
    desk.record(23, contract="c-1")
    pages = [desk.accesses.find(Question(), skip=skip, limit=5)["rows"] for skip in range(0, 30, 5)]
    assert [row["index"] for page in pages for row in page] == list(range(22, -1, -1))


def test_a_log_that_grows_between_two_pages_doubles_and_drops_no_access(desk: Desk) -> None:
    desk.record(23, contract="c-1")
    seen, before = [], 0
    for _ in range(10):  # twice as many pages as there are
        found = desk.accesses.find(Question(), before=before, limit=5)
        seen += [row["index"] for row in found["rows"]]
        desk.record(3, contract="c-1")  # newer than every page that follows
        before = found["next"]
        if not before:
            break
    assert seen == list(range(22, -1, -1))


def test_one_kind_of_access_is_asked_for_and_its_question_stands_beside_it(desk: Desk) -> None:
    desk.record(2, contract="c-1")
    desk.record(1, "query.run", contract="c-1", request_digest="ab" * 32)
    desk.record(1, "query.run", contract="c-1", request_digest="cd" * 32)
    desk.accesses = Accesses(
        desk.ground.log, desk.folder, buyers=desk.accesses._buyers, anchored=desk.covered, needed=1,
        questions=lambda: {("c-1", "ab" * 32): {"kind": "count"}, ("c-2", "cd" * 32): {"kind": "mean"}},
    )  # fmt: skip
    found = desk.accesses.find(Question(action="query.run"))
    assert [row.get("question") for row in found["rows"]] == [None, {"kind": "count"}]
    with pytest.raises(RequestInvalid):
        Question(action="ingest.run")


def test_the_life_of_a_contract_is_its_steps_and_papers_not_its_accesses(desk: Desk) -> None:
    for action in ("contract.request", "contract.read", "contract.agree", "grant.issue", "export", "grant.revoke"):
        desk.record(1, action, contract="c-1")
    desk.record(1, "contract.request", contract="c-2")
    assert [step["action"] for step in desk.accesses.life_of("c-1")] == [
        "contract.request", "contract.agree", "grant.issue", "grant.revoke",
    ]  # fmt: skip
    assert desk.accesses.life_of("none") == []


@pytest.mark.parametrize(
    ("question", "total"),
    [
        (Question(product="a"), 2),
        (Question(consumer=BUYER), 4),
        (Question(consumer=BUYER, decision="deny"), 1),
        (Question(consumer=OTHER), 1),  # refused under another's contract
        (Question(consumer=BUYER, product="a"), 2),
        (Question(consumer="somebody"), 0),
        (Question(purpose="DUO:0000007"), 1),
        (Question(decision="deny"), 2),
        (Question(decision="allow"), 3),
        (Question(since="2026-11-21T22:00:00.000Z"), 5),
        (Question(until="2026-11-21T22:00:00.000Z"), 0),
    ],
)
def test_a_question_is_answered_by_its_fields(desk: Desk, question: Question, total: int) -> None:
    desk.record(2, contract="c-1", product="a")
    desk.record(1, contract="c-1", product="b", purpose="DUO:0000007")
    desk.ground.recorder.deny("export", person(BUYER), "contract.unknown", contract="c-7")
    desk.ground.recorder.deny("export", person(OTHER), "contract.foreign", contract="c-1")
    assert desk.accesses.find(question)["total"] == total


def test_an_entry_is_durable_then_witnessed_then_anchored(desk: Desk) -> None:
    desk.record(1, contract="c-1")
    desk.vouch("hospital-b")
    desk.record(1, contract="c-1")
    assert [row["state"] for row in desk.accesses.find(Question())["rows"]] == ["durable", "witnessed"]
    desk.anchored = 1
    found = desk.accesses.find(Question())
    assert [row["state"] for row in found["rows"]] == ["durable", "anchored"]
    assert found["log"]["witnesses"] == ["hospital-b"]
    desk.chain_is_up = False
    assert [row["state"] for row in desk.accesses.find(Question())["rows"]] == ["durable", "witnessed"]


def test_as_many_witnesses_count_as_the_configuration_asks(tmp_path: Path) -> None:
    desk = Desk(tmp_path, needed=2)
    desk.record(1, contract="c-1")
    desk.vouch("hospital-b")
    assert desk.accesses.find(Question())["rows"][0]["state"] == "durable"
    desk.vouch("hospital-b", "hospital-c")
    assert desk.accesses.find(Question())["rows"][0]["state"] == "witnessed"


@pytest.mark.parametrize(("skip", "limit"), [(-1, 10), (0, 0), (0, -1), (0, MOST_ROWS + 1)])
def test_a_page_is_bounded(desk: Desk, skip: int, limit: int) -> None:
    with pytest.raises(RequestInvalid):
        desk.accesses.find(Question(), skip=skip, limit=limit)


def test_a_question_is_bounded(desk: Desk) -> None:
    with pytest.raises(RequestInvalid):
        Question(product="x" * 300)
    with pytest.raises(RequestInvalid):
        Question(decision="maybe")
    with pytest.raises(EventInvalid):
        desk.accesses.find(Question(since="yesterday"))


def test_every_release_of_the_log_is_an_access() -> None:
    assert Action.EXPORT in ACCESSES
    assert Action.ROUND_JOIN in ACCESSES
    assert Action.INGEST_RUN not in ACCESSES


@pytest.mark.parametrize(("position", "told"), [(0, "anchored"), (1, "anchored"), (2, "witnessed"), (3, "durable")])
def test_a_state_is_by_what_covers_the_entry(position: int, told: str) -> None:
    assert state(position, {"anchored_size": 2, "witnessed_size": 3}) == told
