"""Page tokens: every item once whatever comes and goes between, and no token for another query or participant."""

import base64
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hdex.node.errors import RequestInvalid
from hdex.node.wire.page_tokens import LARGEST_PAGE, LONGEST, PAGE, asked_of, binding_of, page_of, read_token
from hdex.proto.v1 import exchange_pb2

LIST = exchange_pb2.ListContractsRequest
names = st.lists(st.text(st.characters(codec="utf-8"), min_size=1, max_size=6), unique=True, max_size=12)


def key(name: str) -> tuple[str]:
    return (name,)


@given(names, st.integers(1, 5), st.data())
def test_what_is_there_all_along_is_seen_once(items: list[str], size: int, data: st.DataObject) -> None:
    held, seen, token = list(items), list[str](), ""
    lasting = set(items)
    for step in range(60):
        asked = asked_of(LIST(page_size=size, page_token=token), "buyer")
        page, token = page_of(held, key, asked)
        assert len(page) <= size
        seen += page
        if not token:
            break
        added = data.draw(names) if step < 3 else []
        gone = data.draw(st.sets(st.sampled_from(held), max_size=2)) if held and step < 3 else set()
        gone -= set(seen)  # one that comes back is another
        held = [
            item
            for item in [*held, *(name for name in added if name not in held and name not in seen)]
            if item not in gone
        ]
        lasting -= gone
    assert len(seen) == len(set(seen))
    assert lasting <= set(seen)


def test_a_page_is_as_large_as_is_asked_within_bounds() -> None:
    assert [asked_of(LIST(page_size=size), "b").size for size in (0, 1, 10**6)] == [PAGE, 1, LARGEST_PAGE]


def test_a_token_is_bound_to_query_and_participant_and_to_no_page() -> None:
    bound = binding_of(LIST(state="AGREED"), "b")
    assert bound == binding_of(LIST(state="AGREED", page_size=7, page_token="x"), "b")
    others = [binding_of(LIST(state="FINALIZED"), "b"), binding_of(LIST(state="AGREED"), "c")]
    others.append(binding_of(exchange_pb2.ListSearchesRequest(), "b"))
    assert bound not in others


def encoded(value: object) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).decode().rstrip("=")


@pytest.mark.parametrize(
    "token",
    [
        "x",
        "4",
        "é",
        "a" * (LONGEST + 1),
        encoded([]),
        encoded(["b"]),
        encoded(["b", 1]),
        encoded({"b": 1}),
        encoded("b"),
    ],
)
def test_what_was_not_handed_out_is_refused(token: str) -> None:
    with pytest.raises(RequestInvalid, match="first page"):
        read_token(token, "b")


@given(st.text(max_size=80))
def test_no_text_is_more_than_refused(text: str) -> None:
    with pytest.raises(RequestInvalid):
        read_token(text, "binding")
