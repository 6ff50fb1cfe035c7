"""Who is who: the list of participants with their public keys, signed by the consortium."""

import re
from collections.abc import Iterable
from dataclasses import asdict, dataclass, fields
from datetime import datetime
from pathlib import Path
from typing import Any, cast

from hdex.ledger.document import load as load_json
from hdex.node.errors import AccessDenied, ConfigInvalid, NotFound, SignatureInvalid
from hdex.node.identity import directory_key, parse_spiffe
from hdex.node.keys import KeyProvider, chain_address
from hdex.node.pki import Authority
from hdex.node.signed import Envelope, sign, verify

SIGNER = "consortium"
COUNTRY = re.compile(r"[A-Z]{2}")
KEY_NAMES = {"sign_key": "sign", "log_key": "log", "witness_key": "witness", "mask_key": "mask", "hpke_key": "hpke"}


@dataclass(frozen=True, slots=True)
class Member:
    """One participant and its public keys; a key it has no use for is empty."""

    id: str
    kind: str
    organisation: str
    spiffe_id: str
    sign_key: bytes  # Ed25519: documents
    log_key: bytes = b""  # Ed25519: checkpoints of its log
    witness_key: bytes = b""  # Ed25519: cosignatures
    mask_key: bytes = b""  # X25519: pairwise masks
    hpke_key: bytes = b""  # X25519: deliveries to it
    chain_address: str = ""
    endpoint: str = ""  # host:port of its gRPC server; empty when it does not listen
    storage_country: str = ""  # where it stores what it holds and receives (ISO 3166-1, two letters); empty: not said

    def __post_init__(self) -> None:
        known = parse_spiffe(self.spiffe_id, self.spiffe_id.removeprefix("spiffe://").partition("/")[0])
        if (known.kind, known.participant, known.role) != (self.kind, self.id, ""):
            raise ConfigInvalid(f"the member {self.id} is listed under the SPIFFE id of another")
        if self.storage_country and not COUNTRY.fullmatch(self.storage_country):
            raise ConfigInvalid(f"the storage_country of {self.id} is not two capital letters, as in CN")
        for name in KEY_NAMES:
            if len(getattr(self, name)) not in ({32} if name == "sign_key" else {0, 32}):
                raise ConfigInvalid(f"the {name} of {self.id} does not have 32 bytes")

    def document(self) -> dict[str, Any]:
        """Return the member as JSON values, keys in hex."""
        return {name: value.hex() if isinstance(value, bytes) else value for name, value in asdict(self).items()}

    @classmethod
    def from_document(cls, document: dict[str, Any]) -> "Member":
        """Return the member a document states. Raises ConfigInvalid."""
        if not isinstance(document, dict) or not set(document) <= {field.name for field in fields(cls)}:
            raise ConfigInvalid("a member of the directory has unknown fields")
        try:
            values: dict[str, Any] = {n: bytes.fromhex(v) if n in KEY_NAMES else str(v) for n, v in document.items()}
            return cls(**values)
        except (TypeError, ValueError) as error:
            raise ConfigInvalid("a member of the directory is malformed") from error


@dataclass(frozen=True, slots=True)
class Directory:
    """The verified list. Lookups raise NotFound: a stranger is never a default."""

    trust_domain: str
    issued: str
    members: tuple[Member, ...]

    def __post_init__(self) -> None:
        if len({member.id for member in self.members}) != len(self.members):
            raise ConfigInvalid("the directory lists a participant twice")

    def member(self, participant: str) -> Member:
        """Return one participant."""
        for member in self.members:
            if member.id == participant:
                return member
        raise NotFound(f"{participant!r} is not in the consortium's directory")

    def of_kind(self, kind: str) -> list[Member]:
        """Return the participants of a kind, in the order of the list."""
        return [member for member in self.members if member.kind == kind]

    def sign_keys(self, *participants: str) -> dict[str, bytes]:
        """Return the document keys of these participants, as `signed.verify` asks for them."""
        return {participant: self.member(participant).sign_key for participant in participants}

    def require(self, participant: str, kind: str) -> Member:
        """Return a participant that must be of this kind. Raises AccessDenied."""
        member = self.member(participant)
        if member.kind != kind:
            raise AccessDenied("wrong-kind", message=f"{participant} is a {member.kind}, a {kind} is asked")
        return member


def member_of(
    participant: str,
    kind: str,
    *,
    organisation: str,
    trust_domain: str,
    keys: KeyProvider,
    endpoint: str = "",
    storage_country: str = "",
) -> Member:
    """Return what a participant tells the consortium about itself: public halves of the keys it has."""
    there = set(keys.names())
    public = {field: keys.public(name) if name in there else b"" for field, name in KEY_NAMES.items()}
    return Member(
        id=participant,
        kind=kind,
        organisation=organisation,
        spiffe_id=f"spiffe://{trust_domain}/{kind}/{participant}",
        chain_address=chain_address(keys.public("chain")) if "chain" in there else "",
        endpoint=endpoint,
        storage_country=storage_country,
        **public,
    )


def publish(authority: Authority, members: Iterable[Member], *, now: datetime) -> Envelope:
    """Return the directory, signed by the consortium."""
    listed = Directory(
        authority.trust_domain, f"{now:%Y-%m-%dT%H:%M:%S}.{now.microsecond // 1000:03d}Z", tuple(members)
    )
    document = {
        "trust_domain": listed.trust_domain,
        "issued": listed.issued,
        "members": [member.document() for member in listed.members],
    }
    return sign("directory", document, SIGNER, authority.directory_seed())


def read(envelope: Envelope, ca_pem: bytes, *, trust_domain: str) -> Directory:
    """Return the directory an envelope holds. Raises SignatureInvalid, ConfigInvalid."""
    document = verify("directory", envelope, {SIGNER: directory_key(ca_pem)})
    members = document.get("members")
    if document.get("trust_domain") != trust_domain or not isinstance(members, list):
        raise SignatureInvalid(f"the directory is not for the trust domain {trust_domain}")
    listed = tuple(Member.from_document(member) for member in members)
    for member in listed:
        parse_spiffe(member.spiffe_id, trust_domain)
    return Directory(trust_domain, str(document.get("issued")), listed)


def load(path: Path, ca_pem: bytes, *, trust_domain: str) -> Directory:
    """Return the directory in a file. Raises NotFound, SignatureInvalid, ConfigInvalid."""
    try:
        envelope = cast("Envelope", load_json(path.read_bytes()))
    except OSError as error:
        raise NotFound(f"the directory {path} cannot be read: {error.strerror}") from error
    except ValueError as error:
        raise SignatureInvalid(f"the directory {path} is not JSON") from error
    return read(envelope, ca_pem, trust_domain=trust_domain)
