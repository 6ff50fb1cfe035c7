"""How a unary call runs once it is admitted, the same at every door: field mask, idempotency key, handler, bytes."""

from collections.abc import Callable
from typing import Any

from google.protobuf.message import Message

from hdex.node.authz import METHODS
from hdex.node.errors import RequestInvalid
from hdex.node.idempotency import NONE_KEPT, WRITES, KeyBook, call_of, without_key
from hdex.node.wire.admission import caller
from hdex.node.wire.masks import masked, tree_of

FULL_NAMES = {action: method for method, action in METHODS.items()}
Run = Callable[[Any, Any], bytes]


def conduct(keys: KeyBook | None, action: str, handler: Any, *, key: str = "") -> Run:
    """Return what runs a handler: (request, context) -> the serialised answer.

    A mask that names an unknown path is refused before anything happens. A key on a call that changes nothing has no
    effect: such a call may be repeated anyway.
    """

    def run(request: Any, context: Any) -> bytes:
        tree = tree_of(request, FULL_NAMES.get(action, ""))

        def answer() -> bytes:
            told = handler.unary_unary(request, context)
            return serialised(masked(told, tree) if tree else told, handler)

        if not key or action not in WRITES:
            return answer()
        if keys is None:
            raise without_key(NONE_KEPT, "this participant takes no idempotency keys; call without one")
        call = call_of(caller(context).spiffe_id, action, key, plain(request))
        return keys.once(call, answer)

    return run


def require_no_key(key: str) -> None:
    """Raise RequestInvalid where a stream comes under a key: its messages are not kept."""
    if key:
        raise RequestInvalid("a call answered by a stream takes no idempotency key; what it is about has its own id")


def serialised(answer: Any, handler: Any) -> bytes:
    """Return an answer as it travels."""
    if handler.response_serializer is None:
        return bytes(answer)
    raw: bytes = handler.response_serializer(answer)
    return raw


def plain(request: Any) -> bytes:
    """Return what a request says, in the same bytes whichever door it came through."""
    if isinstance(request, Message):
        return request.SerializeToString(deterministic=True)
    return bytes(request)
