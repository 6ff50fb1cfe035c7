"""Reading another log over HTTPS as it is published: its checkpoint and its hash tiles, no entries."""

import http.client
import ssl
import time
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlsplit

from hdex.node.errors import ConfigInvalid, NotFound, PeerUnavailable

MAX_BYTES = 1 << 16  # a tile has 8 KiB, a checkpoint less
TIMEOUT_S, WAIT_S, PATIENCE = 10.0, 1.0, 30
TOO_MANY, MISSING, OK = 429, 404, 200


class HttpsLog:
    """One log at one address. What is read is believed by its signatures; TLS says only that a member answers."""

    def __init__(self, url: str, ca: Path | None, *, pause: Callable[[float], None] = time.sleep) -> None:
        """Read from `https://host:port[/prefix]`; `ca` is the consortium's, None trusts what this machine does."""
        parts = urlsplit(url)
        if parts.scheme != "https" or not parts.hostname:
            raise ConfigInvalid("a log is read from https://host:port")
        self._host, self._port, self._prefix = parts.hostname, parts.port or 443, parts.path.rstrip("/")
        self._context = ssl.create_default_context(cafile=str(ca) if ca else None)
        # A member's certificate names the participant, not the address it answers at.
        self._context.check_hostname = ca is None
        self._pause = pause

    def __call__(self, path: str) -> bytes:
        """Return what stands at a path. Raises NotFound, PeerUnavailable; waits where it is asked to be slower."""
        for _ in range(PATIENCE):
            status, body = self._get(path)
            if status != TOO_MANY:
                break
            self._pause(WAIT_S)
        if status == MISSING:
            raise NotFound("the log does not serve this tile")
        if status != OK:
            raise PeerUnavailable(f"{self._host}:{self._port} answered {status}")
        return body

    def _get(self, path: str) -> tuple[int, bytes]:
        connection = http.client.HTTPSConnection(self._host, self._port, timeout=TIMEOUT_S, context=self._context)
        try:
            connection.request("GET", self._prefix + path)
            answer = connection.getresponse()
            return answer.status, answer.read(MAX_BYTES)
        except (OSError, http.client.HTTPException) as error:
            raise PeerUnavailable(f"{self._host}:{self._port} did not answer: {type(error).__name__}") from error
        finally:
            connection.close()
