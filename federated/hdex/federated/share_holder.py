"""A site as one of several who open sums together: it answers with its part of the sum and the proof of it.

It opens what a key holder would open, and only what all its earlier parts of the study agree with: one set of sites
through all rounds, each round once. Any two groups that can open share a party, so an honest one among them refuses.
"""

import json
import threading
from collections.abc import Sequence
from hashlib import sha256
from typing import Any

from hdex.federated.combine import combine
from hdex.federated.contributor import (
    Clock,
    OnBreach,
    OnRefusal,
    forget_refusal,
    refuse_breach,
    remembered,
    utc_now,
)
from hdex.federated.dealing import open_share, threshold_key
from hdex.federated.decrypt_policy import check_time, checked_replies, request_digest
from hdex.federated.disclosure import Limits, site_breaches
from hdex.federated.errors import CiphertextInvalid, DecryptRefused, ValueOutOfRange
from hdex.federated.paillier import CipherVector, partial_decrypt
from hdex.federated.ports import Release, RoundRequest, SiteHooks, Store
from hdex.federated.regional import Reply, parts_of
from hdex.federated.study import Study, parse_envelope


class ShareHolder:
    """Answers openings for one site. `replies` is the store of the site's contributor: it knows what the site sent."""

    def __init__(
        self,
        site: str,
        hooks: SiteHooks,
        *,
        replies: Store,
        limits: Limits | None = None,
        clock: Clock = utc_now,
        on_breach: OnBreach = refuse_breach,
        on_refusal: OnRefusal = forget_refusal,
    ) -> None:
        self._site = site
        self._hooks = hooks
        self._replies = replies
        self._limits = Limits() if limits is None else limits
        self._clock = clock
        self._on_breach = on_breach
        self._on_refusal = on_refusal
        self._lock = threading.Lock()  # two openings of one round must not both be the first

    def answer(self, envelope: bytes, round_number: int, contributions: Sequence[bytes]) -> bytes:
        """Return this site's part of the sum of one round, or raise and release nothing."""
        asked = b"".join(contributions)
        with self._lock:
            with remembered(self._on_refusal, asked):
                study = parse_envelope(envelope)
                found = self._checked(study, round_number, contributions)  # 1 what a sum may be opened of
            parts = parts_of(found)
            header, sites = parts[0].header, sorted(part.header.site for part in parts)
            request = RoundRequest(study, envelope, round_number, header.attempt, header.step, header.broadcast)
            self._hooks.admit(request)  # 2 the node's own rules, as for the round itself
            opened, digest = self._opened(study), request_digest(contributions)
            with remembered(self._on_refusal, asked):
                kept = self._again(study, opened, round_number, digest, sites)
                product = _product(study, found)
            if kept is not None:
                return self._release(request, kept, 0)  # 3 asked again: the same part
            part = self._part(study, product)
            opened[str(round_number)] = {"request": digest, "sites": sites}
            self._replies.put(f"part/{study.id}/{round_number}", part)
            self._replies.put(f"opened/{study.id}", json.dumps(opened).encode())  # 4 kept before it leaves
            return self._release(request, part, len(product.ciphertexts))

    def _checked(self, study: Study, number: int, contributions: Sequence[bytes]) -> list[Reply]:
        if study.threshold is None or self._site not in study.threshold.parties:
            raise DecryptRefused("no_share", f"{self._site} holds no share of this study's key")
        check_time(study, number, self._clock())
        found = checked_replies(study, number, contributions, fewest=study.fewest)  # no region's: it would hide a site
        parts = parts_of(found)
        for breach in site_breaches(len(parts), self._limits):
            self._on_breach(self._site, breach)
        own = [part.digest for part in parts if part.header.site == self._site]
        kept = self._replies.get(f"reply/{study.id}")
        if own and (kept is None or own != [sha256(kept).hexdigest()]):
            raise DecryptRefused("own_contribution", f"what is said to come from {self._site} is not what it sent")
        return found

    def _opened(self, study: Study) -> dict[str, dict[str, Any]]:
        kept = self._replies.get(f"opened/{study.id}")
        return {} if kept is None else dict(json.loads(kept))

    def _again(
        self, study: Study, opened: dict[str, dict[str, Any]], number: int, digest: str, sites: Sequence[str]
    ) -> bytes | None:
        """Return the part given before of this very sum, None of a new one. Raises DecryptRefused."""
        if any(entry["sites"] != sites for entry in opened.values()):
            raise DecryptRefused("sites_changed", "an earlier round of this study was opened over other sites")
        if entry := opened.get(str(number)):
            if entry["request"] != digest:
                raise DecryptRefused("already_opened", "this round was opened with other contributions")
            return self._replies.get(f"part/{study.id}/{number}")
        if opened and number < max(map(int, opened)):
            raise DecryptRefused("round_order", f"round {number} after round {max(map(int, opened))}")
        return None

    def _part(self, study: Study, product: CipherVector) -> bytes:
        key = threshold_key(study)
        share = open_share(study, self._site, self._hooks.shared_secret)
        return partial_decrypt(key, share, product).to_bytes(key)

    def _release(self, request: RoundRequest, part: bytes, ciphertexts: int) -> bytes:
        self._hooks.release(request, Release(-1, sha256(part).hexdigest(), ciphertexts, len(part)))
        return part


def _product(study: Study, replies: Sequence[Reply]) -> CipherVector:
    try:
        return combine(study, replies)
    except (CiphertextInvalid, ValueOutOfRange) as error:
        raise DecryptRefused("ciphertext", str(error)) from error
