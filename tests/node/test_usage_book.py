"""The book of uses reads the log of all years, and nothing but the log."""

from datetime import UTC, datetime
from pathlib import Path

import pytest
import typer
from tests.node.market_stage import person

from hdex.catalog.price import PricePlan
from hdex.catalog.quota import Quota, Used
from hdex.catalog.quote import Order
from hdex.ledger.detail import Details
from hdex.ledger.detail_memory import MemoryDetailStore
from hdex.ledger.note import Signer, parse_checkpoint
from hdex.ledger.shard_sqlite import Shards
from hdex.node.cli.buy_invoices import order_of
from hdex.node.cli.node_billing import invoice_app
from hdex.node.directory import Directory, member_of
from hdex.node.errors import ConfigInvalid, NotFound
from hdex.node.hospital.accesses import Accesses, Buyers, Question
from hdex.node.hospital.usage_book import UsageBook
from hdex.node.keys import STANDARD, MemoryKeys, data_key
from hdex.node.recorder import Recorder

NODE = "hospital-a"
BUYER = person("buyer-heartline")


class Years:
    """A hospital's log on disk, and the time."""

    def __init__(self, folder: Path) -> None:
        self.now = datetime(2026, 12, 31, 23, 0, tzinfo=UTC)
        self.keys = MemoryKeys(dict(STANDARD))
        self.shards = Shards(folder, NODE, signer=lambda origin: Signer(origin, self.keys.secret("log")), clock=self.at)
        self.log = self.shards.open()
        details = Details(MemoryDetailStore(), data_key(self.keys, "event details"))
        self.recorder = Recorder(self.log, details, node=NODE, organisation="A", clock=self.at)

    def at(self) -> datetime:
        return self.now

    def book(self) -> UsageBook:
        return UsageBook(self.log, self.shards.past, node=NODE, clock=self.at)

    def export(self, contract: str = "c-1") -> None:
        self.recorder.allow("export", BUYER, contract=contract, rows=400, bytes=10)

    def accesses(self, folder: Path) -> Accesses:
        nobody = Buyers(holders=dict, of_event=lambda _: "", commitments=lambda _: ())
        return Accesses(self.log, folder, buyers=nobody, anchored=lambda: 1, needed=1, past=self.shards.past)


@pytest.fixture
def years(tmp_path: Path) -> Years:
    return Years(tmp_path)


def test_the_life_of_a_contract_is_told_over_the_years(years: Years, tmp_path: Path) -> None:
    years.recorder.allow("contract.request", BUYER, contract="c-1")
    years.recorder.allow("contract.request", BUYER, contract="c-2")
    years.now = datetime(2027, 1, 1, 0, 30, tzinfo=UTC)
    years.recorder.allow("contract.agree", BUYER, contract="c-1")
    accesses = years.accesses(tmp_path)
    for _ in range(2):  # the index of a finished year is made once
        told = [(one["year"], one["index"], one["action"], one["state"]) for one in accesses.life_of("c-1")]
        assert told == [(2026, 0, "contract.request", "anchored"), (2027, 1, "contract.agree", "durable")]


def test_accesses_of_all_years_are_found_newest_first_and_each_once(years: Years, tmp_path: Path) -> None:
    accesses = years.accesses(tmp_path)
    for _ in range(3):
        years.export()
    assert accesses.find(Question())["total"] == 3
    for year in (2027, 2028):  # the same process sees the years begin
        years.now = datetime(year, 1, 1, 0, 30, tzinfo=UTC)
        years.export()
        years.export("c-2")
    expected = [(2028, 2), (2028, 1), (2027, 2), (2027, 1), (2026, 2), (2026, 1), (2026, 0)]  # a year begins by a link
    for reader in (accesses, years.accesses(tmp_path)):
        seen, before = [], 0
        while True:
            found = reader.find(Question(), before=before, limit=2)
            seen += [(row["year"], row["index"]) for row in found["rows"]]
            before = found["next"]
            if not before:
                break
        assert (found["total"], seen) == (7, expected)
        assert reader.find(Question(until="2027-01-01T00:00:00.000Z"))["total"] == 3
    states = {row["year"]: row["state"] for row in found["rows"]}
    assert states == {2026: "anchored"}  # by the anchor of a later year, whose first entry carries its head


def test_a_delivery_over_new_year_is_one_and_both_months_have_their_head(years: Years) -> None:
    book = years.book()
    years.export()
    assert book.used("c-1").rows == 400  # folded while the year lasts
    years.now = datetime(2027, 1, 1, 0, 30, tzinfo=UTC)
    years.export()
    years.export("c-2")
    for reader in (book, years.book()):  # one that saw the year end, and one opened after it
        december, january = (reader.usage("c-1", month) for month in ("2026-12", "2027-01"))
        assert (december.deliveries, december.bytes, january.deliveries, january.bytes) == (1, 10, 0, 10)
        assert [parse_checkpoint(one.checkpoint).origin for one in (december, january)] == [
            f"hdex/{NODE}/2026", f"hdex/{NODE}/2027",
        ]  # fmt: skip
        assert reader.used("c-1") == Used(rows=400, bytes=20)
        assert reader.contracts() == ["c-1", "c-2"]
        with pytest.raises(NotFound, match="2025"):
            reader.usage("c-1", "2025-12")


def test_an_invoice_of_last_year_is_proven_from_its_own_shard(years: Years) -> None:
    book, digest = years.book(), "ab" * 32
    years.recorder.allow("invoice.issue", BUYER, contract="c-1", result_digest=digest)
    years.now = datetime(2027, 1, 1, 0, 30, tzinfo=UTC)
    years.export()
    place = book.entry(digest)
    assert place is not None
    keeper = member_of(NODE, "hospital", organisation="A", trust_domain="hdex.test", keys=years.keys, endpoint="h:1")
    assert book.proof(place).event(Directory("hdex.test", "x", (keeper,)).member(NODE)).result_digest == digest
    assert book.entry("cd" * 32) is None


def test_what_was_refused_uses_nothing(years: Years) -> None:
    years.recorder.deny("export", BUYER, "quota.rows", contract="c-1", rows=400, bytes=10)
    assert years.book().used("c-1", Quota(rows=1)) == Used()
    assert years.book().contracts() == []


# ---- the command line's own words --------------------------------------------------------------------------------


def test_an_order_is_read_from_the_command_line() -> None:
    assert order_of("", "") == Order()
    assert order_of("per_query", " a, b ,,") == Order(plan=PricePlan.PER_QUERY, columns=("a", "b"))
    with pytest.raises(ConfigInvalid, match="one_off"):
        order_of("cheap", "")


@pytest.mark.parametrize("words", [[], ["--month", "2026-11", "--to-date"]])
def test_an_invoice_is_over_a_month_or_to_date(words: list[str]) -> None:
    command = typer.main.get_command(invoice_app)
    with pytest.raises(ConfigInvalid, match="not both"):
        command.main(["issue", "c-1", "-c", "x.toml", "--desk", "x", *words], standalone_mode=False)
