"""Connections that stay open between requests to the same place, for a little while.

A certificate is checked when a connection begins: so none is used for longer than AGE_S, nor beyond the end of the
certificate that its other side showed, and each carries requests for exactly the participant it was made for.
"""

import contextlib
import http.client
import select
import ssl
import threading
import time
from collections.abc import Callable, Hashable
from dataclasses import dataclass

AGE_S, IDLE_S = 45.0, 15.0  # less than our servers give a connection: else a request meets one that is just closed
MOST = 4  # to one place
MOST_PLACES = 32


@dataclass(slots=True)
class Line:
    """One connection. ends, idle_until: by the pool's clock."""

    connection: http.client.HTTPConnection
    ends: float
    idle_until: float = 0.0

    def close(self) -> None:
        """Hang up."""
        self.connection.close()


class KeptLines:
    """Idle lines by the place they lead to; a line that is in use is its user's alone."""

    def __init__(self, clock: Callable[[], float] = time.monotonic, wall: Callable[[], float] = time.time) -> None:
        """clock: seconds that never go back; wall: seconds since 1970, by which certificates end."""
        self._clock = clock
        self._wall = wall
        self._lock = threading.Lock()
        self._idle: dict[Hashable, list[Line]] = {}

    def line(self, connection: http.client.HTTPConnection) -> Line:
        """Return a new connection as one that ends with its time, or with the certificate its other side showed."""
        left = AGE_S
        if isinstance(connection.sock, ssl.SSLSocket):
            shown = connection.sock.getpeercert() or {}
            left = min(left, ssl.cert_time_to_seconds(str(shown["notAfter"])) - self._wall())
        return Line(connection, self._clock() + left)

    def take(self, place: Hashable) -> Line | None:
        """Return an idle line to a place that is still good, None where there is none; the others are closed."""
        with self._lock:
            idle = self._idle.pop(place, [])
            found = None
            while idle and found is None:
                line = idle.pop()
                if self._is_good(line):
                    found = line
                else:
                    line.close()
            if idle:
                self._idle[place] = idle
        return found

    def keep(self, place: Hashable, line: Line) -> None:
        """Take back a line whose answer was read to its end."""
        line.idle_until = self._clock() + IDLE_S
        with self._lock:
            idle = self._idle.setdefault(place, [])
            idle.append(line)
            over = [idle.pop(0)] if len(idle) > MOST else []
            if len(self._idle) > MOST_PLACES:
                over += self._idle.pop(next(iter(self._idle)))
        for one in over:
            one.close()

    def _is_good(self, line: Line) -> bool:
        now = self._clock()
        return now < line.ends and now < line.idle_until and not has_news(line.connection)


def has_news(connection: http.client.HTTPConnection) -> bool:
    """Return whether an idle connection was closed by its other side, or says what nobody asked for."""
    if connection.sock is None:
        return True
    with contextlib.suppress(OSError, ValueError):
        waiting = select.poll()
        waiting.register(connection.sock, select.POLLIN | select.POLLHUP | select.POLLERR)
        return bool(waiting.poll(0))
    return True
