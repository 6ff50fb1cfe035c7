"""A product is what its document says, and a product that breaks a rule of its level is none."""

import copy
import json
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.catalog.samples import (
    COLUMNS,
    complete_product,
    federated_only,
    sample_catalogue,
    sample_column,
    sample_product,
)

from hdex.catalog.errors import DocumentInvalid, ProductInvalid
from hdex.catalog.metadata import Ethics, Notice, Period
from hdex.catalog.price import PriceBasis
from hdex.catalog.product import (
    DataProduct,
    DeliveryMode,
    Preview,
    PreviewKind,
    Role,
    check,
    modes_of,
)
from hdex.catalog.terms import Terms, Text


@pytest.mark.parametrize("product", sample_catalogue(6), ids=lambda product: product.id)
def test_a_document_read_back_is_the_same_product(product: DataProduct) -> None:
    document = json.loads(json.dumps(product.document()))
    assert DataProduct.from_document(document) == product
    assert DataProduct.from_document(document).digest() == product.digest()


def test_the_digest_depends_on_every_field() -> None:
    plain = sample_product()
    others = [
        sample_product(version="1.0.1"),
        sample_product(records=2551),
        sample_product(title=Text("Carotid stents", plain.title.zh)),
        sample_product(terms=replace(plain.terms, expires=None)),
    ]
    assert len({product.digest() for product in (plain, *others)}) == 5


def test_the_digest_is_pinned_so_that_signed_manifests_stay_valid() -> None:
    minimal = federated_only().document()
    assert sorted(minimal) == sorted(set(minimal))
    assert "release" not in minimal  # what is absent is left out, not null
    assert len(federated_only().digest()) == 64


@pytest.mark.parametrize(
    ("path", "value", "problem"),
    [
        (("level",), "2", "level: int is asked, found str"),
        (("level",), True, "level: int is asked, found bool"),
        (("records",), 2**60, "below 2\\*\\*53"),
        (("title",), "words", "title: an object is asked"),
        (("title", "fr"), "mots", "title: unknown field 'fr'"),
        (("columns", 0, "role"), "owner", "columns\\[0\\].role: one of direct"),
        (("columns",), {}, "columns: a list is asked"),
        (("privacy", "max_risk"), float("nan"), "finite"),
        (("surprise",), 1, "unknown field 'surprise'"),
        (("preview", "rows", 0, "age_band"), [], "plain value"),
    ],
)
def test_a_document_of_another_shape_is_refused_by_field(
    path: tuple[str | int, ...], value: object, problem: str
) -> None:
    document = copy.deepcopy(sample_product().document())
    spot: object = document
    for key in path[:-1]:
        spot = spot[key]  # type: ignore[index]  # the path is right
    spot[path[-1]] = value  # type: ignore[index]  # the path is right
    with pytest.raises(DocumentInvalid, match=problem):
        DataProduct.from_document(document)


def test_a_missing_field_is_named() -> None:
    document = sample_product().document()
    del document["terms"]
    with pytest.raises(DocumentInvalid, match="'terms' is missing"):
        DataProduct.from_document(document)


FILE_AT_3 = (DeliveryMode.SEALED_FILE,)
SAMPLE = sample_product()
COMPLETE = complete_product()
assert COMPLETE.publisher is not None
assert COMPLETE.health is not None
PUBLISHER, HEALTH = COMPLETE.publisher, COMPLETE.health
BROKEN = {
    "a file at level 3": (sample_product(level=3, delivery_modes=FILE_AT_3), "level 3 does not permit sealed_file"),
    "a file at level 5": (replace(federated_only(), delivery_modes=FILE_AT_3), "level 5 does not permit sealed_file"),
    "level 4": (sample_product(level=4), "level 4 does not permit"),
    "level 4 without a mode": (sample_product(level=4, delivery_modes=()), "cannot be a product"),
    "level 6": (sample_product(level=6), "not in the scheme"),
    "a column above its product": (
        sample_product(columns=(sample_column("g", "G", "基", level=5),)),
        "level 5 in a product",
    ),
    "a column of level 4": (sample_product(columns=(sample_column("g", "G", "名", level=4),)), "level 4 is never"),
    "a direct identifier": (
        sample_product(columns=(sample_column("name", "Name", "姓名", role=Role.DIRECT),)),
        "direct identifier is never",
    ),
    "a column twice": (sample_product(columns=(COLUMNS[0], COLUMNS[0])), "stands twice"),
    "k below its level": (sample_product(privacy=replace(SAMPLE.privacy, k=5)), "k is 5, level 2 asks 10"),
    "a share above 1": (sample_product(privacy=replace(SAMPLE.privacy, attack_after=91.4)), "share from 0 to 1"),
    "an exact number of people": (sample_product(individuals_band="2550"), "a band"),
    "no Chinese title": (sample_product(title=Text("Stents", " ")), "English and Chinese"),
    "a bidirectional override": (sample_product(title=Text("Stents \u202etxt.exe", "支架")), "control characters"),
    "a version of two numbers": (sample_product(version="1.0"), "MAJOR.MINOR.PATCH"),
    "a path as id": (sample_product(id="../etc"), "id: lower-case"),
    "a free product with a price": (
        sample_product(price=replace(SAMPLE.price, basis=PriceBasis.FREE)),
        "free and 0 go together",
    ),
    "a row that does not say synthetic": (
        sample_product(preview=replace(SAMPLE.preview, rows=({"age_band": "60-69"},))),
        "does not say that it is synthetic",
    ),
    "a synthetic preview without epsilon": (
        sample_product(preview=Preview(kind=PreviewKind.SYNTHETIC)),
        "epsilon is not declared",
    ),
    "an aggregate preview with rows": (
        sample_product(preview=replace(SAMPLE.preview, kind=PreviewKind.AGGREGATE)),
        "has no rows",
    ),
    "a guided price without its document": (
        sample_product(price=replace(SAMPLE.price, basis=PriceBasis.GOVERNMENT_GUIDED, ceiling_cents=5_000_000)),
        "names its document",
    ),
    "a guided price above its ceiling": (
        sample_product(
            price=replace(SAMPLE.price, basis=PriceBasis.GOVERNMENT_GUIDED, ceiling_cents=1, document="No. 7")
        ),
        "keeps to its ceiling",
    ),
    "a public hospital at market prices without a document": (
        replace(COMPLETE, price=replace(SAMPLE.price, basis=PriceBasis.MARKET)),
        "names the document",
    ),
    "a second plan that breaks a price rule": (
        sample_product(plans=(replace(SAMPLE.price, currency="yuan"),)),
        "ISO 4217",
    ),
    "no delivery at all": (sample_product(max_deliveries=0), "max_deliveries"),
    "a homepage that runs": (
        replace(COMPLETE, publisher=replace(PUBLISHER, homepage="javascript:alert(1)")),
        "https address",
    ),
    "a mail address of two lines": (
        replace(COMPLETE, publisher=replace(PUBLISHER, email="a@b\nc")),
        "address is asked",
    ),
    "a theme that is no IRI": (replace(COMPLETE, health=replace(HEALTH, themes=("carotid stents",))), "IRIs"),
    "a country by name": (replace(COMPLETE, health=replace(HEALTH, countries=("China",))), "ISO 3166"),
    "ages in the wrong order": (replace(COMPLETE, health=replace(HEALTH, min_age=90, max_age=40)), "ages from 0"),
    "a retention that ends before it begins": (
        replace(COMPLETE, health=replace(HEALTH, retention=Period(start="2030-01-01", end="2020-01-01"))),
        "ends before it begins",
    ),
    "a notice of years": (sample_product(notice=Notice(listing_days=5000)), "0 to 366 days"),
    "approval and exemption at once": (
        sample_product(privacy=replace(SAMPLE.privacy, ethics=Ethics(approval="1", exemption="2"))),
        "ethics",
    ),
    "an exemption nobody answers for": (
        sample_product(privacy=replace(SAMPLE.privacy, ethics=Ethics(exemption="none needed"))),
        "who answers for it",
    ),
    "terms that permit nothing": (sample_product(terms=Terms(permitted=())), "permitted is empty"),
    "an unknown purpose": (sample_product(terms=Terms(permitted=("DUO:9999999",))), "vocabulary does not have"),
    "a digest of another kind": (sample_product(privacy=replace(SAMPLE.privacy, release_digest="abc")), "SHA-256 hex"),
}


@pytest.mark.parametrize("name", list(BROKEN))
def test_a_broken_rule_is_named(name: str) -> None:
    product, problem = BROKEN[name]
    with pytest.raises(DocumentInvalid, match=problem):
        DataProduct.from_document(product.document())


def test_a_file_of_level_3_goes_only_to_recipients_the_terms_name() -> None:
    named = replace(SAMPLE.terms, recipients=("buyer-heartline",))
    check(sample_product(level=3, delivery_modes=FILE_AT_3, terms=named))
    assert "sealed_file" not in modes_of(3)
    assert modes_of(5, recipients=("buyer-heartline",)) == ("federated",)


@given(level=st.integers(1, 5), modes=st.sets(st.sampled_from(DeliveryMode), min_size=1))
def test_no_product_has_a_mode_that_its_level_forbids(level: int, modes: set[DeliveryMode]) -> None:
    privacy = replace(SAMPLE.privacy, k=None)
    columns = (sample_column("x", "X", "某", level=1),)
    product = sample_product(level=level, delivery_modes=tuple(modes), privacy=privacy, columns=columns)
    if modes <= set(modes_of(level)):
        check(product)
    else:
        with pytest.raises(ProductInvalid):
            check(product)


def test_versions_are_compared_as_numbers() -> None:
    assert sample_product(version="1.10.0").version_key() > sample_product(version="1.9.9").version_key()
