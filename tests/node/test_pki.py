"""Certificates: who they say their holder is, and every way in which they do not."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID

from hdex.node import directory, identity, pki
from hdex.node.errors import (
    AccessDenied,
    AlreadyExists,
    ConfigInvalid,
    IdentityRefused,
    KeyUnreadable,
    NotFound,
    SignatureInvalid,
)
from hdex.node.identity import Identity, check_issued, check_peer, directory_key, parse_spiffe
from hdex.node.keys import STANDARD, MemoryKeys
from hdex.node.signed import Envelope, countersign, public_key, sign

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
DOMAIN = "hdex.test"


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> pki.Authority:
    return pki.init(tmp_path_factory.mktemp("ca"), DOMAIN, now=NOW - timedelta(days=400))


def look(pem: bytes, *, now: datetime = NOW, denied: frozenset[int] = frozenset(), domain: str = DOMAIN) -> Identity:
    return check_peer(pem, trust_domain=domain, now=now, denied=denied)


@pytest.mark.parametrize(
    ("path", "kind", "participant", "role"),
    [
        ("hospital/hospital-a", "hospital", "hospital-a", ""),
        ("hospital/hospital-a/data_steward", "hospital", "hospital-a", "data_steward"),
        ("buyer/buyer-heartline/buyer_analyst", "buyer", "buyer-heartline", "buyer_analyst"),
        ("keyholder/keyholder", "keyholder", "keyholder", ""),
    ],
)
def test_a_certificate_names_its_holder(
    authority: pki.Authority, path: str, kind: str, participant: str, role: str
) -> None:
    pem, _ = pki.issue(authority, path, now=NOW)
    known = look(pem)
    assert (known.spiffe_id, known.kind, known.participant, known.role) == (
        f"spiffe://{DOMAIN}/{path}",
        kind,
        participant,
        role,
    )
    assert check_issued(pem, authority.pem).serial_number == known.serial


def forged(authority: pki.Authority, **parts: object) -> bytes:
    """Return a certificate of this CA that its rules would never issue."""
    key = ec.generate_private_key(ec.SECP256R1())
    builder = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([]))
        .issuer_name(authority.certificate.subject)
        .public_key(key.public_key())
        .serial_number(99)
        .not_valid_before(NOW - timedelta(days=1))
        .not_valid_after(NOW + timedelta(days=1))
    )
    uris = parts.get("uris", [f"spiffe://{DOMAIN}/hospital/hospital-a"])
    assert isinstance(uris, list)
    if uris:
        names = x509.SubjectAlternativeName([x509.UniformResourceIdentifier(uri) for uri in uris])
        builder = builder.add_extension(names, critical=False)
    use = parts.get("use", ExtendedKeyUsageOID.CLIENT_AUTH)
    if isinstance(use, x509.ObjectIdentifier):
        builder = builder.add_extension(x509.ExtendedKeyUsage([use]), critical=False)
    signed = builder.sign(authority.private_key(), hashes.SHA256())
    return signed.public_bytes(serialization.Encoding.PEM)


BAD_NAMES = [
    [],
    [f"spiffe://{DOMAIN}/hospital/a", f"spiffe://{DOMAIN}/hospital/b"],
    ["https://hdex.test/hospital/a"],
    ["spiffe://evil.test/hospital/hospital-a"],
    [f"spiffe://{DOMAIN}.evil/hospital/hospital-a"],
    [f"spiffe://{DOMAIN}/regulator/r"],
    [f"spiffe://{DOMAIN}/hospital"],
    [f"spiffe://{DOMAIN}/hospital/"],
    [f"spiffe://{DOMAIN}/hospital/a/b/c"],
    [f"spiffe://{DOMAIN}/hospital/A"],
    [f"spiffe://{DOMAIN}/hospital/../exchange"],
    [f"spiffe://{DOMAIN}/hospital/a/janitor"],
    [f"spiffe://{DOMAIN}/hospital/a/buyer_analyst"],
    [f"spiffe://{DOMAIN}/buyer/b/data_steward"],
    [f"spiffe://{DOMAIN}/hospital/a/"],
    [f"spiffe://{DOMAIN}"],
    ["spiffe:///hospital/a"],
]


@pytest.mark.parametrize("uris", BAD_NAMES, ids=str)
def test_a_wrong_name_is_refused(authority: pki.Authority, uris: list[str]) -> None:
    with pytest.raises(IdentityRefused):
        look(forged(authority, uris=uris))


@pytest.mark.parametrize("use", [None, ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CODE_SIGNING])
def test_a_wrong_use_is_refused(authority: pki.Authority, use: object) -> None:
    with pytest.raises(IdentityRefused, match=r"use|clients"):
        look(forged(authority, use=use))


def test_a_forged_certificate_with_nothing_wrong_is_good(authority: pki.Authority) -> None:
    assert look(forged(authority)).participant == "hospital-a"  # so the refusals above have their own reason


def test_time_decides_at_every_call(authority: pki.Authority) -> None:
    pem, _ = pki.issue(authority, "hospital/hospital-a", now=NOW, days=1)
    assert look(pem).participant == "hospital-a"
    with pytest.raises(IdentityRefused, match="expired at 2026-11-22"):
        look(pem, now=NOW + timedelta(days=1, seconds=1))
    with pytest.raises(IdentityRefused, match="begins at"):
        look(pem, now=NOW - timedelta(hours=1))


def test_a_revoked_serial_is_refused_at_the_next_look(authority: pki.Authority) -> None:
    pem, _ = pki.issue(authority, "hospital/hospital-a", now=NOW)
    serial = look(pem).serial
    pki.revoke(authority, serial)
    pki.revoke(authority, serial)
    denied = pki.read_denied(authority.folder / "denied.txt")
    assert serial in denied
    with pytest.raises(IdentityRefused, match="revoked"):
        look(pem, denied=denied)


def test_an_unreadable_deny_list_is_not_an_empty_one(tmp_path: Path) -> None:
    with pytest.raises(ConfigInvalid):
        pki.read_denied(tmp_path / "absent.txt")
    (tmp_path / "bad.txt").write_text("not hex\n")
    with pytest.raises(ConfigInvalid):
        pki.read_denied(tmp_path / "bad.txt")


def test_a_foreign_ca_is_not_ours(authority: pki.Authority, tmp_path: Path) -> None:
    foreign = pki.init(tmp_path / "foreign", DOMAIN)
    pem, _ = pki.issue(foreign, "hospital/hospital-a")
    with pytest.raises(IdentityRefused, match="not issued"):
        check_issued(pem, authority.pem)


def test_rubbish_is_no_certificate() -> None:
    with pytest.raises(IdentityRefused, match="unreadable"):
        look(b"-----BEGIN CERTIFICATE-----\nrubbish\n-----END CERTIFICATE-----\n")


def test_a_process_can_serve_and_a_person_cannot(authority: pki.Authority) -> None:
    process = x509.load_pem_x509_certificate(pki.issue(authority, "hospital/hospital-a", now=NOW)[0])
    person = x509.load_pem_x509_certificate(pki.issue(authority, "hospital/hospital-a/node_admin", now=NOW)[0])
    names = process.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert set(names.get_values_for_type(x509.DNSName)) == {"hospital-a.hdex.test", "localhost"}
    assert ExtendedKeyUsageOID.SERVER_AUTH in process.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    names = person.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == []
    uses = person.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    assert ExtendedKeyUsageOID.SERVER_AUTH not in uses


def test_the_key_stays_at_the_node(authority: pki.Authority) -> None:
    request, key = pki.make_request(DOMAIN, "exchange/exchange")
    pem = pki.issue_request(authority, request, "exchange/exchange", now=NOW)
    own = serialization.load_pem_private_key(key, None)
    assert isinstance(own, ec.EllipticCurvePrivateKey)
    assert x509.load_pem_x509_certificate(pem).public_key() == own.public_key()


def test_a_request_for_another_name_is_refused(authority: pki.Authority) -> None:
    request, _ = pki.make_request(DOMAIN, "hospital/hospital-b")
    with pytest.raises(IdentityRefused, match="not for"):
        pki.issue_request(authority, request, "hospital/hospital-a")
    with pytest.raises(IdentityRefused, match="unreadable"):
        pki.issue_request(authority, b"rubbish", "hospital/hospital-a")


def test_a_request_with_another_kind_of_key_is_refused(authority: pki.Authority) -> None:
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    request = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([])).sign(key, hashes.SHA256())
    with pytest.raises(IdentityRefused, match="P-256"):
        pki.issue_request(authority, request.public_bytes(serialization.Encoding.PEM), "hospital/hospital-a")


@pytest.mark.parametrize("days", [0, -1, 91, float("nan")])
def test_a_leaf_lives_at_most_ninety_days(authority: pki.Authority, days: float) -> None:
    with pytest.raises(ConfigInvalid):
        pki.issue(authority, "hospital/hospital-a", days=days)


def test_a_ca_is_made_once_and_its_keys_are_private(authority: pki.Authority) -> None:
    with pytest.raises(AlreadyExists):
        pki.init(authority.folder, DOMAIN)
    for name in ("ca.key", "directory.key"):
        assert (authority.folder / name).stat().st_mode & 0o777 == 0o600
    assert pki.load(authority.folder).trust_domain == DOMAIN
    assert "key" not in repr(authority).lower()


def test_a_ca_key_others_may_read_is_not_used(tmp_path: Path) -> None:
    made = pki.init(tmp_path / "ca", DOMAIN)
    (made.folder / "ca.key").chmod(0o644)
    with pytest.raises(KeyUnreadable, match="chmod 600"):
        pki.issue(made, "hospital/hospital-a")


def test_an_absent_ca_is_not_found(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="hdex ca init"):
        pki.load(tmp_path)
    with pytest.raises(ConfigInvalid):
        pki.init(tmp_path / "ca", "Not A Domain/")


def test_the_directory_key_stands_in_the_ca_certificate(authority: pki.Authority) -> None:
    assert directory_key(authority.pem) == public_key(authority.directory_seed())
    with pytest.raises(IdentityRefused):
        directory_key(pki.issue(authority, "hospital/hospital-a", now=NOW)[0])


def members() -> list[directory.Member]:
    return [
        directory.member_of(
            name, kind, organisation=name, trust_domain=DOMAIN, keys=MemoryKeys(STANDARD), endpoint="127.0.0.1:1"
        )
        for name, kind in (("hospital-a", "hospital"), ("hospital-b", "hospital"), ("exchange", "exchange"))
    ]


def test_the_directory_is_read_as_it_was_published(authority: pki.Authority) -> None:
    listed = members()
    read = directory.read(directory.publish(authority, listed, now=NOW), authority.pem, trust_domain=DOMAIN)
    assert list(read.members) == listed
    assert read.issued == "2026-11-21T12:00:00.000Z"
    assert read.member("hospital-b") == listed[1]
    assert [member.id for member in read.of_kind("hospital")] == ["hospital-a", "hospital-b"]
    assert read.sign_keys("exchange") == {"exchange": listed[2].sign_key}
    with pytest.raises(NotFound):
        read.member("stranger")
    with pytest.raises(AccessDenied):
        read.require("exchange", "hospital")


def test_a_directory_of_another_hand_is_refused(authority: pki.Authority) -> None:
    envelope = directory.publish(authority, members(), now=NOW)
    foreign = sign("directory", envelope["document"], directory.SIGNER, bytes(32))
    empty: Envelope = {"document": {}, "signatures": []}
    for wrong in (foreign, countersign("directory", foreign, "other", bytes(32)), empty):
        with pytest.raises(SignatureInvalid):
            directory.read(wrong, authority.pem, trust_domain=DOMAIN)
    with pytest.raises(SignatureInvalid, match="trust domain"):
        directory.read(envelope, authority.pem, trust_domain="other.test")


def test_a_directory_lists_nobody_twice_and_nobody_under_a_foreign_id(authority: pki.Authority) -> None:
    listed = members()
    with pytest.raises(ConfigInvalid, match="twice"):
        directory.publish(authority, [listed[0], listed[0]], now=NOW)
    document = listed[0].document() | {"spiffe_id": listed[1].spiffe_id}
    with pytest.raises(ConfigInvalid, match="another"):
        directory.Member.from_document(document)
    with pytest.raises(ConfigInvalid, match="unknown"):
        directory.Member.from_document(listed[0].document() | {"note": "x"})
    with pytest.raises(ConfigInvalid):
        directory.Member.from_document(listed[0].document() | {"sign_key": "zz"})


def test_roles_belong_to_kinds() -> None:
    for kind, roles in identity.STAFF.items():
        for role in roles:
            assert parse_spiffe(f"spiffe://{DOMAIN}/{kind}/x/{role}", DOMAIN).role == role
