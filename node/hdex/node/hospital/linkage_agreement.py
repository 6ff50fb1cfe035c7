"""The agreement of hospitals to link their patients inside one project: signed by all, approved by two people of each.

Who writes it draws the project's secret and seals it to every party's transport key (HPKE), so the file can travel as
it is; without a party's keystore it is only words. Signing is `hdex deid sign`, linking `hdex deid link`.
"""

from collections.abc import Mapping, Sequence
from secrets import token_bytes
from typing import Any

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey

from hdex.deid.linkage import Agreement
from hdex.node.container import HPKE
from hdex.node.directory import Directory
from hdex.node.errors import AccessDenied, RequestInvalid
from hdex.node.hospital.staff import OFFICER, STEWARD
from hdex.node.signed import Envelope, canonical, signers, verify

SCHEMA = "hdex/linkage-agreement/v1"
KIND = "decision"  # of signatures; the schema inside keeps a linkage from being taken for another decision
KEYS = {"schema", "project", "parties", "secrets"}


def propose(project: str, parties: Sequence[str], directory: Directory) -> Envelope:
    """Return an agreement nobody has signed, with a fresh secret sealed to every party."""
    named = sorted(set(parties))
    members = {party: directory.require(party, "hospital") for party in named}
    if without := [party for party, member in members.items() if not member.hpke_key]:
        raise AccessDenied(
            "linkage.transport_key",
            "add an hpke key to its keystore and entry, and sign the directory again",
            f"{', '.join(without)} has no transport key to seal the secret to",
        )
    secret = token_bytes(32)
    sealed = {
        party: HPKE.encrypt(secret, X25519PublicKey.from_public_bytes(one.hpke_key), bound(project, named, party)).hex()
        for party, one in members.items()
    }
    document = {"schema": SCHEMA, "project": project, "parties": named, "secrets": sealed}
    return {"document": document, "signatures": []}


def bound(project: str, parties: Sequence[str], party: str) -> bytes:
    """What a sealed secret is bound to: it opens for this party of this agreement only."""
    return canonical({"schema": SCHEMA, "project": project, "parties": list(parties), "party": party})


def take(
    envelope: Envelope, hospital: str, *, directory: Directory, staff: Mapping[str, bytes], hpke_private: bytes
) -> Agreement:
    """Return what was agreed, with the secret. Raises AccessDenied, RequestInvalid, SignatureInvalid."""
    document = read(envelope)
    parties = [str(party) for party in document["parties"]]
    if hospital not in parties:
        raise AccessDenied(
            "linkage.party", "name it in a new agreement", f"{hospital} is no party, these are: {', '.join(parties)}"
        )
    people = {f"{hospital}/{role}": staff[role] for role in (STEWARD, OFFICER) if role in staff}
    keys = {party: directory.require(party, "hospital").sign_key for party in parties} | people
    there = set(signers(envelope))
    asked = [*parties, f"{hospital}/{STEWARD}", f"{hospital}/{OFFICER}"]
    if missing := [name for name in asked if name not in there or name not in keys]:
        raise AccessDenied(
            "linkage.unsigned",
            f"have {', '.join(missing)} sign it with hdex deid sign",
            f"the agreement lacks {len(missing)} of {len(asked)} signatures: {', '.join(missing)}",
        )
    verify(KIND, envelope, keys)
    try:
        sealed = bytes.fromhex(str(document["secrets"].get(hospital, "")))
        private = X25519PrivateKey.from_private_bytes(hpke_private)
        secret = HPKE.decrypt(sealed, private, bound(str(document["project"]), parties, hospital))
    except (InvalidTag, ValueError) as error:
        raise AccessDenied(
            "linkage.secret", "have the agreement written anew", f"the project's secret is not sealed to {hospital}"
        ) from error
    return Agreement(str(document["project"]), tuple(parties), tuple(people), secret)


def read(envelope: Any) -> dict[str, Any]:
    """Return the document of an agreement, whoever signed it. Raises RequestInvalid for anything else."""
    document = envelope.get("document") if isinstance(envelope, dict) else None
    if not isinstance(document, dict) or set(document) != KEYS or document["schema"] != SCHEMA:
        raise RequestInvalid(f"this is no linkage agreement ({SCHEMA}); hdex deid agree writes one")
    if not isinstance(document["parties"], list) or not isinstance(document["secrets"], dict):
        raise RequestInvalid("parties or secrets of the linkage agreement are malformed")
    return document
