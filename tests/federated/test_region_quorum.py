"""Best-effort studies over regions: a round asks whole regions, and goes on without a silent or incomplete one."""

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from tests.federated.samples import FEATURES, NOW, TARGET, Consortium, consortium, keypair, now, table

from hdex.federated.apps.flower import from_frame
from hdex.federated.apps.region import RegionSession
from hdex.federated.channel_memory import MemoryChannel
from hdex.federated.draft import Question
from hdex.federated.errors import FrameInvalid, SiteLost, StudyInvalid
from hdex.federated.grid_stream import StreamGrid
from hdex.federated.journal import Attempt
from hdex.federated.journal_memory import MemoryJournal
from hdex.federated.keyholder import KeyHolder
from hdex.federated.paillier import private_key_to_bytes
from hdex.federated.ports import Journal
from hdex.federated.result import StudyResult
from hdex.federated.run import run_study
from hdex.federated.store_memory import MemoryStore
from hdex.federated.waiting import Patience

SITES = tuple(f"hospital-{letter}" for letter in "abcde")
THREE, SOUTH = SITES[:3], SITES[3:]
REGIONS = {"south": SOUTH}
KEY = Ed25519PrivateKey.generate()
RECIPE: dict[str, Any] = {"hidden": [1], "rounds": 1, "batch": 64, "learning_rate": 0.5}
Frame = Callable[[bytes], bytes]


def party(quorum: int) -> Consortium:
    """Return five sites with a training study of this quorum, and a key holder that knows the region."""
    frames = {site: table(300, seed=number) for number, site in enumerate(SITES)}
    question = Question(TARGET, FEATURES, "DUO:0000006", kind="fedavg", options=RECIPE)
    base, store = consortium(frames, question=question), MemoryStore()
    store.put("key/study-1", private_key_to_bytes(keypair()[1]))
    regions = {"south": KEY.public_key().public_bytes_raw()}
    keyholder = KeyHolder(store, admit=lambda study, envelope: None, bits=2048, clock=now, regions=regions)
    made = replace(base, study=replace(base.study, quorum=quorum), keyholder=keyholder)
    keyholder.register(made.envelope)
    return made


class Line(MemoryChannel):
    """Time passes while nobody speaks."""

    def __init__(self, handlers: dict[str, Frame]) -> None:
        super().__init__(handlers)
        self.now = 0.0  # seconds
        self.grid = StreamGrid(self, clock=lambda: self.now)

    def receive(self, timeout_s: float) -> tuple[str, bytes]:
        if not self._waiting:
            self.now += timeout_s
        return super().receive(timeout_s)


def silent_in(number: int, handle: Frame) -> Frame:
    """Return a handler that is not heard in one round."""

    def answer(frame: bytes) -> bytes:
        if from_frame(frame).metadata.group_id == str(number):
            raise FrameInvalid("not heard")
        return handle(frame)

    return answer


def run(made: Consortium, silent: str, journal: Journal | None = None) -> StudyResult:
    """Run it over one region and three sites of their own; `silent` is not heard in round 2."""
    handlers = made.handlers()
    if silent in handlers:
        handlers[silent] = silent_in(2, handlers[silent])
    below = Line({site: handlers[site] for site in SOUTH}).grid
    members = {site: (site,) for site in SOUTH}
    south = RegionSession("south", members, below, sign=KEY.sign, kept=MemoryStore(), clock=now).handle
    above = {site: handlers[site] for site in THREE}
    line = Line({**above, "south": silent_in(2, south) if silent == "south" else south})
    return run_study(
        made.envelope,
        grid=line.grid,
        decryptor=made.keyholder,
        journal=MemoryJournal() if journal is None else journal,
        patience=Patience(round_s=600, straggler_s=30, clock=lambda: NOW + timedelta(seconds=line.now)),
        regions=REGIONS,
    )


@pytest.mark.parametrize("silent", ["south", SITES[4]])
def test_a_round_goes_on_without_a_region_that_is_silent_or_misses_a_site(silent: str) -> None:
    journal = MemoryJournal()
    found = run(party(quorum=3), silent, journal)
    assert found.contributors == (SITES, THREE, SITES)
    assert [record.attempt for record in journal.rounds("study-1")] == [1, 2, 1]


def test_a_region_that_misses_a_site_without_which_there_is_no_quorum_ends_the_round_with_its_name() -> None:
    made, journal = party(quorum=4), MemoryJournal()
    with pytest.raises(SiteLost, match=r"south: no answer to round 2 from hospital-e"):
        run(made, SITES[4], journal)
    assert run(made, "nobody", journal).contributors == (SITES, SITES, SITES)


def test_an_attempt_that_asks_half_a_region_is_not_asked() -> None:
    journal = MemoryJournal()
    journal.declare(Attempt("study-1", 1, 1, SITES[:4]))
    with pytest.raises(StudyInvalid, match="part of a region"):
        run(party(quorum=3), "nobody", journal)
