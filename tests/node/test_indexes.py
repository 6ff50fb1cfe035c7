"""Which index an exchange has, and that listings are told to its saved searches."""

from pathlib import Path

import pytest
from tests.catalog.samples import sample_product
from tests.node.market_stage import Market, person

from hdex.catalog.index import Catalogue
from hdex.catalog.index_memory import MemoryIndex
from hdex.catalog.index_sqlite import SqliteIndex
from hdex.node.errors import ConfigInvalid
from hdex.node.exchange.indexes import open_index
from hdex.node.exchange.listings import Listings
from hdex.node.signed import sign


@pytest.mark.parametrize("url", ["postgresql://a:secret@h/db", "postgresql://h/db?password=secret", "mysql://h/db"])
def test_the_url_of_an_index_names_postgresql_and_no_password(url: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigInvalid, match="catalogue_index") as caught:
        open_index(url, tmp_path)
    assert "secret" not in str(caught.value)


def test_an_exchange_has_sqlite_unless_told_otherwise(tmp_path: Path) -> None:
    index = open_index("", tmp_path)
    assert isinstance(index, SqliteIndex)
    index.close()


class Ear:
    """Hears of listings and notes how the catalogue stood then."""

    def __init__(self, catalogue: Catalogue) -> None:
        self._catalogue = catalogue
        self.heard: list[tuple[str, bool]] = []

    def expect(self, product_id: str) -> None:
        self.heard.append((product_id, self._catalogue.held(product_id) is not None))

    def listed(self, product_id: str) -> None:
        self.heard.append((product_id, self._catalogue.held(product_id) is not None))


def test_a_listing_is_noted_before_it_is_made(tmp_path: Path) -> None:
    market, catalogue = Market(tmp_path), Catalogue(MemoryIndex())
    ear = Ear(catalogue)
    listings = Listings(catalogue, market.directory, market.exchange.recorder, listed=ear)
    hospital = person("hospital-a")
    manifest = sign("manifest", sample_product().document(), "hospital-a", market.keys["hospital-a"].secret("sign"))
    listings.publish(manifest, hospital)
    assert ear.heard == [("hospital-a.carotid-stents", False), ("hospital-a.carotid-stents", True)]
