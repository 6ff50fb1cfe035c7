"""The door to stock Flower's processes: SuperLink and SuperNode speak protobuf over HTTPS since Flower 1.40.

The bundle (FAB) that starts a run carries no code: it names the installed algorithms by their digests. Whoever reaches
a SuperLink can send another one; a site's gatekeeper answers none but this.
"""

import hashlib
import io
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass

import httpx
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from flwr.proto.control_pb2 import RegisterNodeRequest, StartRunRequest
from flwr.proto.fab_pb2 import Fab
from flwr.proto.runtime_pb2 import AcquireTaskRequest
from flwr.supercore.control import ControlHttpClient
from flwr.supercore.interceptors import (
    RuntimeTokenHttpInterceptor,
    RuntimeVersionHttpInterceptor,
    SuperExecAuthHttpInterceptor,
)
from flwr.supercore.protobuf.client import ProtobufClientInterceptor
from flwr.supercore.retry import RetryInvoker, make_simple_http_retry_invoker
from flwr.supercore.runtime import RuntimeHttpClient

from hdex.federated.errors import FederatedError, SiteLost, StudyInvalid
from hdex.federated.statistics import installed_algorithms

CLIENT_TASK, SERVER_TASK = "flwr-clientapp", "flwr-serverapp"
RETRY_S = 30.0
_ACQUIRE = frozenset({"/flwr.proto.Runtime/AcquireTask"})
_EPOCH = (1980, 1, 1, 0, 0, 0)
_PROJECT = """[project]
name = "hdex"
version = "1.0.0"
description = "no code: sites run their installed algorithms"
license = "GPL-3.0-or-later"

[tool.flwr.app]
publisher = "hdex"

[tool.flwr.app.components]
serverapp = "hdex.federated.installed:coordinator"
clientapp = "hdex.federated.installed:site"

[tool.hdex.algorithms]
"""


@dataclass(frozen=True, slots=True, repr=False)
class Endpoint:
    """Where an API listens, and the CA (PEM) that its certificate must come from."""

    address: str  # host:port
    ca: bytes


def installed_bundle() -> bytes:
    """Return the bundle of what is installed here: the same bytes wherever the same algorithms are."""
    lines = [f'"{name}" = "{digest}"\n' for name, digest in sorted(installed_algorithms().items())]
    files = {"pyproject.toml": (_PROJECT + "".join(lines)).encode()}
    size, digest = len(files["pyproject.toml"]), hashlib.sha256(files["pyproject.toml"]).hexdigest()
    files[".info/CONTENT"] = f"pyproject.toml,{digest},{size * 8}\n".encode()
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, data in files.items():
            archive.writestr(zipfile.ZipInfo(name, _EPOCH), data)
    return buffer.getvalue()


def bundle_digest(bundle: bytes) -> str:
    """Return what Flower calls the FAB's hash."""
    return hashlib.sha256(bundle).hexdigest()


class Control:
    """A SuperLink's control API. Flower's open edition asks nobody who calls: keep its port on loopback."""

    def __init__(self, endpoint: Endpoint) -> None:
        version = RuntimeVersionHttpInterceptor(component_name="flwr-cli")
        self._client = ControlHttpClient.from_server_address(
            endpoint.address, False, endpoint.ca, [version], retry_invoker=_patient()
        )

    def register(self, key: EllipticCurvePublicKey) -> int:
        """Return the node id that the SuperLink gives to the SuperNode which holds this key."""
        data = key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
        return int(self._client.RegisterNode(RegisterNodeRequest(public_key=data)).node_id)

    def start_run(self, bundle: bytes) -> int:
        """Return the id of a new run. Raises StudyInvalid when the SuperLink does not take the bundle."""
        request = StartRunRequest(fab=Fab(hash_str=bundle_digest(bundle), content=bundle))
        run_id = int(self._client.StartRun(request).run_id)
        if not run_id:
            raise StudyInvalid("the SuperLink started no run")
        return run_id

    def close(self) -> None:
        self._client.close()


def acquire(endpoint: Endpoint, secret: bytes, kind: str) -> str | None:
    """Return the token of a task of this kind that nobody has taken, or None."""
    signer = SuperExecAuthHttpInterceptor(master_secret=secret, protected_methods=_ACQUIRE)
    client = _runtime(endpoint, "SuperExec", signer)
    try:
        found = client.AcquireTask(AcquireTaskRequest(supported_task_types=[kind]))
    except httpx.HTTPError as error:
        raise SiteLost(f"Flower's process at {endpoint.address} does not answer ({type(error).__name__})") from error
    finally:
        client.close()
    return str(found.token) or None


def task_client(endpoint: Endpoint, token: str, component: str) -> RuntimeHttpClient:
    """Return a client that speaks for one task."""
    return _runtime(endpoint, component, RuntimeTokenHttpInterceptor(token=token))


def _runtime(endpoint: Endpoint, component: str, own: ProtobufClientInterceptor) -> RuntimeHttpClient:
    version = RuntimeVersionHttpInterceptor(component_name=component)
    return RuntimeHttpClient.from_server_address(
        endpoint.address, False, endpoint.ca, [version, own], retry_invoker=_patient()
    )


def _patient() -> RetryInvoker:
    """Return Flower's retries with an end: it would try for ever."""
    invoker = make_simple_http_retry_invoker()
    invoker.max_time = RETRY_S
    return invoker


def require_allowed(digest: str, content: bytes, allowed: Sequence[str]) -> None:
    """Raise FederatedError unless the bundle is the one it says and stands on the allow-list."""
    if bundle_digest(content) != digest or digest not in allowed:
        raise FederatedError("the run's bundle is not on this site's allow-list; nothing of it was run")
