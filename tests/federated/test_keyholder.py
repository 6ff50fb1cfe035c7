"""The key holder opens the checked sum of the whole roster and nothing else: the matrix of what it refuses."""

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import numpy as np
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from tests.federated.samples import NOW, Consortium, consortium, keypair, tables

from hdex.federated.broadcast import Broadcast
from hdex.federated.contribution import Contribution
from hdex.federated.contributor import Contributor
from hdex.federated.disclosure import Limits
from hdex.federated.errors import CiphertextInvalid, DecryptRefused, StudyInvalid, TooFewContributors
from hdex.federated.keyholder import KeyHolder
from hdex.federated.kinds.table import kind_of
from hdex.federated.paillier import CipherVector, PackSpec, aggregate, decrypt, encrypt
from hdex.federated.statistics import FAMILIES, moments
from hdex.federated.store_memory import MemoryStore
from hdex.federated.study import unsigned_envelope


def answers(party: Consortium) -> list[Contribution]:
    """Return every site's contribution to round 1."""
    question = Broadcast(party.study.id, party.study.digest(), 1, 1, "moments", None).to_bytes()
    return [
        Contributor(name, site, clock=lambda: NOW).answer(party.envelope, question)
        for name, site in party.sites.items()
    ]


def sign_again(party: Consortium, contribution: Contribution, **changes: Any) -> Contribution:
    """Return the contribution with other header fields, properly signed by its (lying) site."""
    header = replace(contribution.header, **changes)
    return Contribution(header, party.sites[contribution.header.site].sign(header.signed_bytes()), contribution.payload)


def swap_payload(party: Consortium, contribution: Contribution, payload: bytes) -> Contribution:
    import hashlib

    changed = Contribution(contribution.header, b"", payload)
    return sign_again(party, changed, payload=hashlib.sha256(payload).hexdigest())


def as_bytes(contributions: list[Contribution]) -> list[bytes]:
    return [contribution.to_bytes() for contribution in contributions]


def test_the_sum_of_the_whole_roster_is_opened() -> None:
    party = consortium()
    total = party.keyholder.open_sum("study-1", 1, as_bytes(answers(party))).values
    frames = [kind_of(party.study).rows(site.frame(party.study), party.study) for site in party.sites.values()]
    expected = np.sum([moments(local, FAMILIES["logistic"]) for local in frames], axis=0)
    assert total[0] == expected[0]
    assert np.allclose(total, expected, rtol=1e-14, atol=1e-14)


def test_a_key_holder_that_ignores_its_rules_sees_noise_in_one_sites_contribution() -> None:
    public, private = keypair()
    vectors = [CipherVector.from_bytes(one.payload, public) for one in answers(consortium())]
    for some in (vectors[:1], vectors[1:2], vectors[2:], vectors[:2], vectors[1:]):
        with pytest.raises((TooFewContributors, CiphertextInvalid)):
            decrypt(private, aggregate(some), contributors=len(some))
    assert decrypt(private, aggregate(vectors), contributors=3)[0] == 840


def unmasked(party: Consortium, answered: list[Contribution]) -> list[Contribution]:
    """Two sites that leave their masks out to expose the third."""
    public, _ = keypair()
    spec = PackSpec(104, 50, 3, 2048)
    payload = encrypt(public, np.zeros(6 + 8 + 10), spec).to_bytes()
    return [*(swap_payload(party, one, payload) for one in answered[:2]), answered[2]]


def one_site_scaled(party: Consortium, answered: list[Contribution]) -> list[Contribution]:
    """A site that sends its own ciphertext squared."""
    public, _ = keypair()
    vector = CipherVector.from_bytes(answered[0].payload, public)
    squared = replace(vector, ciphertexts=tuple(c * c % (public.n**2) for c in vector.ciphertexts))
    return [swap_payload(party, answered[0], squared.to_bytes()), *answered[1:]]


def flipped(data: bytes) -> bytes:
    return data[:-1] + bytes([data[-1] ^ 1])


Forge = Callable[[Consortium, list[Contribution]], list[bytes]]

MATRIX: dict[str, tuple[str, Forge]] = {
    "nobody": ("roster_incomplete", lambda p, a: []),
    "one site alone": ("roster_incomplete", lambda p, a: as_bytes(a[:1])),
    "two of three": ("roster_incomplete", lambda p, a: as_bytes(a[:2])),
    "one site thrice": ("duplicate_site", lambda p, a: as_bytes([a[0]] * 3)),
    "roster and a double": ("duplicate_site", lambda p, a: as_bytes([*a, a[0]])),
    "a stranger": ("foreign_site", lambda p, a: as_bytes([*a[:2], sign_again_as(a[2], "hospital-x")])),
    "payload altered": ("digest", lambda p, a: [*as_bytes(a[:2]), flipped(a[2].to_bytes())]),
    "cut short": ("digest", lambda p, a: [*as_bytes(a[:2]), a[2].to_bytes()[:40]]),
    "empty": ("digest", lambda p, a: [*as_bytes(a[:2]), b""]),
    "not a contribution": ("digest", lambda p, a: [*as_bytes(a[:2]), b"HCT2" + a[2].to_bytes()[4:]]),
    "header not canonical": ("digest", lambda p, a: [*as_bytes(a[:2]), spaced_header(a[2])]),
    "another study": ("study_mismatch", lambda p, a: as_bytes([*a[:2], sign_again(p, a[2], study="study-2")])),
    "study altered": ("study_mismatch", lambda p, a: as_bytes([*a[:2], sign_again(p, a[2], study_digest="00")])),
    "another round": ("round_mismatch", lambda p, a: as_bytes([*a[:2], sign_again(p, a[2], round=2)])),
    "another question": ("broadcast_mismatch", lambda p, a: as_bytes([*a[:2], sign_again(p, a[2], broadcast="00")])),
    "another step": ("broadcast_mismatch", lambda p, a: as_bytes([*a[:2], sign_again(p, a[2], step="newton")])),
    "another attempt": ("broadcast_mismatch", lambda p, a: as_bytes([*a[:2], sign_again(p, a[2], attempt=2)])),
    "unsigned": ("signature", lambda p, a: as_bytes([*a[:2], replace(a[2], signature=b"")])),
    "signed by another site": ("signature", lambda p, a: as_bytes([*a[:2], replace(a[2], signature=a[1].signature)])),
    "signature altered": ("signature", lambda p, a: as_bytes([*a[:2], resigned(a[2], flipped(a[2].signature))])),
    "payload of another site": ("count_slot", lambda p, a: as_bytes([*a[:2], swap_payload(p, a[2], a[1].payload)])),
    "masks left out": ("count_slot", lambda p, a: as_bytes(unmasked(p, a))),
    "scaled copy": ("count_slot", lambda p, a: as_bytes(one_site_scaled(p, a))),
    "no ciphertext": ("ciphertext", lambda p, a: as_bytes([*a[:2], swap_payload(p, a[2], b"HPV1")])),
    "other encoding": ("ciphertext", lambda p, a: as_bytes([*a[:2], swap_payload(p, a[2], coarse())])),
}  # fmt: skip


def resigned(contribution: Contribution, signature: bytes) -> Contribution:
    return replace(contribution, signature=signature)


def sign_again_as(contribution: Contribution, site: str) -> Contribution:
    return Contribution(replace(contribution.header, site=site), contribution.signature, contribution.payload)


def spaced_header(contribution: Contribution) -> bytes:
    text = json.dumps(json.loads(contribution.header.to_bytes())).encode()
    size = len(contribution.signature).to_bytes(2, "big")
    return b"HCT1" + len(text).to_bytes(4, "big") + text + size + contribution.signature + contribution.payload


def coarse() -> bytes:
    return encrypt(keypair()[0], np.zeros(6 + 8 + 10), PackSpec(104, 49, 3, 2048)).to_bytes()


@pytest.mark.parametrize("case", MATRIX)
def test_forged_contributions_are_refused_by_their_rule(case: str) -> None:
    rule, forge = MATRIX[case]
    party = consortium()
    with pytest.raises(DecryptRefused) as caught:
        party.keyholder.open_sum("study-1", 1, forge(party, answers(party)))
    assert caught.value.rule == rule


def test_a_refused_request_spends_nothing() -> None:
    party = consortium()
    answered = answers(party)
    with pytest.raises(DecryptRefused):
        party.keyholder.open_sum("study-1", 1, as_bytes(answered[:2]))
    assert party.keyholder.open_sum("study-1", 1, as_bytes(answered)).values[0] == 840


def test_the_same_request_again_gives_the_same_answer_and_another_none() -> None:
    party = consortium()
    answered = as_bytes(answers(party))
    first = party.keyholder.open_sum("study-1", 1, answered)
    again = party.keyholder.open_sum("study-1", 1, answered[::-1])
    assert (again.values.tolist(), again.proof) == (first.values.tolist(), first.proof)
    with pytest.raises(DecryptRefused) as caught:
        party.keyholder.open_sum("study-1", 1, as_bytes(answers(party)))  # fresh randomness: other bytes
    assert caught.value.rule == "already_opened"


def rule_of(action: Callable[[], object]) -> str:
    with pytest.raises(DecryptRefused) as caught:
        action()
    return caught.value.rule


def test_rounds_come_in_order_in_number_and_in_time() -> None:
    party = consortium()
    answered = as_bytes(answers(party))
    open_sum = party.keyholder.open_sum
    assert rule_of(lambda: open_sum("study-2", 1, answered)) == "unknown_study"
    assert rule_of(lambda: open_sum("study-1", 2, answered)) == "round_order"
    assert rule_of(lambda: open_sum("study-1", 0, answered)) == "max_rounds"
    assert rule_of(lambda: open_sum("study-1", 13, answered)) == "max_rounds"
    late = KeyHolder(party.keyholder._store, admit=lambda s, e: None, clock=lambda: NOW + timedelta(days=2))
    assert rule_of(lambda: late.open_sum("study-1", 1, answered)) == "deadline"


def test_only_a_study_with_its_own_key_enough_sites_and_consent_is_registered() -> None:
    party = consortium()
    store = MemoryStore()
    fresh = KeyHolder(store, admit=lambda s, e: None, bits=2048, clock=lambda: NOW)
    assert rule_of(lambda: fresh.register(party.envelope)) == "unknown_key"
    fresh.create_key("study-1")
    assert rule_of(lambda: fresh.register(party.envelope)) == "unknown_key"
    store.put("key/study-1", party.keyholder._store.get("key/study-1") or b"")
    strict = KeyHolder(store, admit=lambda s, e: None, limits=Limits(min_sites=4), clock=lambda: NOW)
    assert rule_of(lambda: strict.register(party.envelope)) == "min_sites"

    def deny(study: object, envelope: bytes) -> None:
        raise DecryptRefused("study_signature", "not signed by the coordinator")

    assert rule_of(lambda: KeyHolder(store, admit=deny).register(party.envelope)) == "study_signature"
    changed = unsigned_envelope(replace(party.study, nonce="11" * 16))
    assert rule_of(lambda: party.keyholder.register(changed)) == "study_changed"
    party.keyholder.register(party.envelope)
    with pytest.raises(StudyInvalid):
        party.keyholder.register(b"{}")


def test_two_studies_of_one_data_set_do_not_tell_a_few_sites_apart() -> None:
    """The sum over four sites less the sum over three of them is one site's sum."""
    store, sites = MemoryStore(), [f"hospital-{letter}" for letter in "abcdefg"]
    holder = KeyHolder(store, admit=lambda s, e: None, bits=2048, clock=lambda: NOW)
    private = consortium().keyholder._store.get("key/study-1") or b""

    def register(name: str, chosen: list[str], **changes: Any) -> None:
        store.put(f"key/{name}", private)
        frame = next(iter(tables().values()))
        study = replace(consortium(dict.fromkeys(chosen, frame)).study, id=name, **changes)
        holder.register(unsigned_envelope(study))

    register("three", sites[:3])
    register("three-again", sites[:3])
    assert rule_of(lambda: register("one-more", sites[:4])) == "rosters_differ"
    assert rule_of(lambda: register("one-other", [*sites[:2], sites[3]])) == "rosters_differ"
    register("three-more", sites[:6])
    register("others", sites[3:6])
    register("one-more-of-others", sites[:4], target="smoker", features=("age-2",))
    assert store.get("study/one-more") is None


def test_the_key_of_a_study_is_made_once_and_survives_a_restart() -> None:
    store = MemoryStore()
    first = KeyHolder(store, admit=lambda s, e: None, bits=2048).create_key("study-9")
    assert KeyHolder(store, admit=lambda s, e: None, bits=2048).create_key("study-9") == first
    assert int(first, 16).bit_length() == 2048


def test_a_signature_under_a_foreign_key_does_not_count() -> None:
    party = consortium()
    answered = answers(party)
    foreign = Ed25519PrivateKey.generate().sign(answered[0].header.signed_bytes())
    forged = [replace(answered[0], signature=foreign), *answered[1:]]
    assert rule_of(lambda: party.keyholder.open_sum("study-1", 1, as_bytes(forged))) == "signature"
