"""The models of the protocol's messages: our own examples, the published ones, and every member's absence."""

import json
from collections.abc import Iterator
from contextlib import suppress
from copy import deepcopy
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.journeys.dsp_kit import SCHEMAS, Schemas

from hdex.catalog.contract import Message, Party, State, TransferMessage, TransferState
from hdex.catalog.dsp import CONTEXT
from hdex.node.dsp.messages import ACTS, catalog, error, message_of, path_of, shown, versions
from hdex.node.dsp.process import Kind, Process
from hdex.node.dsp.said import Said
from hdex.node.errors import RequestInvalid
from hdex.node.wire.dsp_messages import MODELS, read_message

TYPES = frozenset(MODELS)
VECTORS = json.loads((Path(__file__).parents[1] / "vectors/dsp_messages.json").read_text(encoding="utf-8"))
OWN: list[dict[str, Any]] = VECTORS["accepted"]
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | st.text(max_size=4),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=6,
)
needs_schemas = pytest.mark.skipif(not SCHEMAS.exists(), reason="shared/data is absent")


def read(document: Any) -> Said:
    return read_message(json.dumps(document).encode(), TYPES)


def published() -> list[Path]:
    return sorted(path for path in SCHEMAS.glob("*/example/*-message*.json") if path.parts[-3] != "catalog")


def places(document: Any, where: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Yield the path of every member."""
    inside = (
        document.items() if isinstance(document, dict) else enumerate(document) if isinstance(document, list) else ()
    )
    for key, value in inside:
        yield (*where, key)
        yield from places(value, (*where, key))


def without(document: Any, where: tuple[Any, ...]) -> Any:
    copy = deepcopy(document)
    inner = copy
    for key in where[:-1]:
        inner = inner[key]
    del inner[where[-1]]
    return copy


@pytest.mark.parametrize("document", OWN, ids=[one["@type"] for one in OWN])
def test_own_examples_are_read(document: dict[str, Any]) -> None:
    said = read(document)
    assert said.message.partition(":")[0] == document["@type"]
    assert said.consumer_pid == document.get("consumerPid", "")


@pytest.mark.parametrize("document", OWN, ids=[one["@type"] for one in OWN])
def test_a_context_alone_is_read_as_the_list_of_it(document: dict[str, Any]) -> None:
    """Processors of JSON-LD write a list of one context as that context."""
    alone = read(document | {"@context": CONTEXT})
    assert replace(alone, digest="") == replace(read(document | {"@context": [CONTEXT]}), digest="")
    with pytest.raises(RequestInvalid):
        read(document | {"@context": "https://w3id.org/dspace/2024/1/context.json"})


def test_an_address_is_the_same_with_a_slash_at_its_end() -> None:
    (first,) = [one for one in OWN if one["@type"] == "TransferRequestMessage"]
    said = read(first | {"callbackAddress": "https://buyer.example/dsp/"})
    assert said.callback == "https://buyer.example/dsp"


def test_every_type_has_an_example() -> None:
    assert {one["@type"] for one in OWN} == TYPES


@needs_schemas
@pytest.mark.parametrize("path", published(), ids=lambda path: path.stem)
def test_published_examples_are_read(path: Path) -> None:
    read(json.loads(path.read_text(encoding="utf-8")))


@needs_schemas
@pytest.mark.parametrize("document", OWN, ids=[one["@type"] for one in OWN])
def test_what_the_schemas_refuse_the_models_refuse(document: dict[str, Any]) -> None:
    """Each member left out, and each replaced by a number, in turn: the models are at least as strict."""
    schemas, kind = Schemas(), document["@type"]
    assert schemas.fault(document, kind) == ""
    for where in places(document):
        changed = deepcopy(document)
        inner = changed
        for key in where[:-1]:
            inner = inner[key]
        inner[where[-1]] = 7
        for one in (without(document, where), changed):
            if schemas.fault(one, kind):
                with pytest.raises(RequestInvalid):
                    read(one)


@needs_schemas
@pytest.mark.parametrize("message", [*Message, *TransferMessage])
def test_what_we_send_fits_the_schemas(message: Message | TransferMessage) -> None:
    rule = {"permission": [{"action": "use"}], "target": "urn:d"}
    process = Process(
        kind=Kind.NEGOTIATION, role=Party.PROVIDER, pid="urn:p", peer="b", peer_pid="urn:c", state="REQUESTED",
        offer={"@id": "o", "@type": "Offer", **rule}, agreement_id="urn:a", format="HttpData-PULL",
        agreement={"@id": "a", "@type": "Agreement", "assigner": "a", "assignee": "b", **rule},
        data_address={"@type": "DataAddress", "endpointType": "t"}, paper={"document": {}, "signatures": []},
    )  # fmt: skip
    first = message is TransferMessage.REQUEST
    told = message_of(process, message, callback="https://a.example/dsp" if first else "")
    assert Schemas().fault(told, str(told["@type"])) == ""
    read(told)


@pytest.mark.parametrize(
    ("pid", "part"),
    [
        ("urn:uuid:8a-b_c.d~e", "urn:uuid:8a-b_c.d~e"),
        ("https://kit.example/p/1?x=2#y", "https:%2F%2Fkit.example%2Fp%2F1%3Fx=2%23y"),
        ("a b%2F\u00e9", "a%20b%252F%C3%A9"),
    ],
)
def test_the_other_sides_id_is_one_part_of_the_path(pid: str, part: str) -> None:
    process = Process(kind=Kind.NEGOTIATION, role=Party.PROVIDER, pid="urn:p", peer="b", peer_pid=pid)
    assert path_of(process, ACTS[Kind.NEGOTIATION]["offer"]) == f"/negotiations/{part}/offers"


@needs_schemas
def test_what_we_answer_fits_the_schemas() -> None:
    schemas = Schemas()
    for kind, state in ((Kind.NEGOTIATION, State.AGREED), (Kind.TRANSFER, TransferState.STARTED)):
        process = Process(kind=kind, role=Party.CONSUMER, pid="urn:c", peer="b", peer_pid="urn:p", state=state)
        schemas.require(shown(process))
    ids = {"providerPid": "", "consumerPid": "urn:c"}
    for name in ("CatalogError", "ContractNegotiationError", "TransferError"):
        schemas.require(error(name, "code", "reason", ids))
    schemas.require(catalog("hospital-a", "https://a.example/dsp", []))
    assert schemas.fault(versions(), "VersionResponse") == ""


@given(st.sampled_from(sorted(TYPES)), st.dictionaries(st.text(max_size=12), JSON, max_size=6))
def test_whatever_comes_is_read_or_refused(kind: str, members: dict[str, Any]) -> None:
    with suppress(RequestInvalid):
        assert read({**members, "@type": kind}).digest


def test_a_refusal_repeats_no_value() -> None:
    secret = "Zhang-Wei-1962"
    document = deepcopy(OWN[0])
    document["offer"]["permission"] = [{"action": [secret]}]
    document["consumerPid"] = {secret: secret}
    with pytest.raises(RequestInvalid) as refused:
        read(document)
    assert secret not in str(refused.value)
    assert "consumerPid" in str(refused.value)


def test_members_that_no_schema_names_are_not_kept() -> None:
    said = read({**OWN[0], "offer": {**OWN[0]["offer"], "surprise": "x"}, "surprise": "x"})
    assert said.offer == OWN[0]["offer"]


@pytest.mark.parametrize("document", [None, 3, "x", [], {}, {"@type": ["ContractRequestMessage"]}, {"@type": None}])
def test_what_is_no_message_is_refused(document: object) -> None:
    with pytest.raises(RequestInvalid):
        read(document)


@pytest.mark.parametrize("value", [r'"\ud800"', r'"\udfff\ud800"', "NaN", "-Infinity", "1e999"])
def test_what_no_answer_could_repeat_is_refused(value: str) -> None:
    """It was kept, and the error that told of it could not be written either: half a character is no text."""
    text = json.dumps({**OWN[0], "urn:hdex:paper": {"said": "here"}}).replace('"here"', value)
    with pytest.raises(RequestInvalid):
        read_message(text.encode(), TYPES)
    assert read_message(text.replace(value, r'"\ud83d\ude00"').encode(), TYPES).paper == {"said": "\U0001f600"}


def test_a_deep_policy_is_refused() -> None:
    constraint: dict[str, Any] = {"leftOperand": "a", "operator": "eq", "rightOperand": "b"}
    for _ in range(40):
        constraint = {"and": [constraint]}
    document = deepcopy(OWN[0])
    document["offer"]["permission"] = [{"action": "use", "constraint": [constraint]}]
    with pytest.raises(RequestInvalid, match="deep"):
        read(document)
