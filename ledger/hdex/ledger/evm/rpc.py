"""JSON-RPC 2.0 around one dispatcher: bytes in, bytes out. Knows no transport."""

import json
import logging
from collections.abc import Callable, Sequence
from typing import cast

from hdex.ledger.errors import LedgerError
from hdex.ledger.evm.refusal import INTERNAL_ERROR, INVALID_REQUEST, PARSE_ERROR, RpcError

logger = logging.getLogger(__name__)

Dispatch = Callable[[str, Sequence[object]], object]
BATCH_LIMIT = 100
BRACKET_LIMIT = 4096  # py-evm lifts Python's recursion limit to 100,000: deeper JSON would overrun the C stack


def responder(dispatch: Dispatch) -> Callable[[bytes], bytes]:
    """Return a function that answers one HTTP body: a request or a batch of requests."""

    def respond(body: bytes) -> bytes:
        return json.dumps(answer_body(dispatch, body), separators=(",", ":")).encode()

    return respond


def answer_body(dispatch: Dispatch, body: bytes) -> object:
    """Return the JSON value that answers a body."""
    if body.count(b"[") + body.count(b"{") > BRACKET_LIMIT:
        return refusal(None, RpcError(PARSE_ERROR, f"the body has more than {BRACKET_LIMIT} lists and objects"))
    try:
        asked = json.loads(body)
    except ValueError:
        return refusal(None, RpcError(PARSE_ERROR, "the body is not JSON"))
    if not isinstance(asked, list):
        return answer(dispatch, asked)
    if not 0 < len(asked) <= BATCH_LIMIT:
        return refusal(None, RpcError(INVALID_REQUEST, f"a batch holds 1 to {BATCH_LIMIT} requests"))
    return [answer(dispatch, one) for one in asked]


def answer(dispatch: Dispatch, asked: object) -> dict[str, object]:
    """Return the response object to one request."""
    fields = cast("dict[str, object]", asked) if isinstance(asked, dict) else {}
    identity = fields.get("id")
    name, params = fields.get("method"), fields.get("params", [])
    if not isinstance(name, str) or not isinstance(params, list):
        return refusal(identity, RpcError(INVALID_REQUEST, "a request has a method and a list of params"))
    try:
        return {"jsonrpc": "2.0", "id": identity, "result": dispatch(name, params)}
    except RpcError as error:
        return refusal(identity, error)
    except LedgerError as error:
        return refusal(identity, RpcError(INTERNAL_ERROR, str(error)))
    except Exception:  # one bad request must not end the server
        logger.exception("chain request failed", extra={"method": name})
        return refusal(identity, RpcError(INTERNAL_ERROR, "internal error"))


def refusal(identity: object, error: RpcError) -> dict[str, object]:
    """Return the response object of a refusal."""
    return {"jsonrpc": "2.0", "id": identity, "error": error.document()}
