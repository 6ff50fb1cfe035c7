"""Store in memory: the twin used by tests and simulation."""

from hdex.federated.ports import Store


class MemoryStore:
    """Named bytes, lost with the process."""

    def __init__(self) -> None:
        self._values: dict[str, bytes] = {}

    def get(self, name: str) -> bytes | None:
        """Return the bytes under `name`, or None."""
        return self._values.get(name)

    def put(self, name: str, value: bytes) -> None:
        """Replace the bytes under `name`."""
        self._values[name] = value


_: type[Store] = MemoryStore
