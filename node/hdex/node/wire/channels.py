"""Channels of one participant to the others of its directory, opened at first use and kept."""

import threading

import grpc

from hdex.node.config import Limits
from hdex.node.directory import Directory
from hdex.node.errors import PeerUnavailable
from hdex.node.wire.client import channel
from hdex.node.wire.tls import Tls


class Channels:
    """Call it with a participant's id for a channel to exactly that participant."""

    def __init__(self, tls: Tls, directory: Directory, *, limits: Limits) -> None:
        self._tls = tls
        self._directory = directory
        self._limits = limits
        self._lock = threading.Lock()
        self._open: dict[str, grpc.Channel] = {}

    def __call__(self, participant: str) -> grpc.Channel:
        endpoint = self._directory.member(participant).endpoint
        if not endpoint:
            raise PeerUnavailable(f"{participant} does not listen anywhere")
        with self._lock:
            if participant not in self._open:
                self._open[participant] = channel(
                    endpoint,
                    tls=self._tls,
                    server=participant,
                    trust_domain=self._directory.trust_domain,
                    limits=self._limits,
                )
            return self._open[participant]

    def close(self) -> None:
        """Close them all."""
        with self._lock:
            for opened in self._open.values():
                opened.close()
            self._open.clear()
