"""Clients over HTTP/1.1 that each ask again as soon as they have been answered, as browsers do: keep-alive, gzip."""

import asyncio
import os
import time
from collections.abc import Sequence
from dataclasses import dataclass

HEAD = "GET {path} HTTP/1.1\r\nHost: {host}\r\nAccept-Encoding: gzip\r\nAccept: text/html\r\n\r\n"
TICKS = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True, slots=True)
class Load:
    """What was seen: seconds of each request, in order of length; bytes of bodies; the server's CPU seconds."""

    seconds: list[float]
    bytes: int
    wall_s: float
    server_cpu_s: float

    def at(self, share: float) -> float:
        """Return a quantile in milliseconds."""
        return 1000 * self.seconds[min(len(self.seconds) - 1, int(share * len(self.seconds)))]

    @property
    def per_s(self) -> float:
        """Requests answered per second."""
        return len(self.seconds) / self.wall_s

    @property
    def cpu_ms(self) -> float:
        """The server's CPU per request, milliseconds."""
        return 1000 * self.server_cpu_s / len(self.seconds)


def load(address: tuple[str, int], paths: Sequence[str], *, clients: int, pid: int) -> Load:
    """Ask for every path once, spread over `clients`; every answer must be 200 with a body."""
    return asyncio.run(_load(address, paths, clients, pid))


async def _load(address: tuple[str, int], paths: Sequence[str], clients: int, pid: int) -> Load:
    host = f"{address[0]}:{address[1]}"
    requests = [HEAD.format(path=path, host=host).encode() for path in paths]
    seconds: list[float] = []
    total, cpu, began = 0, cpu_of(pid), time.perf_counter()

    async def client(own: Sequence[bytes]) -> int:
        reader, writer = await asyncio.open_connection(*address)
        received = 0
        for request in own:
            asked = time.perf_counter()
            writer.write(request)
            received += await answered(reader)
            seconds.append(time.perf_counter() - asked)
        writer.close()
        return received

    total = sum(await asyncio.gather(*(client(requests[number::clients]) for number in range(clients))))
    wall = time.perf_counter() - began
    return Load(sorted(seconds), total, wall, cpu_of(pid) - cpu)


async def answered(reader: asyncio.StreamReader) -> int:
    """Read one answer; return the length of its body. Ends the measurement where it is not 200."""
    head = await reader.readuntil(b"\r\n\r\n")
    if not head.startswith(b"HTTP/1.1 200"):
        raise SystemExit(f"not answered: {head[:80]!r}")
    length = next(
        int(line.split(b":")[1]) for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")
    )
    await reader.readexactly(length)
    return length


def cpu_of(pid: int) -> float:
    """Return the CPU seconds that a process has used."""
    with open(f"/proc/{pid}/stat", encoding="ascii") as file:
        fields = file.read().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS
