"""Field masks keep what they name and nothing else, and know every path that an answer can have."""

import json
from typing import Any

import pytest
from google.protobuf.field_mask_pb2 import FieldMask
from hypothesis import given
from hypothesis import strategies as st
from tests.catalog.samples import complete_product, sample_product
from tests.node.access_people import People
from tests.node.market_stage import Market

from hdex.node.errors import RequestInvalid
from hdex.node.vetting_views import FIELDS, vetting_view
from hdex.node.wire.api_json import to_json
from hdex.node.wire.masks import LONGEST_PATH, MOST_PATHS, masked, parsed, pruned, tree_of
from hdex.proto.v1 import common_pb2, exchange_pb2

FIND = "/hdex.proto.v1.ExchangeService/Find"
PAGE: Any = exchange_pb2.FindResponse.DESCRIPTOR
LISTED: Any = exchange_pb2.ListContractsResponse.DESCRIPTOR


def page() -> exchange_pb2.FindResponse:
    document = json.dumps(complete_product(sample_product()).document()).encode()
    return exchange_pb2.FindResponse(products=[document, document], total=2, next_page_token="n", meant="m")


def keys(value: Any, at: str = "") -> set[str]:
    """Return every path of names in a JSON value."""
    if isinstance(value, list):
        return {path for item in value for path in keys(item, at)}
    if not isinstance(value, dict):
        return {at} if at else set()
    paths = [keys(held, f"{at}.{name}" if at else name) for name, held in value.items()]
    return set().union(*paths) if paths else {at} - {""}


def test_every_path_of_a_real_answer_is_known() -> None:
    document = to_json(page())
    titles = {"columns.titles", "title", "description"}
    for path in keys({"products": document["products"]}):
        names = path.split(".")
        cut = next((n for n in range(2, len(names) + 1) if ".".join(names[1:n]) in titles), len(names))
        try:
            parsed([".".join(names[:cut])], PAGE)
        except RequestInvalid:
            parsed([".".join(names[: cut - 1])], PAGE)  # names that are data: languages, values, weights


@given(st.data())
def test_what_is_kept_is_what_was_named(data: st.DataObject) -> None:
    value = data.draw(
        st.recursive(
            st.integers(), lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from("abc"), inner)
        )
    )
    chosen = data.draw(st.sets(st.sampled_from(["a", "b", "a.b", "c.a"]), min_size=1))
    tree: dict[str, Any] = {}
    for path in sorted(chosen, key=lambda one: -one.count(".")):
        first, _, below = path.partition(".")
        tree.setdefault(first, {})
        tree[first] = {below: {}} if below else {}
    kept = pruned(value, tree)
    assert pruned(kept, tree) == kept
    for path in keys(kept):
        assert path not in keys(value) or path.split(".")[0] in tree


def test_the_wider_of_two_paths_wins_and_pages_go_on() -> None:
    request = exchange_pb2.FindRequest(fields=FieldMask(paths=["products.price.currency", "products.price"]))
    tree = tree_of(request, FIND)
    assert tree == {"products": {"price": {}}, "next_page_token": {}}
    kept = to_json(masked(page(), tree), tree)
    assert set(kept) == {"products", "next_page_token"}
    assert set(kept["products"][0]) == {"price"}
    assert set(kept["products"][0]["price"]) > {"currency"}


def test_messages_in_lists_are_narrowed_and_signed_papers_are_whole() -> None:
    rows = [common_pb2.ContractStatus(contract_id="c", state="AGREED", agreement=b'{"document": {}}')] * 2
    answer = exchange_pb2.ListContractsResponse(contracts=rows)
    tree = parsed(["contracts.state"], LISTED)
    assert to_json(masked(answer, tree), tree) == {"contracts": [{"state": "AGREED"}] * 2}
    with pytest.raises(RequestInvalid, match=r"agreement\.document"):
        parsed(["contracts.agreement.document"], LISTED)


@pytest.mark.parametrize(
    "paths",
    [
        *(["nothing"], [""], ["products."], ["products..id"], ["products.id.x"], ["total.x"], ["Products"], ["*"]),
        *(["x" * (LONGEST_PATH + 1)], ["total"] * (MOST_PATHS + 1)),
    ],
)
def test_other_paths_are_refused(paths: list[str]) -> None:
    with pytest.raises(RequestInvalid):
        parsed(paths, PAGE)


def test_a_request_without_a_mask_is_told_all() -> None:
    assert tree_of(exchange_pb2.FindRequest(), FIND) == {}
    assert tree_of(exchange_pb2.RemoveSearchRequest(id="x"), FIND) == {}
    assert tree_of(b"raw", FIND) == {}


def test_the_names_of_a_vetting_are_those_of_its_view(tmp_path: Any) -> None:
    people = People(Market(tmp_path, vetted=False))
    assert set(vetting_view(people.apply(), people.vettings)) == set(FIELDS)
