"""What the exchange tells everybody: of each product every step it was told, of itself how it stands."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient
from tests.catalog.samples import sample_product
from tests.node.market_stage import Market, person

from hdex.catalog.errors import IndexUnavailable, NotListed
from hdex.catalog.index import Catalogue
from hdex.catalog.index_memory import MemoryIndex
from hdex.catalog.ports import Page, Query
from hdex.catalog.web.app import create_app
from hdex.catalog.web.status import Health, Trouble
from hdex.ledger.anchor import Anchorer
from hdex.ledger.chain_memory import MemoryChain
from hdex.ledger.errors import ChainUnavailable, LogFailed
from hdex.ledger.note import Signer, cosign
from hdex.ledger.outbox_memory import MemoryOutbox
from hdex.node.errors import AccessDenied
from hdex.node.exchange.histories import MOST_STEPS, Histories
from hdex.node.exchange.listings import Listings
from hdex.node.exchange.public_status import FRESH_S, LATE, PublicStatus, Sources
from hdex.node.signed import Envelope, sign

HOSPITAL = person("hospital-a")


class Hall:
    """The exchange's listings with their history, and its status."""

    def __init__(self, folder: Path) -> None:
        self.market = Market(folder)
        ground = self.ground = self.market.exchange
        self.index = Shaky()
        self.catalogue = Catalogue(self.index)
        self.histories = Histories(ground.documents, node="exchange", clock=self.market.clock)
        self.listings = Listings(self.catalogue, self.market.directory, ground.recorder, history=self.histories)
        self.lines = {"hospital-a", "hospital-b", "hospital-c"}
        self.note = ""
        self.chain: MemoryChain | None = MemoryChain(self.market.ledger, "exchange")
        self.anchorer = Anchorer(self.chain, MemoryOutbox(), "exchange", clock=self.market.clock)
        sources = Sources(
            log=ground.log,
            published=lambda: self.note or ground.log.checkpoint(),
            anchoring=self.anchoring,
            lines=lambda: self.lines,
            directory=self.market.directory,
            catalogue=self.catalogue,
            witnesses=frozenset({"hospital-a", "hospital-b"}),
            needed=1,
        )
        self.status = PublicStatus(sources, clock=self.market.clock)

    def anchoring(self) -> Anchorer:
        if self.chain is None:
            raise ChainUnavailable("no chain is configured")
        return self.anchorer

    def sign(self, kind: str, document: dict[str, Any], who: str = "hospital-a") -> Envelope:
        return sign(kind, document, who, self.market.keys[who].secret("sign"))

    def publish(self, **given: Any) -> None:
        self.listings.publish(self.sign("manifest", sample_product(**given).document()), HOSPITAL)

    def step(self, to: str, version: str = "1.0.0") -> None:
        said = {"product": sample_product().id, "version": version, "to": to}
        self.listings.amend(self.sign("lifecycle", said), HOSPITAL)

    def cosign(self, *names: str) -> None:
        note = self.ground.log.checkpoint()
        signers = [Signer(name, self.market.keys[name].secret("witness")) for name in names]
        self.note = self.ground.log.add_cosignatures(note, [cosign(note, one, self.market.now) for one in signers])

    def anchor(self) -> None:
        self.anchorer.note(self.ground.log.checkpoint())
        self.anchorer.run_once()

    def versions(self) -> list[tuple[object, object]]:
        listing = self.catalogue.held(sample_product().id)
        assert listing is not None
        return [(row["version"], row["state"]) for row in self.histories.versions(listing)]


class Shaky(MemoryIndex):
    """An index whose database may be away."""

    away = False

    def find(self, query: Query) -> Page:
        if self.away:
            raise IndexUnavailable("the database does not answer")
        return super().find(query)


@pytest.fixture
def hall(tmp_path: Path) -> Hall:
    return Hall(tmp_path)


@contextmanager
def well(hall: Hall) -> Iterator[None]:
    hall.publish()
    hall.cosign("hospital-a", "hospital-b")
    hall.anchor()
    yield


def test_every_step_is_kept_with_its_place_in_the_log(hall: Hall) -> None:
    hall.publish()
    hall.market.later(days=1)
    hall.step("SUSPENDED")
    hall.step("LISTED")
    rows = hall.histories.timeline(sample_product().id)
    assert [row["action"] for row in rows] == [
        "catalogue.publish 1.0.0", "product.suspend 1.0.0", "product.resume 1.0.0",
    ]  # fmt: skip
    for row in rows:
        event = hall.ground.events()[int(str(row["index"]))]
        assert str(row["action"]).startswith(event.action.value)
        assert event.product == sample_product().id


def test_a_newer_version_supersedes_and_an_announced_one_waits(hall: Hall) -> None:
    hall.publish()
    hall.step("NOTICE", "1.1.0")
    assert hall.versions() == [("1.1.0", "NOTICE"), ("1.0.0", "LISTED")]
    hall.publish(version="1.1.0")
    assert hall.versions() == [("1.1.0", "LISTED"), ("1.0.0", "SUPERSEDED")]
    hall.step("REVOKED", "1.1.0")
    assert hall.versions()[0] == ("1.1.0", "REVOKED")


def test_a_step_told_again_is_one_step_and_old_ones_go(hall: Hall) -> None:
    hall.publish()
    hall.step("SUSPENDED")
    hall.step("SUSPENDED")
    assert len(hall.histories.timeline(sample_product().id)) == 2
    for _ in range(MOST_STEPS):
        hall.step("LISTED")
        hall.step("SUSPENDED")
    assert len(hall.histories.timeline(sample_product().id)) == MOST_STEPS


def test_what_is_refused_or_never_listed_has_no_history(hall: Hall) -> None:
    hall.step("NOTICE")
    hall.publish()
    foreign = sign("lifecycle", {"product": sample_product().id, "version": "1.0.0", "to": "REVOKED"}, "hospital-b",
                   hall.market.keys["hospital-b"].secret("sign"))  # fmt: skip
    with pytest.raises(AccessDenied):
        hall.listings.amend(foreign, person("hospital-b"))
    assert [row["action"] for row in hall.histories.timeline(sample_product().id)] == ["catalogue.publish 1.0.0"]


def test_a_product_listed_before_histories_were_kept_has_its_one_version(hall: Hall) -> None:
    hall.catalogue.publish(sample_product().document(), b"{}")
    assert hall.versions() == [("1.0.0", "LISTED")]
    assert hall.histories.timeline(sample_product().id) == []


def test_the_page_shows_versions_and_timeline(hall: Hall) -> None:
    hall.publish()
    hall.publish(version="1.1.0")
    app = create_app(hall.catalogue, timeline=hall.histories.timeline, versions=hall.histories.versions)
    page = TestClient(app).get(f"/products/{sample_product().id}").text
    assert "superseded" in page
    assert "catalogue.publish 1.1.0" in page


def test_a_well_exchange_has_no_trouble(hall: Hall) -> None:
    with well(hall):
        status = hall.status()
    assert (status.health, status.troubles) == (Health.SERVING, ())
    assert (status.log.size, status.log.cosigned_size, len(status.log.cosigned)) == (1, 1, 2)
    assert status.anchor is not None
    assert (status.anchor.size, status.anchor.waited) == (1, timedelta())
    assert {one.role: (one.listed, one.online) for one in status.members}["hospital"] == (3, 3)
    assert all(one.online is None for one in status.members if one.role != "hospital")
    assert (status.listed, status.newest) == (1, sample_product().issued)


def test_each_trouble_is_seen(hall: Hall) -> None:
    hall.publish()
    hall.anchor()
    assert hall.status().troubles == (Trouble.UNWITNESSED,)
    hall.cosign("hospital-b")
    hall.publish(version="1.1.0")
    hall.anchorer.note(hall.ground.log.checkpoint())
    hall.market.later(seconds=LATE.total_seconds() + 1)
    assert hall.status().troubles == (Trouble.UNWITNESSED, Trouble.ANCHOR_LATE)  # the witness has not seen it grow
    hall.cosign("hospital-a")
    hall.chain, hall.lines, hall.index.away = None, {"hospital-b"}, True
    hall.market.later(seconds=FRESH_S)
    status = hall.status()
    assert status.troubles == (Trouble.CHAIN_AWAY, Trouble.HOSPITALS_AWAY, Trouble.INDEX_AWAY)
    assert status.health == Health.FAILED
    assert (status.anchor, status.listed) == (None, None)


def test_a_log_that_cannot_be_written_is_told(hall: Hall) -> None:
    with well(hall):
        hall.ground.store.fails = True
        with pytest.raises(LogFailed):
            hall.publish(version="1.2.0")
    assert Trouble.LOG_FAILED in hall.status().troubles
    with pytest.raises(NotListed):
        hall.catalogue.get("never")


def test_a_foreign_line_is_no_cosignature(hall: Hall) -> None:
    hall.publish()
    note = hall.ground.log.checkpoint()
    forger = Signer("hospital-a", b"\x07" * 32)  # the right name, another key
    hall.note = hall.ground.log.add_cosignatures(note, [cosign(note, forger, hall.market.now)])
    assert Trouble.UNWITNESSED in hall.status().troubles


def test_it_is_gathered_once_for_everybody_who_asks_at_one_time(hall: Hall) -> None:
    with well(hall):
        first = hall.status()
    hall.lines = set()
    assert hall.status() is first
    hall.market.later(seconds=FRESH_S)
    assert hall.status().troubles == (Trouble.HOSPITALS_AWAY,)
