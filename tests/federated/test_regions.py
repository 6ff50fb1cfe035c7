"""Regional aggregators: a tree of ciphertext sums is the flat sum, and every site's signature still counts."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cache
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.federated.samples import Consortium, consortium, keypair, now, table

from hdex.federated.apps.region import RegionSession
from hdex.federated.combine import combine
from hdex.federated.contribution import Contribution
from hdex.federated.draft import Question
from hdex.federated.errors import (
    AdmissionRefused,
    CiphertextInvalid,
    DecryptRefused,
    SiteLost,
    StudyInvalid,
    TooFewContributors,
)
from hdex.federated.grid_inproc import InprocGrid
from hdex.federated.journal_memory import MemoryJournal
from hdex.federated.keyholder import KeyHolder
from hdex.federated.paillier import decrypt
from hdex.federated.ports import OpenedSum
from hdex.federated.receipts import Receipt, RoundReceipt, replay
from hdex.federated.regional import RegionalSum, Reply, parse_reply, sign_sum
from hdex.federated.run import run_study
from hdex.federated.simulate import simulate
from hdex.federated.statistics import Floats
from hdex.federated.store_memory import MemoryStore
from hdex.federated.waiting import Patience

SITES = tuple(f"hospital-{letter}" for letter in "abcdefg")
KEYS = {name: Ed25519PrivateKey.generate() for name in ("north", "south", "west")}
PUBLIC = {name: key.public_key().public_bytes_raw() for name, key in KEYS.items()}
REGIONS = {"north": SITES[:3], "south": (SITES[3], SITES[5]), "west": (SITES[4], SITES[6])}


class Keeping:
    """A key holder that knows the regions; what it was given is kept."""

    def __init__(self, party: Consortium) -> None:
        store: MemoryStore = party.keyholder._store  # type: ignore[assignment]  # the samples' key
        self.inner = KeyHolder(store, admit=lambda *_: None, bits=2048, clock=now, regions=PUBLIC)
        self.kept: list[tuple[bytes, ...]] = []
        self.proofs: list[bytes] = []

    def open_sum(self, study_id: str, round_number: int, contributions: list[bytes]) -> OpenedSum:
        self.kept.append(tuple(contributions))
        opened = self.inner.open_sum(study_id, round_number, contributions)
        self.proofs.append(opened.proof)
        return opened


def seven() -> Consortium:
    frames = {site: table(40, seed=number) for number, site in enumerate(SITES)}
    return consortium(frames, question=Question("", ("age",), "DUO:0000006", kind="mean"))


def sessions(party: Consortium, regions: Mapping[str, Sequence[str]], stores: dict[str, MemoryStore]) -> dict[str, Any]:
    """Return a session of each region over its sites."""
    handlers = party.handlers()
    made = {}
    for region, sites in regions.items():
        grid = InprocGrid({site: handlers[site] for site in sites})
        store = stores.setdefault(region, MemoryStore())
        members = {site: (site,) for site in sites}
        made[region] = RegionSession(region, members, grid, sign=KEYS[region].sign, kept=store, clock=now)
    return made


@cache
def flat() -> tuple[Consortium, tuple[tuple[bytes, ...], ...]]:
    """Return a study that ran without regions, and its contributions by round."""
    party = seven()
    decryptor = Keeping(party)
    run_study(party.envelope, grid=InprocGrid(party.handlers()), decryptor=decryptor, journal=MemoryJournal())
    return party, tuple(decryptor.kept)


@st.composite
def trees(draw: st.DrawFn, leaves: Sequence[int] = range(7)) -> Any:
    """Draw how sites are grouped, and groups again."""
    order = draw(st.permutations(leaves))
    nodes: list[Any] = list(order)
    for _ in range(draw(st.integers(0, 4))):
        if len(nodes) < 2:
            break
        size = draw(st.integers(1, len(nodes)))
        nodes = [nodes[:size], *nodes[size:]]
    return nodes


def summed(node: Any, leaves: Sequence[Contribution], party: Consortium) -> Reply:
    if isinstance(node, int):
        return leaves[node]
    replies = [summed(child, leaves, party) for child in node]
    return sign_sum("north", replies, combine(party.study, replies).to_bytes(), sign=KEYS["north"].sign)


@settings(max_examples=20)
@given(tree=trees())
def test_every_tree_gives_the_flat_product_bit_for_bit(tree: Any) -> None:
    party, rounds = flat()
    leaves = [Contribution.from_bytes(data) for data in rounds[-1]]
    expected = combine(party.study, leaves).to_bytes()
    assert combine(party.study, [summed(child, leaves, party) for child in tree]).to_bytes() == expected


def test_a_study_over_regions_gives_the_flat_result_and_a_receipt_that_replays() -> None:
    party, stores = seven(), {}  # type: ignore[var-annotated]
    made = sessions(party, REGIONS, stores)
    decryptor, journal = Keeping(party), MemoryJournal()
    grid = InprocGrid({region: session.handle for region, session in made.items()})
    result = run_study(party.envelope, grid=grid, decryptor=decryptor, journal=journal, regions=REGIONS)
    expected = simulate(
        {site: hooks.frame(party.study) for site, hooks in party.sites.items()},
        target="", features=["age"], kind="mean", secure="plain",
    )  # fmt: skip
    assert result.answer.document() == expected.result.answer.document()
    assert [len(kept) for kept in decryptor.kept] == [3] * result.rounds  # the key holder sees one sum of each region

    rounds = []
    for record, proof in zip(journal.rounds(party.study.id), decryptor.proofs, strict=True):
        found = {}
        for session in made.values():
            for data in session.contributions(party.study, record.round):
                found[Contribution.from_bytes(data).header.site] = data
        rounds.append(RoundReceipt(record, tuple(found[site] for site in SITES), proof))
    replayed = replay(Receipt(party.envelope, tuple(rounds)), {})
    assert replayed.recomputed == result.rounds
    assert all("has not logged" in found or "sealed" in found or "logged" in found for found in replayed.offences)


def test_a_region_that_spoils_its_sum_is_found_by_what_its_sites_signed() -> None:
    party, rounds = flat()
    leaves = [Contribution.from_bytes(data) for data in rounds[-1]]
    honest, twice = combine(party.study, leaves[:3]), combine(party.study, leaves[:2])
    assert honest.to_bytes() != twice.to_bytes()
    spoiled = sign_sum("north", leaves[:3], twice.to_bytes(), sign=KEYS["north"].sign)
    with pytest.raises(CiphertextInvalid, match="encoding"):
        combine(party.study, [spoiled, *leaves[3:]])  # it counts two, and names three


def opened(party: Consortium, replies: Sequence[Reply], regions: Mapping[str, bytes] = PUBLIC) -> Floats:
    """Ask a key holder that has opened nothing yet for round 1."""
    return opened_bytes(party, [reply.to_bytes() for reply in replies], regions)


def opened_bytes(party: Consortium, data: list[bytes], regions: Mapping[str, bytes]) -> Floats:
    store = MemoryStore()
    for name in ("key/study-1", "study/study-1"):
        kept = party.keyholder._store.get(name)
        assert kept is not None
        store.put(name, kept)
    keyholder = KeyHolder(store, admit=lambda *_: None, bits=2048, clock=now, regions=regions)
    return keyholder.open_sum("study-1", 1, data).values


def test_the_key_holder_opens_the_same_sum() -> None:
    party, rounds = flat()
    leaves = [Contribution.from_bytes(data) for data in rounds[0]]
    assert opened(party, [summed([0, 1, 2], leaves, party), *leaves[3:]]).tolist() == opened(party, leaves).tolist()


REFUSED = [
    "region_unknown",
    "region_signature",
    "signature",
    "roster_incomplete",
    "duplicate_site",
    "ciphertext",
    "digest",
]


@pytest.mark.parametrize("rule", REFUSED)
def test_the_key_holder_refuses(rule: str) -> None:
    party, rounds = flat()
    leaves = [Contribution.from_bytes(data) for data in rounds[0]]
    north = summed([0, 1, 2], leaves, party)
    assert isinstance(north, RegionalSum)
    sign, vector = KEYS["north"].sign, north.vector
    forged = (replace(leaves[0], signature=bytes(64)), *leaves[1:3])
    replies: dict[str, list[Reply]] = {
        "region_unknown": [north, *leaves[3:]],
        "region_signature": [replace(north, signature=KEYS["south"].sign(north.signed_bytes())), *leaves[3:]],
        "signature": [sign_sum("north", forged, vector, sign=sign), *leaves[3:]],
        "roster_incomplete": [north, *leaves[4:]],
        "duplicate_site": [north, *leaves[2:]],
        "ciphertext": [
            sign_sum("north", leaves[:3], combine(party.study, leaves[:2]).to_bytes(), sign=sign),
            *leaves[3:],
        ],
        "digest": [north, *leaves[3:]],
    }
    data = [reply.to_bytes() for reply in replies[rule]]
    if rule == "digest":
        data[0] = data[0][:-1] + bytes([data[0][-1] ^ 1])
    with pytest.raises(DecryptRefused) as caught:
        opened_bytes(party, data, {} if rule == "region_unknown" else PUBLIC)
    assert caught.value.rule == rule


def test_a_subtree_alone_is_noise_to_whoever_holds_the_key() -> None:
    party, rounds = flat()
    leaves = [Contribution.from_bytes(data) for data in rounds[0]]
    with pytest.raises((TooFewContributors, CiphertextInvalid)):
        decrypt(keypair()[1], combine(party.study, leaves[:3]), contributors=3)


@given(at=st.integers(0, 10_000), bit=st.integers(0, 7))
@settings(max_examples=60)
def test_every_altered_byte_of_a_regional_sum_is_noticed(at: int, bit: int) -> None:
    party, rounds = flat()
    leaves = [Contribution.from_bytes(data) for data in rounds[0]]
    data = summed([0, 1, 2], leaves, party).to_bytes()
    at %= len(data)
    try:
        found = parse_reply(data[:at] + bytes([data[at] ^ (1 << bit)]) + data[at + 1 :])
    except CiphertextInvalid:
        return
    assert isinstance(found, RegionalSum)
    with pytest.raises(DecryptRefused):  # readable still, so the signature speaks
        opened(party, [found, *leaves[3:]])


def test_a_sites_refusal_and_a_missing_site_cross_a_region() -> None:
    party = seven()
    party.sites["hospital-d"].refuse[1] = "level_5_needs_two"
    made = sessions(party, REGIONS, {})
    grid = InprocGrid({region: session.handle for region, session in made.items()})
    with pytest.raises(AdmissionRefused, match="hospital-d") as caught:
        run_study(party.envelope, grid=grid, decryptor=Keeping(party), journal=MemoryJournal(), regions=REGIONS)
    assert caught.value.rule == "level_5_needs_two"


def test_a_region_that_leaves_a_site_out_is_told() -> None:
    party = seven()
    made = sessions(party, {**REGIONS, "west": SITES[4:5]}, {})
    grid = InprocGrid({region: session.handle for region, session in made.items()})
    with pytest.raises(CiphertextInvalid, match="west stands for other sites"):
        run_study(party.envelope, grid=grid, decryptor=Keeping(party), journal=MemoryJournal(), regions=REGIONS)
    there = InprocGrid({region: session.handle for region, session in made.items() if region != "south"})
    with pytest.raises(SiteLost, match="south"):
        run_study(
            party.envelope, grid=there, decryptor=Keeping(party), journal=MemoryJournal(),
            patience=Patience(0.2), regions={**REGIONS, "west": SITES[4:5], "south": (*REGIONS["south"], SITES[6])},
        )  # fmt: skip


@pytest.mark.parametrize(
    "regions",
    [{"north": ["nobody"]}, {"north": SITES[:2], "south": SITES[1:3]}, {"hospital-a": SITES[:2]}, {"north": []}],
)
def test_regions_must_fit_the_roster(regions: dict[str, Sequence[str]]) -> None:
    party = seven()
    with pytest.raises(StudyInvalid):
        run_study(
            party.envelope, grid=InprocGrid({}), decryptor=party.keyholder, journal=MemoryJournal(), regions=regions
        )


def test_simulated_regions_change_no_bit_of_the_result() -> None:
    frames = {site: table(60, seed=number) for number, site in enumerate(SITES)}
    asked = {"target": "event", "features": ["age", "bmi"], "kind": "logistic", "bits": 2048}
    one, other = (simulate(frames, regions=regions, **asked).document() for regions in (0, 3))  # type: ignore[arg-type]
    for name in ("coefficients", "rounds", "bytes_per_site"):
        assert one[name] == other[name]
    with pytest.raises(StudyInvalid, match="regions"):
        simulate(frames, target="event", features=["age"], secure="plain", regions=2)
