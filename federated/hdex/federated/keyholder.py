"""The key holder: makes one key per study and opens nothing but the checked sum of the whole roster.

It sees single contributions only masked: one alone, or any subset, decrypts to noise. Every rule below is checked
before any exponentiation, except the count slot, which only decryption shows.
"""

import hashlib
import json
import threading
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime

import numpy as np
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from hdex.federated.combine import combine
from hdex.federated.contributor import utc_now
from hdex.federated.disclosure import Limits
from hdex.federated.errors import CiphertextInvalid, DecryptRefused, TooFewContributors, ValueOutOfRange
from hdex.federated.paillier import (
    generate_keypair,
    key_id,
    open_vector,
    opened_sums,
    private_key_from_bytes,
    private_key_to_bytes,
    public_key_hex,
)
from hdex.federated.ports import Decryptor, OpenedSum, Store
from hdex.federated.regional import Part, RegionalSum, Reply, parse_reply, parts_of
from hdex.federated.study import Study, parse_envelope

AdmitStudy = Callable[[Study, bytes], None]


class KeyHolder:
    """Decrypts checked sums. `store` holds private keys: give one that seals.

    admit(study, envelope): the node's check that the envelope is signed by the coordinator, that roster keys are the
    directory's and that the study is on the ledger; raises DecryptRefused.
    regions: regional aggregators whose sums are opened, id -> raw Ed25519 public key. None by default: then every
    site's payload is seen, and the sum recomputed, before anything is opened.
    """

    def __init__(
        self,
        store: Store,
        *,
        admit: AdmitStudy,
        limits: Limits | None = None,
        bits: int = 3072,
        regions: Mapping[str, bytes] | None = None,
        clock: Callable[[], datetime] = utc_now,
    ) -> None:
        self._store = store
        self._admit = admit
        self._limits = Limits() if limits is None else limits
        self._bits = bits
        self._regions = dict(regions or {})
        self._clock = clock
        self._lock = threading.Lock()  # two requests for one round must not both be the first

    def create_key(self, study_id: str) -> str:
        """Return the modulus (hex) of the study's key; made on the first call, the same ever after."""
        with self._lock:
            kept = self._store.get(f"key/{study_id}")
            if kept is not None:
                return public_key_hex(private_key_from_bytes(kept).public_key)
            public, private = generate_keypair(self._bits)
            self._store.put(f"key/{study_id}", private_key_to_bytes(private))
            return public_key_hex(public)

    def register(self, envelope: bytes) -> None:
        """Accept the signed study whose sums will be opened, once; the same again is fine."""
        study = parse_envelope(envelope)
        with self._lock:
            self._check_study(study)
            self._admit(study, envelope)
            kept = self._store.get(f"study/{study.id}")
            if kept is not None and parse_envelope(kept).digest() != study.digest():
                raise DecryptRefused("study_changed", "another study is registered under this id")
            if kept is None:
                self._store.put(f"study/{study.id}", envelope)

    def _check_study(self, study: Study) -> None:
        kept = self._store.get(f"key/{study.id}")
        if kept is None:
            raise DecryptRefused("unknown_key", "no key was made for this study")
        if key_id(private_key_from_bytes(kept).public_key) != study.key_id:
            raise DecryptRefused("unknown_key", "the study names another key than the one made for it")
        needed = max(self._limits.min_sites, study.min_sites)
        if len(study.sites) < needed:
            raise DecryptRefused("min_sites", f"{len(study.sites)} sites; at least {needed} are needed")

    def open_sum(self, study_id: str, round_number: int, contributions: list[bytes]) -> OpenedSum:
        """Return one round's proven sum over the roster, or the quorum of a best-effort study, or raise DecryptRefused.

        A round is opened once: a second attempt with other sites would tell by its difference what one site sent.
        """
        with self._lock:
            study = self._study(study_id)  # 1 registered: signed, enough sites
            request = _digest(contributions)
            opened = self._opened(study_id)
            if round_number in opened:  # 2 opened before: the same request gets the same answer, others none
                return self._replay(study_id, round_number, opened[round_number], request)
            self._check_round(study, round_number, opened)  # 3 rounds in order, in number, in time
            parsed = [_parse(data) for data in contributions]  # 4 whole
            parts = parts_of(parsed)
            _check_roster(study, parts, fewest=max(study.fewest, self._limits.min_sites))  # 5 the roster, each once
            _check_headers(study, parts, round_number)  # 6 one study, one round, one question
            _check_signatures(study, parts)  # 7 each signed by its site, each sum by its region
            self._check_regions(parsed)
            total = _open(study, self._store.get(f"key/{study_id}"), parsed)  # 8 only the sum is decrypted
            opened[round_number] = {"request": request, "sum": total.values.tolist()}
            self._store.put(f"opening/{study_id}/{round_number}", total.proof)
            document = json.dumps({str(number): entry for number, entry in opened.items()})
            self._store.put(f"opened/{study_id}", document.encode())  # 9 remembered before it leaves
            return total

    def _replay(self, study_id: str, number: int, entry: dict[str, object], request: str) -> OpenedSum:
        if entry["request"] != request:
            raise DecryptRefused("already_opened", "this round was opened with other contributions")
        proof = self._store.get(f"opening/{study_id}/{number}") or b""
        return OpenedSum(np.array(entry["sum"], dtype=np.float64), proof)

    def _study(self, study_id: str) -> Study:
        kept = self._store.get(f"study/{study_id}")
        if kept is None:
            raise DecryptRefused("unknown_study", "the study is not registered")
        return parse_envelope(kept)

    def _opened(self, study_id: str) -> dict[int, dict[str, object]]:
        kept = self._store.get(f"opened/{study_id}")
        return {} if kept is None else {int(number): entry for number, entry in json.loads(kept).items()}

    def _check_round(self, study: Study, number: int, opened: dict[int, dict[str, object]]) -> None:
        if self._clock() >= study.expires():
            raise DecryptRefused("deadline", "the study's deadline has passed")
        if not 1 <= number <= study.max_rounds:
            raise DecryptRefused("max_rounds", f"round {number} of at most {study.max_rounds}")
        if number != len(opened) + 1:
            raise DecryptRefused("round_order", f"round {number} after round {len(opened)}")

    def _check_regions(self, replies: Sequence[Reply]) -> None:
        for reply in replies:
            if not isinstance(reply, RegionalSum):
                continue
            if reply.region not in self._regions:
                raise DecryptRefused("region_unknown", "a sum comes from no region that is known here")
            if not _is_signed(self._regions[reply.region], reply.signature, reply.signed_bytes()):
                raise DecryptRefused("region_signature", f"the signature of region {reply.region} does not verify")


def _digest(contributions: Sequence[bytes]) -> str:
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


def _is_signed(key: bytes, signature: bytes, message: bytes) -> bool:
    try:
        Ed25519PublicKey.from_public_bytes(key).verify(signature, message)
    except InvalidSignature:
        return False
    return True


def _open(study: Study, key: bytes | None, replies: Sequence[Reply]) -> OpenedSum:
    """Return the sum with its proof, which is verified here first: a fault in one half of it would show the key."""
    assert key is not None  # register found it
    try:
        product = combine(study, replies)
        opening = open_vector(private_key_from_bytes(key), product)
        values = opened_sums(product, opening, contributors=len(parts_of(replies)))
    except TooFewContributors as error:
        raise DecryptRefused("count_slot", str(error)) from error
    except (CiphertextInvalid, ValueOutOfRange) as error:
        raise DecryptRefused("ciphertext", str(error)) from error
    return OpenedSum(values, opening.to_bytes(product.public_key))


_: type[Decryptor] = KeyHolder
