"""Calls that change something, over lines that break: asked again, under the one key that each call has.

A call that must not run twice in full is sent with an idempotency key of its own, the same at every repeat, so that an
answer lost on its way is fetched and the call is not made anew. One whose paper may come twice is repeated as it is.
"""

import secrets
import time
from collections.abc import Callable
from typing import Any, NamedTuple

import grpc

from hdex.node.authz import METHODS
from hdex.node.errors import NodeError, PeerUnavailable, RemoteRefused
from hdex.node.idempotency import AGAIN, IN_FLIGHT, KEYLESS, WRITES
from hdex.node.wire.interceptors import IDEMPOTENCY_KEY

PAUSES_S = (0.0, 0.3)  # before each repeat over a line that broke
WAIT_S = 0.1  # between looks at a call that is still under way
# Who makes these goes on by itself: rounds from their journal, checkpoints with the next one.
LEFT_ALONE = frozenset({"KeyHolderService.CreateKey", "KeyHolderService.OpenSum", "WitnessService.AddCheckpoint"})
Pause = Callable[[float], None]


class Details(NamedTuple):
    """Details of a call; gRPC reads the attributes."""

    method: str
    timeout: float
    metadata: Any
    credentials: Any
    wait_for_ready: bool | None
    compression: Any


def repeated(details: Details, send: Callable[[Details], Any], *, pause: Pause = time.sleep) -> Any:
    """Return what `send` returns: PeerUnavailable and RemoteRefused are raised once no repeat can help.

    A call that only reads, or whose caller chose a key, is sent once. All repeats share the deadline of the call.
    """
    repeat = WRITES.get(action := METHODS.get(details.method, ""))
    if repeat is None or action in LEFT_ALONE or has_key(details):
        return send(details)
    end = time.monotonic() + details.timeout
    under_way = details if repeat is AGAIN else keyed(details)
    pauses, broke = list(PAUSES_S), None
    while True:
        try:
            return send(under_way._replace(timeout=max(end - time.monotonic(), 0.0)))
        except (PeerUnavailable, RemoteRefused) as error:
            if getattr(error, "rule", "") in KEYLESS:  # told before anything has happened
                return send(details._replace(timeout=max(end - time.monotonic(), 0.0)))
            wait_s = wait_after(error, pauses)
            if wait_s is None or time.monotonic() + wait_s >= end:
                raise
            broke = error
            pause(wait_s)
        except ValueError:  # the channel was closed meanwhile
            if broke is None:
                raise
            raise broke from None


def wait_after(error: NodeError, pauses: list[float]) -> float | None:
    """Return how long to wait before the call is repeated, None where it is over. pauses: what is left of them."""
    if isinstance(error, RemoteRefused):
        return WAIT_S if error.rule == IN_FLIGHT else None
    cause: Any = error.__cause__
    broke = isinstance(cause, grpc.RpcError) and cause.code() is grpc.StatusCode.UNAVAILABLE
    if not broke or error.rule or not pauses:  # a rule: the server itself has answered
        return None
    return pauses.pop(0)


def has_key(details: Details) -> bool:
    """Return whether a call's own caller chose a key."""
    return any(name == IDEMPOTENCY_KEY for name, _ in details.metadata or ())


def keyed(details: Details) -> Details:
    """Return the details of a call with a key that no other call has."""
    return details._replace(metadata=[*(details.metadata or ()), (IDEMPOTENCY_KEY, secrets.token_hex(16))])
