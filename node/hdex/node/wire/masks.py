"""Field masks: which part of an answer is told. Paths address the answer's message, and JSON documents inside it.

`products.id` keeps the id of each product of a page. A path that no answer can have is refused, by name, before the
call does anything. Signed documents are told whole: a part of one proves nothing.
"""

from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from functools import cache
from typing import Any, TypeAlias, TypeVar, get_args, get_type_hints

from google.protobuf import descriptor_pool
from google.protobuf.descriptor import Descriptor
from google.protobuf.field_mask_pb2 import FieldMask
from google.protobuf.message import Message

from hdex.catalog.organisation import Organisation
from hdex.catalog.product import DataProduct
from hdex.ledger.document import load
from hdex.node.errors import RequestInvalid
from hdex.node.hospital.access_views import LINE as ACCESS_LINE
from hdex.node.vetting_views import FIELDS as VETTING
from hdex.node.wire.messages import MAX_DEPTH, dump

Tree = dict[str, Any]  # name -> Tree of what is kept below; an empty one keeps all
Field: TypeAlias = Any  # the stubs name two classes of field descriptors
Answer = TypeVar("Answer")
MASK, NEXT_PAGE = "fields", "next_page_token"
MOST_PATHS, LONGEST_PATH = 64, 200
_PACKAGE = "hdex.proto.v1."


@cache
def shape_of(kind: type) -> Tree:
    """Return the names that documents of a dataclass have, below each other; an empty tree where they are not fixed."""
    hints = get_type_hints(kind)
    return {entry.name: _below(hints[entry.name]) for entry in fields(kind)}


def _below(hint: Any) -> Tree:
    if isinstance(hint, type) and is_dataclass(hint):
        return shape_of(hint)
    if getattr(hint, "__origin__", None) not in (None, tuple) and issubclass(hint.__origin__, Mapping):
        return {}
    return next((found for inner in get_args(hint) if (found := _below(inner))), {})


def _shapes() -> dict[str, Tree]:
    """Return what stands in the JSON of a field, by its full name."""
    vetting: Tree = {name: {} for name in VETTING} | {"organisation": shape_of(Organisation)}
    return {
        f"{_PACKAGE}FindResponse.products": shape_of(DataProduct),
        f"{_PACKAGE}GetVettingResponse.vettings": vetting,
        f"{_PACKAGE}ListVettingsResponse.vettings": vetting,
        f"{_PACKAGE}ListAccessRequestsResponse.requests": {name: {} for name in ACCESS_LINE},
    }


SHAPES = _shapes()


def tree_of(request: object, method: str) -> Tree:
    """Return what a request's mask keeps of the answer, empty where it has none. Raises RequestInvalid.

    method: full gRPC name.
    """
    if not isinstance(request, Message):
        return {}
    field = request.DESCRIPTOR.fields_by_name.get(MASK)
    if field is None or field.message_type is None or field.message_type.full_name != FieldMask.DESCRIPTOR.full_name:
        return {}
    mask: FieldMask = getattr(request, MASK)
    if not mask.paths:
        return {}
    answer = _method(method).output_type
    tree = parsed(list(mask.paths), answer)
    if NEXT_PAGE in answer.fields_by_name:
        tree[NEXT_PAGE] = {}  # without it nobody could ask the next page
    return tree


def _method(name: str) -> Any:
    return descriptor_pool.Default().FindMethodByName(name.removeprefix("/").replace("/", "."))


def parsed(paths: list[str], answer: Descriptor) -> Tree:
    """Return paths as a tree. Raises RequestInvalid naming the first that no answer has."""
    if len(paths) > MOST_PATHS or max(map(len, paths)) > LONGEST_PATH:
        raise RequestInvalid(f"fields are {MOST_PATHS} paths at most, each of {LONGEST_PATH} characters")
    whole: list[list[str]] = []
    for path in paths:
        names = path.split(".")
        if not _known(names, answer):
            raise RequestInvalid(
                f"fields names {path!r}, which no answer has; it has {', '.join(answer.fields_by_name)}"
            )
        whole.append(names)
    tree: Tree = {}
    for names in sorted(whole, key=len, reverse=True):  # the shorter path is the wider: it comes last, and wins
        at = tree
        for name in names[:-1]:
            at = at.setdefault(name, {})
        at[names[-1]] = {}
    return tree


def _known(names: list[str], message: Descriptor) -> bool:
    field = message.fields_by_name.get(names[0])
    if field is None:
        return False
    if len(names) == 1:
        return True
    if field.message_type is not None:
        return not field.message_type.GetOptions().map_entry and _known(names[1:], field.message_type)
    return _in_shape(names[1:], SHAPES.get(field.full_name, {}))


def _in_shape(names: list[str], shape: Tree) -> bool:
    if names[0] not in shape:
        return False
    return len(names) == 1 or _in_shape(names[1:], shape[names[0]])


def masked(answer: Answer, tree: Tree) -> Answer:
    """Return an answer with nothing but what the tree keeps."""
    assert isinstance(answer, Message)
    for field, value in answer.ListFields():
        if field.name not in tree:
            answer.ClearField(field.name)
        elif below := tree[field.name]:
            _narrow(answer, field, value, below)
    return answer


def _narrow(message: Message, field: Field, value: Any, below: Tree) -> None:
    """Narrow one field of a message: messages and documents, one or many."""
    if field.message_type is not None:
        for child in value if is_repeated(field) else [value]:
            masked(child, below)
    elif is_repeated(field):
        value[:] = [_kept(raw, below) for raw in value]
    else:
        setattr(message, field.name, _kept(value, below))


def _kept(raw: bytes, below: Tree) -> bytes:
    return dump(pruned(load(raw, max_depth=MAX_DEPTH), below))


def pruned(value: Any, tree: Tree) -> Any:
    """Return a JSON value with nothing but what the tree keeps; of a list, of each item."""
    if isinstance(value, list):
        return [pruned(item, tree) for item in value]
    if not isinstance(value, dict) or not tree:
        return value
    return {name: pruned(held, tree[name]) for name, held in value.items() if name in tree}


def is_repeated(field: Field) -> bool:
    """Return whether a field holds many values."""
    return bool(field.is_repeated)
