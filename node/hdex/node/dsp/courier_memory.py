"""The memory twin of the courier: hands messages to others in the same process, and loses them on demand."""

from collections.abc import Callable, MutableMapping

from hdex.node.dsp.ports import Answer, Courier
from hdex.node.dsp.process import Document
from hdex.node.errors import AccessDenied, PeerUnavailable

Handler = Callable[[str, str, str, Document | None], Answer]  # sender, method, path below the address, message
Network = MutableMapping[str, Handler]  # address -> who answers there


class MemoryCourier:
    """One participant's way to all who are on the network. `down` addresses do not answer."""

    def __init__(self, me: str, network: Network) -> None:
        self._me = me
        self._network = network
        self.down: set[str] = set()

    def require_address(self, address: str) -> None:
        if address not in self._network:
            raise AccessDenied("address.private", "name an address on the network", "nobody is reached there")

    def post(self, peer: str, url: str, document: Document) -> Answer:
        return self._carry("POST", url, document)

    def get(self, peer: str, url: str) -> Answer:
        return self._carry("GET", url, None)

    def _carry(self, method: str, url: str, document: Document | None) -> Answer:
        address = next((known for known in self._network if url.startswith(known + "/")), "")
        if not address or address in self.down:
            raise PeerUnavailable("nobody answers there")
        return self._network[address](self._me, method, url.removeprefix(address), document)


_: type[Courier] = MemoryCourier
