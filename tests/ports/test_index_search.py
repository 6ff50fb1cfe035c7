"""What is found and in which order: the same in every adapter of the Index port."""

from dataclasses import replace

import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.catalog.samples import HOSPITALS, sample_catalogue, sample_product
from tests.ports.postgres_server import Server

from hdex.catalog.errors import IndexUnavailable
from hdex.catalog.index import Catalogue
from hdex.catalog.index_postgres import PostgresIndex
from hdex.catalog.lifecycle import ProductState
from hdex.catalog.ports import Index, Page, Place, Query
from hdex.catalog.price import Price, PriceBasis, PricePlan
from hdex.catalog.product import DataProduct, Provider
from hdex.catalog.terms import Text

pytestmark = pytest.mark.xdist_group("index")  # one PostgreSQL server for all of these

STENTS = sample_product()
PLAIN = Text("Plain words.", "说明。")
SHOES = sample_product(
    id="hospital-b.walking",
    title=Text("Walking after hip surgery", "髋关节术后步行"),
    keywords=("mobility", "步行"),
    description=PLAIN,
)
EYES = sample_product(
    id="hospital-a.retina",
    title=Text("Retinal images and stent follow-up", "视网膜图像"),
    keywords=("ophthalmology",),
    description=PLAIN,
)


@pytest.fixture
def shop(index: Index) -> Catalogue:
    for product in (STENTS, SHOES, EYES):
        index.publish(product, b"")
    return Catalogue(index)


def ids(page: Page) -> list[str]:
    return [hit.product.id.partition(".")[2] for hit in page.hits]


@pytest.mark.parametrize(
    ("text", "asked"),
    [
        ("walked", ["walking"]),  # of one stem
        ("walks surgeries", ["walking"]),
        ("ophthalm", ["retina"]),  # the beginning of a word
        ('"hip surgery"', ["walking"]),  # side by side
        ('"surgery hip"', []),
        ("“hip surgery”", ["walking"]),
        ('hip "after', ["walking"]),  # a quote never closed quotes nothing
        ('"视网膜图像"', ["retina"]),
        ('"术后步行"', ["walking"]),
        ('"步行术后"', []),
        ("步行 walking", ["walking"]),
        ("视图", []),
        ("stent carotid", ["carotid-stents"]),
        ("WALKING\u200f", ["walking"]),  # a mark of direction
        ("'; DROP TABLE hdex_product; -- walking", []),
        ("<i>walking</i>", []),
        ("👣 walking", ["walking"]),
        ("walking\x00", ["walking"]),
        ("\ue000", []),
        ("walking NOT hip*", []),
        ("=walk", ["walking"]),
    ],
)
def test_words_are_found_as_written_by_stem_by_beginning_and_side_by_side(
    index: Index, shop: Catalogue, text: str, asked: list[str]
) -> None:
    assert ids(index.find(Query(text=text))) == asked


def test_a_title_weighs_more_than_a_keyword_and_that_more_than_a_description(index: Index) -> None:
    plain = sample_product(title=Text("Vessels", "血管"), keywords=(), description=PLAIN)
    in_body = replace(plain, id="a.body", description=Text("About asthma.", "说明。"))
    in_keywords = replace(plain, id="a.keyword", keywords=("asthma",))
    in_title = replace(plain, id="a.title", title=Text("Asthma", "哮喘"), issued="2020-01-01T00:00:00Z")
    newer = replace(in_body, id="a.newer", issued="2026-11-21T00:00:00.000Z")
    for product in (in_body, in_title, newer, in_keywords):
        index.publish(product, b"")
    assert ids(index.find(Query(text="asthma"))) == ["title", "keyword", "newer", "body"]


def test_of_equal_products_the_lower_id_stands_first(index: Index) -> None:
    for name in ("b.x", "a.x", "a.y", "a-z.x"):
        index.publish(sample_product(id=name, issued="2026-11-20T09:30:00.000+00:00"), b"")
    assert [hit.product.id for hit in index.find(Query(text="carotid")).hits] == ["a-z.x", "a.x", "a.y", "b.x"]


def test_every_facet_narrows_and_counts(index: Index) -> None:
    free = Price(basis=PriceBasis.FREE, amount_cents=0, currency="CNY", plan=PricePlan.PER_QUERY)
    for product in (STENTS, replace(SHOES, price=free), EYES):
        index.publish(product, b"")
    for name, value, total in (("price", "free", 1), ("plan", "one_off", 2), ("grade", "A", 3), ("category", "x", 0)):
        assert index.find(Query(**{name: value})).total == total  # type: ignore[arg-type]  # one facet at a time
    page = index.find(Query(price="free", purpose="DUO:0000007"))
    assert {held.value: held.count for held in page.facets["price"]} == {"cost_based": 2, "free": 1}
    assert {held.value: held.count for held in page.facets["plan"]} == {"per_query": 1}


@pytest.mark.parametrize("value", ["", "\x00", "'", "{}", "漢" * 500])
def test_a_value_that_no_product_has_finds_nothing(index: Index, shop: Catalogue, value: str) -> None:
    assert index.find(Query(provider=value)).total == 0


def test_pages_neither_repeat_nor_leave_out_while_products_come_and_go(index: Index) -> None:
    products = sample_catalogue(30)
    for product in products:
        index.publish(product, b"")
    first = index.find(Query(limit=10))
    index.publish(sample_product(id="a.newest", issued="2027-01-01T00:00:00.000Z"), b"")
    index.mark(first.hits[-1].product.id, ProductState.SUSPENDED)  # the very hit that the place names
    second = index.find(Query(limit=15, after=first.follows))
    third = index.find(Query(limit=15, after=second.follows))
    found = [hit.product.id for page in (first, second, third) for hit in page.hits]
    assert sorted(found) == sorted(product.id for product in products)
    assert third.follows is None


def test_what_is_suspended_is_gone_at_once_and_comes_back(index: Index, shop: Catalogue) -> None:
    index.mark(SHOES.id, ProductState.SUSPENDED)
    assert index.find(Query(text="walking")).total == 0
    assert index.find(Query()).total == 2
    assert not index.names_like("walkin")
    index.mark(SHOES.id, ProductState.LISTED)
    assert ids(index.find(Query(text="walking"))) == ["walking"]
    assert index.names_like("walkin") == {"walking": 1}


@pytest.mark.parametrize(
    ("text", "meant", "found"),
    [
        ("ophtalmology", "ophthalmology", ["retina"]),
        ("Ophtahlmologi", "ophthalmology", ["retina"]),  # two edits in a long word
        ("wlaking", "walking", ["walking"]),
        ("restenozis carotid", "restenosis carotid", ["carotid-stents"]),
        ("劲动脉", "颈动脉", ["carotid-stents"]),
        ("hupp", "", []),  # short words are near to many
        ("walking 20261", "", []),
        ("carotid walking", "", []),  # each word is found, the two never together
        ("xylophone", "", []),
    ],
)
def test_a_misspelt_name_is_looked_for_as_it_was_meant(
    shop: Catalogue, text: str, meant: str, found: list[str]
) -> None:
    page = shop.find(Query(text=text))
    assert (page.meant, sorted(ids(page))) == (meant, found)


def test_a_query_of_a_million_characters_is_cut_and_answered(shop: Catalogue) -> None:
    for text in ("a" * 10**6, "walking " * 10**5, '"' * 10**6, "漢" * 10**6, "* OR " * 10**5, "\u202e" * 10**6):
        shop.find(Query(text=text, limit=10**9, offset=10**12))
    assert shop.find(Query(text="walking " * 10**5)).total == 1


WORDS = st.sampled_from(
    ["stent", "stents", "heart failure", "心力衰竭", "心力", "lung-9", "ß", "Ünï", "ponies", "随访 follow"]
)
TEXTS = st.builds(" ".join, st.lists(WORDS, min_size=1, max_size=3))


@st.composite
def catalogues(draw: st.DrawFn) -> list[DataProduct]:
    products = []
    for number in range(draw(st.integers(1, 6))):
        hospital = draw(st.sampled_from(list(HOSPITALS)))
        given = {
            "title": Text(draw(TEXTS), draw(TEXTS)),
            "description": Text(draw(TEXTS), draw(TEXTS)),
            "keywords": tuple(draw(st.lists(WORDS, max_size=2))),
            "issued": f"2026-11-{draw(st.integers(1, 3)):02d}T00:00:00.000Z",
            "provider": Provider(hospital, HOSPITALS[hospital]),
        }
        products.append(sample_product(id=f"a.p{number}", **given))
    return products


ASKED = st.one_of(
    TEXTS, st.builds('"{}" {}'.format, TEXTS, TEXTS), st.sampled_from(["", "s", "st", "心", "pony", "访"])
)


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(products=catalogues(), texts=st.lists(ASKED, min_size=1, max_size=6), provider=st.sampled_from(["", *HOSPITALS]))
def test_all_adapters_answer_alike(
    every: list[Index], products: list[DataProduct], texts: list[str], provider: str
) -> None:
    for adapter in every:
        for number in range(6):
            adapter.mark(f"a.p{number}", ProductState.SUSPENDED)
        for product in products:
            adapter.publish(product, b"")
    for text in texts:
        query = Query(text=text, provider=provider or None, limit=2)
        first, *others = [adapter.find(query) for adapter in every]
        assert all(page == first for page in others), text
        rest = [adapter.find(replace(query, after=first.follows, offset=1)) for adapter in every if first.follows]
        assert all(page == rest[0] for page in rest), text
    likes = [adapter.names_like("stnet") for adapter in every]
    assert likes[0] == likes[1] == likes[2]


def test_words_made_anew_give_the_same_answers(every: list[Index]) -> None:
    for adapter in every[1:]:
        for product in sample_catalogue(20):
            adapter.publish(product, b"")
        adapter.mark("hospital-c.hiv-stents", ProductState.REVOKED)
        queries = [Query(text=text) for text in ("", "糖尿病", "diabetes", "hiv")]
        before = [adapter.find(query) for query in queries]
        assert adapter.rebuild() == 20  # type: ignore[attr-defined]  # of those that keep a database
        assert [adapter.find(query) for query in queries] == before


def test_places_keep_their_order_far_in_time(every: list[Index]) -> None:
    for adapter in every:
        for year in ("0001", "1969", "9999"):
            adapter.publish(sample_product(id=f"a.y{year}", issued=f"{year}-01-01T00:00:00.000Z"), b"")
        page = adapter.find(Query(text="carotid", limit=1))
        assert page.follows == Place(8, 253370764800000, "a.y9999")
        assert ids(adapter.find(Query(text="carotid", after=page.follows))) == ["y1969", "y0001"]


def test_two_exchanges_share_one_database(index_server: Server, request: pytest.FixtureRequest) -> None:
    first, second = (PostgresIndex(index_server.url, connections=1) for _ in range(2))
    first.publish(sample_product(id="a.shared"), b"")
    held = second.get("a.shared")
    assert held is not None
    second.mark("a.shared", ProductState.REVOKED)
    assert "a.shared" not in [hit.product.id for hit in first.find(Query(text="carotid")).hits]
    first.close()
    second.close()


def test_a_server_that_is_gone_is_said_and_one_that_is_back_answers(index_server: Server) -> None:
    index = PostgresIndex(index_server.url, connections=1)
    index.publish(sample_product(id="a.kept"), b"")
    index_server.stop("immediate")
    with pytest.raises(IndexUnavailable, match="PostgreSQL"):
        index.find(Query())
    with pytest.raises(IndexUnavailable):
        PostgresIndex(index_server.url)
    index_server.start()
    held = index.get("a.kept")
    assert held is not None
    index.close()


def test_what_was_published_outlives_a_crash_of_a_server_that_commits_lazily(index_server: Server) -> None:
    def told(*statements: str) -> None:
        with psycopg.connect(index_server.url, autocommit=True) as connection:
            for statement in statements:
                connection.execute(statement)

    index = PostgresIndex(index_server.url, connections=1)
    told("ALTER SYSTEM SET synchronous_commit = off", "ALTER SYSTEM SET wal_writer_delay = '10s'")
    try:
        index_server.stop("fast")
        index_server.start()
        index.publish(sample_product(id="a.durable"), b"")
        index.mark("a.durable", ProductState.SUSPENDED)
        index_server.stop("immediate")
        index_server.start()
        held = index.get("a.durable")
        assert held is not None
        assert held.state == ProductState.SUSPENDED
    finally:
        told("ALTER SYSTEM RESET ALL", "SELECT pg_reload_conf()")
        index.close()
