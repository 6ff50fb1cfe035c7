"""What must hold before a sum is opened, checked by every holder of a key or a share before any exponentiation."""

import hashlib
from collections.abc import Mapping, Sequence
from datetime import datetime

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from hdex.federated.errors import CiphertextInvalid, DecryptRefused
from hdex.federated.regional import Part, RegionalSum, Reply, parse_reply, parts_of
from hdex.federated.study import Study


def check_time(study: Study, number: int, now: datetime) -> None:
    """Raise DecryptRefused unless the study still runs and has such a round."""
    if now >= study.expires():
        raise DecryptRefused("deadline", "the study's deadline has passed")
    if not 1 <= number <= study.max_rounds:
        raise DecryptRefused("max_rounds", f"round {number} of at most {study.max_rounds}")


def checked_replies(
    study: Study, number: int, data: Sequence[bytes], *, fewest: int, regions: Mapping[str, bytes] | None = None
) -> list[Reply]:
    """Return the replies when they are whole, each site once, of this round's one question, signed by their sites.

    fewest: sites that the sum needs. regions: whose sums are believed, id -> raw Ed25519 public key; nobody's without.
    Raises DecryptRefused with the rule.
    """
    replies = [_parse(one) for one in data]
    parts = parts_of(replies)
    _check_roster(study, parts, fewest=fewest)
    _check_headers(study, parts, number)
    _check_signatures(study, parts)
    _check_regions(replies, regions or {})
    return replies


def request_digest(contributions: Sequence[bytes]) -> str:
    """Return a digest of what is to be summed, in whatever order, as hex."""
    parts = sorted(hashlib.sha256(data).digest() for data in contributions)
    return hashlib.sha256(b"".join(parts)).hexdigest()


def _parse(data: bytes) -> Reply:
    try:
        return parse_reply(data)
    except CiphertextInvalid as error:
        raise DecryptRefused("digest", str(error)) from error


def _check_roster(study: Study, parts: Sequence[Part], *, fewest: int) -> None:
    """Who contributes is the whole roster, or the quorum; that it is all who were asked, only the masks show."""
    sites = [part.header.site for part in parts]
    if len(set(sites)) != len(sites):
        raise DecryptRefused("duplicate_site", "a site contributes twice")
    if set(sites) - set(study.sites):
        raise DecryptRefused("foreign_site", "a contributor is not on the roster")
    if len(sites) < fewest:
        raise DecryptRefused("roster_incomplete", f"{len(sites)} of {len(study.sites)} sites contribute")


def _check_headers(study: Study, parts: Sequence[Part], number: int) -> None:
    headers = [part.header for part in parts]
    if any((header.study, header.study_digest) != (study.id, study.digest()) for header in headers):
        raise DecryptRefused("study_mismatch", "a contribution belongs to another study")
    if any(header.round != number for header in headers):
        raise DecryptRefused("round_mismatch", f"a contribution does not belong to round {number}")
    if len({(header.broadcast, header.step, header.attempt) for header in headers}) != 1:
        raise DecryptRefused("broadcast_mismatch", "the contributions answer different questions")


def _check_signatures(study: Study, parts: Sequence[Part]) -> None:
    for part in parts:
        entry = study.entry(part.header.site)
        assert entry is not None
        if not _is_signed(bytes.fromhex(entry.sign_key), part.signature, part.header.signed_bytes()):
            raise DecryptRefused("signature", f"the signature of {entry.site} does not verify")


def _check_regions(replies: Sequence[Reply], regions: Mapping[str, bytes]) -> None:
    for reply in replies:
        if not isinstance(reply, RegionalSum):
            continue
        if reply.region not in regions:
            raise DecryptRefused("region_unknown", "a sum comes from no region that is known here")
        if not _is_signed(regions[reply.region], reply.signature, reply.signed_bytes()):
            raise DecryptRefused("region_signature", f"the signature of region {reply.region} does not verify")


def _is_signed(key: bytes, signature: bytes, message: bytes) -> bool:
    try:
        Ed25519PublicKey.from_public_bytes(key).verify(signature, message)
    except InvalidSignature:
        return False
    return True
