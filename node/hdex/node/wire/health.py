"""grpc.health.v1 at a participant's server, and reflection where its operator has switched it on."""

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

from hdex.node.errors import ConfigInvalid, LimitExceeded, NotFound
from hdex.node.wire.server import Adder

Context = grpc.ServicerContext
Status = health_pb2.HealthCheckResponse
LOOK_S = 1.0
MOST_WATCHES = 16  # each holds a worker for as long as it is open


class HealthServicer(health_pb2_grpc.HealthServicer):  # type: ignore[misc]  # untyped
    """Says whether calls are answered, of the whole server ("") or of one of its services."""

    def __init__(self, services: Sequence[str], is_serving: Callable[[], bool]) -> None:
        self._services = frozenset(services)
        self._is_serving = is_serving
        self._watches = threading.BoundedSemaphore(MOST_WATCHES)

    def Check(self, request: Any, context: Context) -> Any:
        if request.service and request.service not in self._services:
            raise NotFound("no service of that name is served here")
        return Status(status=self._status(request.service))

    def Watch(self, request: Any, context: Context) -> Iterator[Any]:
        if not self._watches.acquire(blocking=False):
            raise LimitExceeded(f"{MOST_WATCHES} watch at most; ask Check")
        try:
            yield from self._changes(request.service, context)
        finally:
            self._watches.release()

    def _changes(self, service: str, context: Context) -> Iterator[Any]:
        last = None
        while context.is_active():
            status = self._status(service)
            if status != last:
                last = status
                yield Status(status=status)
            time.sleep(LOOK_S)

    def _status(self, service: str) -> int:
        if service and service not in self._services:
            return int(Status.SERVICE_UNKNOWN)
        return int(Status.SERVING if self._is_serving() else Status.NOT_SERVING)


def health_adder(services: Sequence[str], is_serving: Callable[[], bool]) -> Adder:
    """Return the health service of a server."""
    servicer = HealthServicer(services, is_serving)
    return lambda server: health_pb2_grpc.add_HealthServicer_to_server(servicer, server)


def reflection_adder(services: Sequence[str]) -> Adder:
    """Return the reflection service of a server. Raises ConfigInvalid where its package is not installed."""
    try:
        from grpc_reflection.v1alpha import reflection, reflection_pb2_grpc
    except ImportError as error:
        raise ConfigInvalid("listen.reflection is on: install hdex[reflection], or switch it off") from error
    servicer = reflection.ReflectionServicer([*services, reflection.SERVICE_NAME])
    return lambda server: reflection_pb2_grpc.add_ServerReflectionServicer_to_server(servicer, server)
