"""What a certificate says about its holder, and whether it still holds.

A leaf names its holder by one URI SAN: spiffe://<trust-domain>/<kind>/<participant>[/<role>]. Without a role it is a
process and also carries DNS names, so that a client can ask for exactly this server; with a role it is a person of
that organisation, good as a client only.
"""

import re
from dataclasses import dataclass, replace
from datetime import datetime
from functools import lru_cache

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.x509.oid import ExtendedKeyUsageOID, ObjectIdentifier

from hdex.node.errors import IdentityRefused

KINDS = frozenset({"hospital", "exchange", "keyholder", "region", "chain", "buyer", "auditor"})
STAFF: dict[str, frozenset[str]] = {
    "hospital": frozenset({"data_steward", "privacy_officer", "ethics_committee", "node_admin"}),
    "exchange": frozenset({"exchange_operator", "security_officer", "node_admin"}),
    "keyholder": frozenset({"node_admin"}),
    "region": frozenset({"node_admin"}),
    "chain": frozenset({"node_admin"}),
    "buyer": frozenset({"buyer_analyst", "node_admin"}),
    "auditor": frozenset({"node_admin"}),
}
# The Ed25519 key that signs the directory stands in the CA's own certificate: one trust anchor, one file.
DIRECTORY_KEY_OID = ObjectIdentifier("2.25.248129836190562943178424731914361829041")
_NAME = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?")


@dataclass(frozen=True, slots=True)
class Identity:
    """Who a certificate says its holder is."""

    spiffe_id: str
    kind: str  # hospital, exchange, keyholder, region, chain, buyer, auditor
    participant: str
    role: str = ""  # a person's role; empty for the participant's own process
    serial: int = 0
    not_after: datetime | None = None


def spiffe_id(certificate: x509.Certificate) -> str:
    """Return the one SPIFFE URI of a certificate. Raises IdentityRefused when there is none or more than one."""
    found = uris(certificate.extensions)
    if len(found) != 1 or not found[0].startswith("spiffe://"):
        raise IdentityRefused(f"the certificate has {len(found)} URI names; exactly one SPIFFE id is asked")
    return found[0]


def parse_spiffe(uri: str, trust_domain: str) -> Identity:
    """Return who a SPIFFE id names. Raises IdentityRefused for another trust domain, kind, role or shape."""
    domain, _, path = uri.removeprefix("spiffe://").partition("/")
    if not uri.startswith("spiffe://") or domain != trust_domain:
        raise IdentityRefused(f"the peer is of trust domain {domain[:80]!r}, this one is {trust_domain!r}")
    parts = path.split("/")
    if len(parts) not in {2, 3} or parts[0] not in KINDS or not _NAME.fullmatch(parts[1]):
        raise IdentityRefused("the SPIFFE id is not <kind>/<participant>[/<role>] of a kind known here")
    role = parts[2] if len(parts) == 3 else ""
    if len(parts) == 3 and role not in STAFF[parts[0]]:
        raise IdentityRefused(f"a {parts[0]} has no role of that name")
    return Identity(uri, parts[0], parts[1], role)


def check_peer(certificate_pem: bytes, *, trust_domain: str, now: datetime, denied: frozenset[int]) -> Identity:
    """Return who the peer is, now. TLS has checked the chain; what TLS checks once is checked here at every call.

    Raises IdentityRefused with the reason: expired, not yet valid, revoked, wrong use, wrong name.
    """
    certificate = _read(certificate_pem)
    if now > certificate.not_valid_after_utc:
        raise IdentityRefused(f"the peer's certificate expired at {certificate.not_valid_after_utc:%Y-%m-%dT%H:%M:%SZ}")
    if now < certificate.not_valid_before_utc:
        raise IdentityRefused(f"the peer's certificate begins at {certificate.not_valid_before_utc:%Y-%m-%dT%H:%M:%SZ}")
    if certificate.serial_number in denied:
        raise IdentityRefused(f"the peer's certificate {certificate.serial_number:x} is revoked")
    return _holder(certificate_pem, trust_domain)


@lru_cache(maxsize=1024)  # asked at every message: what a certificate says stays, whether it holds is looked at
def _read(certificate_pem: bytes) -> x509.Certificate:
    try:
        return x509.load_pem_x509_certificate(certificate_pem)
    except ValueError as error:
        raise IdentityRefused("the peer's certificate is unreadable") from error


@lru_cache(maxsize=1024)
def _holder(certificate_pem: bytes, trust_domain: str) -> Identity:
    certificate = _read(certificate_pem)
    _require_client_use(certificate)
    known = parse_spiffe(spiffe_id(certificate), trust_domain)
    return replace(known, serial=certificate.serial_number, not_after=certificate.not_valid_after_utc)


def check_issued(certificate_pem: bytes, ca_pem: bytes) -> x509.Certificate:
    """Return the certificate when this CA issued it. For files: on the wire TLS does it."""
    try:
        leaf = x509.load_pem_x509_certificate(certificate_pem)
        leaf.verify_directly_issued_by(x509.load_pem_x509_certificate(ca_pem))
    except (ValueError, TypeError, InvalidSignature) as error:
        raise IdentityRefused("the certificate is not issued by this consortium's CA") from error
    return leaf


def directory_key(ca_pem: bytes) -> bytes:
    """Return the Ed25519 key that signs the directory, as the CA's certificate states it."""
    try:
        extensions = x509.load_pem_x509_certificate(ca_pem).extensions
        value = extensions.get_extension_for_oid(DIRECTORY_KEY_OID).value
    except (ValueError, x509.ExtensionNotFound) as error:
        raise IdentityRefused("the CA certificate names no key for the directory") from error
    if not isinstance(value, x509.UnrecognizedExtension) or len(value.value) != 34:
        raise IdentityRefused("the CA certificate names no key for the directory")
    return value.value[2:]


def trust_domain_of(certificate: x509.Certificate) -> str:
    """Return the trust domain a CA certificate stands for."""
    return spiffe_id(certificate).removeprefix("spiffe://")


def server_name(participant: str, trust_domain: str) -> str:
    """Return the DNS name by which a client asks for exactly this participant's server."""
    return f"{participant}.{trust_domain}"


def _require_client_use(certificate: x509.Certificate) -> None:
    try:
        uses = certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    except x509.ExtensionNotFound as error:
        raise IdentityRefused("the peer's certificate states no use") from error
    if ExtendedKeyUsageOID.CLIENT_AUTH not in uses:
        raise IdentityRefused("the peer's certificate is not for clients")


def uris(extensions: x509.Extensions) -> list[str]:
    """Return the URI names of a certificate or of a request for one."""
    try:
        names = extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return []
    return names.get_values_for_type(x509.UniformResourceIdentifier)
