"""The key holder: makes one key per study and opens nothing but the checked sum of the whole roster.

It sees single contributions only masked: one alone, or any subset, decrypts to noise. Every rule below is checked
before any exponentiation, except the count slot, which only decryption shows.
"""

import json
import secrets
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, replace
from datetime import datetime

import numpy as np

from hdex.federated.combine import combine
from hdex.federated.contributor import utc_now
from hdex.federated.dealing import DealtKey, deal_key, signed_bytes
from hdex.federated.decrypt_policy import check_time, checked_replies, request_digest
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
from hdex.federated.paillier.keys import RandBits
from hdex.federated.ports import Decryptor, OpenedSum, Store
from hdex.federated.regional import Reply, parts_of
from hdex.federated.study import Dealt, Study, Threshold, parse_envelope

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
        sign: Callable[[bytes], bytes] = lambda message: b"",
        randbits: RandBits = secrets.randbits,
    ) -> None:
        self._store = store
        self._admit = admit
        self._limits = Limits() if limits is None else limits
        self._bits = bits
        self._regions = dict(regions or {})
        self._clock = clock
        self._randbits = randbits
        self._sign = sign  # Ed25519: sites believe no other dealer
        self._dealing = threading.Lock()  # a deal takes long and must not stop the sums of other studies
        self._lock = threading.Lock()  # two requests for one round must not both be the first

    def create_key(self, study_id: str) -> str:
        """Return the modulus (hex) of the study's key; made on the first call, the same ever after."""
        with self._lock:
            kept = self._store.get(f"key/{study_id}")
            if kept is not None:
                return public_key_hex(private_key_from_bytes(kept).public_key)
            public, private = generate_keypair(self._bits, randbits=self._randbits)
            self._store.put(f"key/{study_id}", private_key_to_bytes(private))
            return public_key_hex(public)

    def deal_key(self, study_id: str, parties: Mapping[str, bytes], needed: int) -> DealtKey:
        """Return the study's shared key, signed; made on the first call, the same ever after, and no secret of it kept.

        parties: id -> raw X25519 key. Raises DecryptRefused when it was dealt otherwise, StudyInvalid for bad numbers.
        """
        names = tuple(sorted(parties))
        Threshold(names, needed)
        asked = {"parties": {name: parties[name].hex() for name in names}, "needed": needed}
        with self._dealing:
            if kept := self._store.get(f"dealt/{study_id}"):
                document = json.loads(kept)
                if document["asked"] != asked:
                    raise DecryptRefused("key_dealt", "the study's key was dealt to others, or for another number")
                found = document["dealt"] | {name: tuple(document["dealt"][name]) for name in ("checks", "shares")}
                return DealtKey(document["public_key"], Dealt(**found))
            key = deal_key(parties, needed, bits=self._bits, randbits=self._randbits)
            message = signed_bytes(study_id, key.public_key, names, needed, key.dealt)
            key = DealtKey(key.public_key, replace(key.dealt, signature=self._sign(message).hex()))
            document = {"asked": asked, "public_key": key.public_key, "dealt": asdict(key.dealt)}
            self._store.put(f"dealt/{study_id}", json.dumps(document).encode())
            return key

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
                self._keep_roster(study)
                self._store.put(f"study/{study.id}", envelope)

    def _keep_roster(self, study: Study) -> None:
        """Remember whose rows a study sums, or raise DecryptRefused where it and an earlier one tell one site apart."""
        needed = max(self._limits.min_sites, study.min_sites)
        data = sorted([site, product[0]] for site, product in study.products.items())
        rosters = json.loads(self._store.get("rosters") or b"[]")
        for other in rosters:
            apart = {tuple(one) for one in data} ^ {tuple(one) for one in other["data"]}
            alike = any(one in other["data"] for one in data) and set(study.columns) & set(other["columns"])
            if alike and other["study"] != study.id and 0 < len(apart) < needed:
                raise DecryptRefused(
                    "rosters_differ",
                    f"an earlier study of these columns sums {len(apart)} data sets more or less; "
                    f"ask the same sites, or at least {needed} others",
                )
        rosters.append({"study": study.id, "data": data, "columns": list(study.columns)})
        self._store.put("rosters", json.dumps(rosters).encode())

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
            request = request_digest(contributions)
            opened = self._opened(study_id)
            if round_number in opened:  # 2 opened before: the same request gets the same answer, others none
                return self._replay(study_id, round_number, opened[round_number], request)
            check_time(study, round_number, self._clock())  # 3 rounds in time, in number, in order
            if round_number != len(opened) + 1:
                raise DecryptRefused("round_order", f"round {round_number} after round {len(opened)}")
            floor = max(study.fewest, self._limits.min_sites)
            found = checked_replies(study, round_number, contributions, fewest=floor, regions=self._regions)  # 4 theirs
            total = _open(study, self._store.get(f"key/{study_id}"), found)  # 5 only the sum is decrypted
            opened[round_number] = {"request": request, "sum": total.values.tolist()}
            self._store.put(f"opening/{study_id}/{round_number}", total.proof)
            document = json.dumps({str(number): entry for number, entry in opened.items()})
            self._store.put(f"opened/{study_id}", document.encode())  # 6 remembered before it leaves
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
