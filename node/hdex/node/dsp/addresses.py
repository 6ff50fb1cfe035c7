"""Which addresses of others we send to: resolved once, checked, and only what was checked is connected to.

Whoever names a callbackAddress makes us connect somewhere: to our own network's services, unless that is refused.
"""

import ipaddress
import socket
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from urllib.parse import urlsplit

from hdex.node.errors import AccessDenied, PeerUnavailable

Resolve = Callable[[str, int], Sequence[str]]
PORTS = {"https": 443, "http": 80}


@dataclass(frozen=True, slots=True)
class Target:
    """A checked address: connect to the first of `ips` that answers, ask for `path`, name `host`."""

    scheme: str
    host: str
    port: int
    ips: tuple[str, ...]
    path: str


@dataclass(frozen=True, slots=True)
class AddressRules:
    """private_hosts: names whose addresses need not be public. plain: HTTP without TLS is allowed to those hosts."""

    private_hosts: Collection[str] = ()
    plain: bool = False

    def require_form(self, address: str) -> tuple[str, str, int, str]:
        """Return scheme, host, port and path of an address. Raises AccessDenied with what is wrong about it."""
        try:
            parts = urlsplit(address)
            port = parts.port
        except ValueError:
            raise refused("address.form", "it is no URL") from None
        host = parts.hostname or ""
        if parts.scheme not in PORTS or not host or parts.username or parts.password or parts.fragment or parts.query:
            raise refused("address.form", "it is not http(s)://host[:port][/path] without user, query and fragment")
        if not all(32 < ord(mark) < 127 for mark in address):
            raise refused("address.form", "it has spaces, control characters or letters that a URL must encode")
        if parts.scheme == "http" and not (self.plain and host in self.private_hosts):
            raise refused("address.plain", "it is not https")
        return parts.scheme, host, port or PORTS[parts.scheme], parts.path

    def checked(self, address: str, resolve: Resolve) -> Target:
        """Return where to connect. Raises AccessDenied, or PeerUnavailable when the name does not resolve."""
        scheme, host, port, path = self.require_form(address)
        found = list(resolve(host, port))
        if not found:
            raise PeerUnavailable(f"the host {host} has no address")
        if host not in self.private_hosts and not all(is_public(ip) for ip in found):
            raise refused("address.private", "its host is not on the public network, and no configuration names it")
        return Target(scheme, host, port, tuple(dict.fromkeys(found)), path)


def is_public(ip: str) -> bool:
    """Return whether an IP address is on the public network, also where one address stands inside another."""
    try:
        address = ipaddress.ip_address(ip.partition("%")[0])
    except ValueError:
        return False
    if isinstance(address, ipaddress.IPv6Address):
        inner = address.ipv4_mapped or address.sixtofour or (address.teredo[1] if address.teredo else None)
        if address.is_site_local or any(address in network for network in CARRIERS):
            return False
        if inner is not None:
            return is_public(str(inner))
    return address.is_global and not address.is_multicast


# An IPv4 address stands inside, reached through whatever gateway there is: NAT64 (RFC 6052, RFC 8215), IPv4-compatible
CARRIERS = tuple(ipaddress.ip_network(text) for text in ("64:ff9b::/96", "64:ff9b:1::/48", "::/96"))


def resolve(host: str, port: int) -> list[str]:
    """Return the addresses of a host. Raises PeerUnavailable."""
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except OSError as error:
        raise PeerUnavailable(f"the host {host} cannot be resolved") from error
    return [str(one[4][0]) for one in found]


def refused(rule: str, why: str) -> AccessDenied:
    """Return the refusal of an address; it is not repeated, it may hold anything."""
    return AccessDenied(rule, "name an address on the public network", f"the address is refused: {why}")
