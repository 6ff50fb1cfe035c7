"""The consortium's certificate authority: P-256, leaves of at most 90 days, a deny list of serials."""

import re
import secrets
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from hdex.node.durable import write_atomic
from hdex.node.errors import AlreadyExists, ConfigInvalid, IdentityRefused, KeyUnreadable, NotFound
from hdex.node.identity import DIRECTORY_KEY_OID, Identity, parse_spiffe, server_name, trust_domain_of, uris
from hdex.node.keys import KeyKind, generate, public_of, require_private

LEAF_DAYS = 90
CA_DAYS = 3650
SKEW = timedelta(minutes=5)  # a leaf is good a little before now: clocks of hospitals differ
_DOMAIN = re.compile(r"[a-z0-9](?:[a-z0-9.-]{0,250}[a-z0-9])?")


@dataclass(frozen=True, slots=True)
class Authority:
    """A consortium CA with its keys. `repr` shows none of them."""

    trust_domain: str
    certificate: x509.Certificate
    folder: Path

    def __repr__(self) -> str:
        return f"Authority({self.trust_domain})"

    @property
    def pem(self) -> bytes:
        """The certificate every participant trusts."""
        return self.certificate.public_bytes(serialization.Encoding.PEM)

    def private_key(self) -> ec.EllipticCurvePrivateKey:
        """Return the signing key, read from its file when it is needed and not before."""
        return _load_key(self.folder / "ca.key")

    def directory_seed(self) -> bytes:
        """Return the Ed25519 seed that signs the directory."""
        require_private(self.folder / "directory.key")
        return bytes.fromhex((self.folder / "directory.key").read_text().strip())


def init(folder: Path, trust_domain: str, *, now: datetime | None = None) -> Authority:
    """Make a CA in `folder`: ca.pem, ca.key, directory.key, denied.txt. Raises AlreadyExists."""
    if not _DOMAIN.fullmatch(trust_domain):
        raise ConfigInvalid(f"{trust_domain!r} is not a trust domain: lower-case letters, digits, dot, hyphen")
    if (folder / "ca.pem").exists():
        raise AlreadyExists(f"{folder} holds a CA already; it is never overwritten")
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    key, seed = ec.generate_private_key(ec.SECP256R1()), generate(KeyKind.ED25519)
    certificate = _self_sign(key, trust_domain, public_of(KeyKind.ED25519, seed), now or _now())
    write_atomic(folder / "ca.key", _key_pem(key))
    write_atomic(folder / "directory.key", seed.hex().encode() + b"\n")
    write_atomic(
        folder / "denied.txt", b"# serials in hex, one per line; every participant reads this file\n", mode=0o644
    )
    write_atomic(folder / "ca.pem", certificate.public_bytes(serialization.Encoding.PEM), mode=0o644)
    return Authority(trust_domain, certificate, folder)


def load(folder: Path) -> Authority:
    """Return the CA in `folder`. Raises NotFound."""
    if not (folder / "ca.pem").exists():
        raise NotFound(f"{folder} holds no CA; make one with: hdex ca init {folder}")
    certificate = x509.load_pem_x509_certificate((folder / "ca.pem").read_bytes())
    return Authority(trust_domain_of(certificate), certificate, folder)


def issue(
    authority: Authority,
    spiffe_path: str,
    *,
    days: float = LEAF_DAYS,
    now: datetime | None = None,
    dns: tuple[str, ...] = ("localhost",),
    addresses: tuple[str, ...] = ("127.0.0.1",),
) -> tuple[bytes, bytes]:
    """Return (certificate, private key) as PEM for "hospital/hospital-a" or "hospital/hospital-a/data_steward".

    For demonstrations and tests: in production the key is made at the node (`make_request`, `issue_request`).
    """
    request, key = make_request(authority.trust_domain, spiffe_path)
    return issue_request(authority, request, spiffe_path, days=days, now=now, dns=dns, addresses=addresses), key


def make_request(trust_domain: str, spiffe_path: str) -> tuple[bytes, bytes]:
    """Return (certificate request, private key) as PEM; the key never leaves the node that called this."""
    identity = parse_spiffe(f"spiffe://{trust_domain}/{spiffe_path}", trust_domain)
    key = ec.generate_private_key(ec.SECP256R1())
    uri = x509.SubjectAlternativeName([x509.UniformResourceIdentifier(identity.spiffe_id)])
    builder = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([])).add_extension(uri, critical=True)
    return builder.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM), _key_pem(key)


def issue_request(
    authority: Authority,
    request_pem: bytes,
    spiffe_path: str,
    *,
    days: float = LEAF_DAYS,
    now: datetime | None = None,
    dns: tuple[str, ...] = ("localhost",),
    addresses: tuple[str, ...] = ("127.0.0.1",),
) -> bytes:
    """Return a certificate (PEM) for the request's key. The CA says who its holder is, the request must agree.

    Raises ConfigInvalid for a name or a life the rules do not allow, IdentityRefused when the request asks for another.
    """
    identity = parse_spiffe(f"spiffe://{authority.trust_domain}/{spiffe_path}", authority.trust_domain)
    if not 0 < days <= LEAF_DAYS:
        raise ConfigInvalid(f"a certificate lives up to {LEAF_DAYS} days, {days:g} asked")
    try:
        request = x509.load_pem_x509_csr(request_pem)
    except ValueError as error:
        raise IdentityRefused("the certificate request is unreadable") from error
    key = request.public_key()
    if not isinstance(key, ec.EllipticCurvePublicKey) or key.curve.name != "secp256r1":
        raise IdentityRefused("the certificate request is not for a P-256 key")
    if not request.is_signature_valid:
        raise IdentityRefused("the certificate request does not prove possession of its key")
    if uris(request.extensions) != [identity.spiffe_id]:
        raise IdentityRefused(f"the certificate request is not for {identity.spiffe_id}")
    builder = _leaf(authority, identity, key, now or _now(), days)
    for extension, critical in _leaf_extensions(authority, identity, dns, addresses):
        builder = builder.add_extension(extension, critical=critical)
    return builder.sign(authority.private_key(), hashes.SHA256()).public_bytes(serialization.Encoding.PEM)


def revoke(authority: Authority, serial: int) -> None:
    """Add a serial to the deny list; every participant that reads the file refuses it at the next call."""
    path = authority.folder / "denied.txt"
    if serial not in read_denied(path):
        write_atomic(path, path.read_bytes() + f"{serial:x}\n".encode(), mode=0o644)


def read_denied(path: Path) -> frozenset[int]:
    """Return the serials in a deny list. Raises ConfigInvalid: an unreadable list must not look like an empty one."""
    try:
        lines = path.read_text(encoding="ascii").splitlines()
        return frozenset(int(line, 16) for line in map(str.strip, lines) if line and not line.startswith("#"))
    except (OSError, ValueError) as error:
        raise ConfigInvalid(f"the deny list {path} cannot be read") from error


class DenyList:
    """The revoked serials in a file, read again whenever it changes. Raises ConfigInvalid when it is unreadable."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._seen: tuple[int, int, int] | None = None
        self._serials: frozenset[int] = frozenset()

    def __call__(self) -> frozenset[int]:
        """Return the serials that are revoked now."""
        try:
            found = self._path.stat()
        except OSError as error:
            raise ConfigInvalid(f"the deny list {self._path} cannot be read") from error
        seen = (found.st_mtime_ns, found.st_size, found.st_ino)
        if seen != self._seen:
            self._serials, self._seen = read_denied(self._path), seen
        return self._serials


def _self_sign(
    key: ec.EllipticCurvePrivateKey, trust_domain: str, directory_public: bytes, now: datetime
) -> x509.Certificate:
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"hdex consortium {trust_domain}"[:64])])
    stated = x509.UnrecognizedExtension(DIRECTORY_KEY_OID, b"\x04\x20" + directory_public)  # a DER octet string
    return (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - SKEW)
        .not_valid_after(now + timedelta(days=CA_DAYS))
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_key_usage(signs_certificates=True), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(
            x509.SubjectAlternativeName([x509.UniformResourceIdentifier(f"spiffe://{trust_domain}")]), critical=False
        )
        .add_extension(stated, critical=False)
        .sign(key, hashes.SHA256())
    )


def _leaf(
    authority: Authority, identity: Identity, key: ec.EllipticCurvePublicKey, now: datetime, days: float
) -> x509.CertificateBuilder:
    label = f"{identity.participant}/{identity.role}".rstrip("/")[:64]  # for people to read; nothing decides by it
    return (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, label)]))
        .issuer_name(authority.certificate.subject)
        .public_key(key)
        .serial_number(int.from_bytes(secrets.token_bytes(16), "big") >> 1 or 1)
        .not_valid_before(now - SKEW)
        .not_valid_after(now + timedelta(days=days))
    )


def _leaf_extensions(
    authority: Authority, identity: Identity, dns: tuple[str, ...], addresses: tuple[str, ...]
) -> list[tuple[x509.ExtensionType, bool]]:
    names: list[x509.GeneralName] = [x509.UniformResourceIdentifier(identity.spiffe_id)]
    uses = [ExtendedKeyUsageOID.CLIENT_AUTH]
    if not identity.role:  # a process also serves
        uses.append(ExtendedKeyUsageOID.SERVER_AUTH)
        names.append(x509.DNSName(server_name(identity.participant, authority.trust_domain)))
        names.extend(x509.DNSName(name) for name in dns)
        names.extend(x509.IPAddress(ip_address(address)) for address in addresses)
    issuer = x509.AuthorityKeyIdentifier.from_issuer_public_key(authority.private_key().public_key())
    return [
        (x509.BasicConstraints(ca=False, path_length=None), True),
        (_key_usage(signs_certificates=False), True),
        (x509.ExtendedKeyUsage(uses), False),
        (x509.SubjectAlternativeName(names), False),
        (issuer, False),
    ]


def _key_usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs_certificates,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _load_key(path: Path) -> ec.EllipticCurvePrivateKey:
    require_private(path)
    try:
        key = serialization.load_pem_private_key(path.read_bytes(), password=None)
    except (ValueError, TypeError) as error:
        raise KeyUnreadable(f"{path} is not a private key") from error
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise KeyUnreadable(f"{path} is not a P-256 key")
    return key


def _key_pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def _now() -> datetime:
    return datetime.now(UTC)
