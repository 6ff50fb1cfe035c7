"""One suite for the Index port, run over every adapter."""

import random

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.catalog.samples import federated_only, sample_catalogue, sample_product

from hdex.catalog.errors import NotListed, ProductClosed, ProductWithdrawn, VersionConflict
from hdex.catalog.facets import FACETS
from hdex.catalog.index import Catalogue
from hdex.catalog.lifecycle import ProductState
from hdex.catalog.ports import Index, Query
from hdex.catalog.product import DataProduct, Provider
from hdex.catalog.terms import Text

pytestmark = pytest.mark.xdist_group("index")  # one PostgreSQL server for all of these


@pytest.fixture
def catalogue(index: Index) -> Catalogue:
    return Catalogue(index)


def fill(index: Index, products: list[DataProduct]) -> None:
    for product in products:
        index.publish(product, product.id.encode())


def found(index: Index, text: str = "", **given: object) -> list[str]:
    query = Query(text=text, limit=100, **given)  # type: ignore[arg-type]  # given by the test, by field name
    return [hit.product.id for hit in index.find(query).hits]


def counts(index: Index, facet: str, **given: object) -> dict[str, int]:
    query = Query(**given)  # type: ignore[arg-type]  # given by the test, by field name
    return {held.value: held.count for held in index.find(query).facets[facet]}


def test_what_was_published_is_got_back_with_its_envelope(index: Index) -> None:
    index.publish(sample_product(), b"signed")
    held = index.get("hospital-a.carotid-stents")
    assert held is not None
    assert (held.product, held.envelope, held.withdrawn) == (sample_product(), b"signed", False)


def test_an_empty_index_finds_nothing_and_counts_nothing(index: Index) -> None:
    page = index.find(Query())
    assert (page.hits, page.total) == ((), 0)
    assert {name: tuple(values) for name, values in page.facets.items()} == dict.fromkeys(FACETS, ())


@pytest.mark.parametrize(
    "text",
    [
        "carotid",
        "CAROTID stents",
        "支架",
        "颈动脉支架",
        "再狭窄",
        "架",
        "stent 支架",
        "caro",
        "Ｃａｒｏｔｉｄ",
        "protege",
    ],
)
def test_a_product_is_found_by_words_of_either_language(index: Index, text: str) -> None:
    fill(index, [sample_product(keywords=("再狭窄", "Protégé")), *sample_catalogue(8)[2:]])
    assert "hospital-a.carotid-stents" in found(index, text)


@pytest.mark.parametrize("text", ["carotid moon", "架支", "支架月球", "arotid", "!!!", '"', "title:carotid OR x*"])
def test_a_word_that_does_not_occur_finds_nothing(index: Index, text: str) -> None:
    fill(index, [sample_product()])
    assert found(index, text) == []


def test_a_title_ranks_before_a_mention(index: Index) -> None:
    mention = sample_product(id="x.mention", title=Text("Other vessels", "其他血管"))
    fill(index, [mention, sample_product(), *sample_catalogue(12)[2:]])
    assert found(index, "carotid") == ["hospital-a.carotid-stents", "x.mention"]
    assert found(index, "颈动脉")[0] == "hospital-a.carotid-stents"


def test_without_text_the_newest_stands_first(index: Index) -> None:
    fill(index, sample_catalogue(6))
    issued = [hit.product.issued for hit in index.find(Query()).hits]
    assert issued == sorted(issued, reverse=True)


def test_facets_count_without_their_own_choice(index: Index) -> None:
    products = sample_catalogue(40)
    fill(index, products)
    everywhere = {str(n): sum(p.level == n for p in products) for n in (2, 3, 5)}
    assert counts(index, "level", level=3) == everywhere
    at_level_3 = [p for p in products if p.level == 3]
    assert sum(counts(index, "provider", level=3).values()) == len(at_level_3)
    assert counts(index, "mode", level=5) == {"federated": 1}


def test_filters_narrow_and_pages_do_not_overlap(index: Index) -> None:
    products = sample_catalogue(40)
    fill(index, products)
    asked = {p.id for p in products if p.provider.id == "hospital-b" and p.allows("sealed_file")}
    assert set(found(index, provider="hospital-b", mode="sealed_file")) == asked
    pages = [index.find(Query(limit=15, offset=offset)) for offset in (0, 15, 30)]
    ids = [hit.product.id for page in pages for hit in page.hits]
    assert sorted(ids) == sorted(p.id for p in products)
    assert {page.total for page in pages} == {40}


def test_a_hundred_products_are_searched(index: Index) -> None:
    fill(index, sample_catalogue(100))
    assert len(found(index, "糖尿病")) == len(found(index, "diabetes")) == 20
    assert index.find(Query(limit=10)).total == 100


def test_a_newer_version_takes_the_place_and_the_old_words_are_forgotten(index: Index) -> None:
    index.publish(sample_product(), b"1")
    title = Text("Aortic valves", "主动脉瓣膜")
    index.publish(sample_product(version="1.1.0", title=title), b"2")
    assert found(index, "aortic") == found(index, "瓣膜") == ["hospital-a.carotid-stents"]
    assert index.find(Query()).total == 1
    assert found(index, "one-year") == []


def test_what_is_withdrawn_is_not_found_but_known(index: Index) -> None:
    fill(index, [sample_product(), federated_only()])
    index.mark("hospital-a.carotid-stents", ProductState.REVOKED)
    index.mark("nobody.knows-it", ProductState.REVOKED)
    assert found(index) == found(index, "carotid") == ["hospital-c.hiv-stents"]
    held = index.get("hospital-a.carotid-stents")
    assert held is not None
    assert held.withdrawn


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(text=st.text(max_size=60))
def test_no_text_is_syntax(index: Index, text: str) -> None:
    if index.get("hospital-a.carotid-stents") is None:
        index.publish(sample_product(), b"")
    assert index.find(Query(text=text)).total in (0, 1)


def test_all_adapters_find_the_same_in_the_same_order(every: list[Index]) -> None:
    products = sample_catalogue(60)
    for adapter in every:
        fill(adapter, products)
    chosen = random.Random(7)
    texts = ("", "cohort", "随访", "pressure", "血", "hospital", "I65", "follow-up 数据", "cohorts", '"blood pressure"')
    for text in texts:
        given = {"level": chosen.choice([None, 2, 3]), "provider": chosen.choice([None, "hospital-a"])}
        first, *others = [adapter.find(Query(text=text, limit=50, **given)) for adapter in every]  # type: ignore[arg-type]
        assert first.total or given["level"], text
        assert all(page == first for page in others), text


def test_versions_only_grow(catalogue: Catalogue) -> None:
    first = sample_product()
    catalogue.publish(first.document(), b"1")
    assert catalogue.publish(first.document(), b"again") == first
    assert catalogue.get(first.id).envelope == b"1"
    with pytest.raises(VersionConflict, match="another digest"):
        catalogue.publish(sample_product(records=1).document(), b"")
    catalogue.publish(sample_product(version="1.10.0").document(), b"2")
    with pytest.raises(VersionConflict, match=r"1\.9\.0 is asked, 1\.10\.0"):
        catalogue.publish(sample_product(version="1.9.0").document(), b"")


def test_nobody_takes_over_the_product_of_another_hospital(catalogue: Catalogue) -> None:
    catalogue.publish(sample_product().document(), b"")
    other = sample_product(version="2.0.0", provider=Provider("hospital-b", Text("B", "乙")))
    with pytest.raises(VersionConflict, match="another provider"):
        catalogue.publish(other.document(), b"")


def test_a_withdrawn_version_stays_withdrawn_and_a_new_one_is_listed(catalogue: Catalogue) -> None:
    product = sample_product()
    catalogue.publish(product.document(), b"")
    catalogue.withdraw(product.id)
    with pytest.raises(ProductWithdrawn):
        catalogue.get(product.id)
    with pytest.raises(VersionConflict, match="withdrawn"):
        catalogue.publish(product.document(), b"")
    catalogue.publish(sample_product(version="1.0.1").document(), b"")
    assert catalogue.get(product.id).product.version == "1.0.1"


def test_an_unknown_product_is_not_listed(catalogue: Catalogue) -> None:
    with pytest.raises(NotListed):
        catalogue.get("nobody.knows-it")
    with pytest.raises(NotListed):
        catalogue.withdraw("nobody.knows-it")


def test_a_refused_document_changes_nothing(catalogue: Catalogue) -> None:
    document = sample_product().document() | {"level": 9}
    with pytest.raises(ValueError, match="level 9"):
        catalogue.publish(document, b"")
    assert catalogue.find(Query()).total == 0


def test_only_what_is_listed_is_found_and_what_has_ended_stays_ended(catalogue: Catalogue) -> None:
    product = sample_product()
    catalogue.publish(product.document(), b"")
    assert catalogue.mark(product.id, "1.0.0", ProductState.SUSPENDED) == ProductState.SUSPENDED
    assert catalogue.find(Query()).total == 0
    with pytest.raises(ProductClosed, match="SUSPENDED"):
        catalogue.get(product.id)
    assert catalogue.mark(product.id, "0.9.0", ProductState.REVOKED) == ProductState.SUSPENDED  # an older version
    assert catalogue.mark(product.id, "1.0.0", ProductState.LISTED) == ProductState.LISTED
    assert catalogue.mark(product.id, "1.0.0", ProductState.EXPIRED) == ProductState.EXPIRED
    assert catalogue.mark(product.id, "1.0.0", ProductState.LISTED) == ProductState.EXPIRED
    with pytest.raises(NotListed):
        catalogue.mark("nobody.knows-it", "1.0.0", ProductState.REVOKED)
