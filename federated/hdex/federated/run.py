"""Run one study over a Grid: `run_study` starts it, or goes on where its journal ends."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import replace

from hdex.federated.apps.coordinator import Progress, server_app
from hdex.federated.apps.flower import Context, Grid, RecordDict, Run
from hdex.federated.apps.opening import Opened, ShareHolders, Unproven, tell_nobody
from hdex.federated.apps.roll_call import RollCall
from hdex.federated.disclosure import Limits, check_sites
from hdex.federated.journal import RoundRecord
from hdex.federated.ports import Decryptor, Journal
from hdex.federated.release import floors_of, released
from hdex.federated.result import StudyResult
from hdex.federated.standing import People
from hdex.federated.strategy import EncryptedSum
from hdex.federated.study import parse_envelope
from hdex.federated.waiting import Patience

__all__ = ["Progress", "run_study"]


def say_nothing(record: RoundRecord) -> None:
    """Tell nobody."""


def run_study(
    study_envelope: bytes,
    *,
    grid: Grid,
    decryptor: Decryptor,
    journal: Journal,
    progress: Progress = say_nothing,
    patience: Patience | None = None,
    limits: Limits | None = None,
    regions: Mapping[str, Sequence[str]] | None = None,
    opened: Opened | None = None,
    unproven: Unproven = tell_nobody,
    people: People | None = None,
) -> StudyResult:
    """Return the study's result. Called again with the same journal it goes on, and no committed round is asked again.

    decryptor: the key holder; a study whose key is shared asks its share holders over the grid instead, and then
    `opened` is called with (round, contributions, proof), and `unproven` with (round, party, why) of each that gives
    no part. progress: called with each round's row once it is committed, those of an earlier run first. regions:
    regional aggregators asked in place of their sites, id -> sites. people: of the sites, who are asked before the
    first round and waited for; None where everybody has approved, as in a simulation. One study runs per process at a
    time (Flower's task identity is process-wide). Raises AdmissionRefused, DisclosureRefused or DecryptRefused with
    the rule, OpeningInvalid for a sum that is not proven, SiteLost when `patience` ends without all who must take part,
    NotConverged, CiphertextInvalid.
    """
    patience = patience or Patience()
    if threshold := parse_envelope(study_envelope).threshold:
        decryptor = ShareHolders(
            study_envelope, threshold, grid, timeout_s=patience.straggler_s, opened=opened, unproven=unproven
        )
    strategy = EncryptedSum(study_envelope, decryptor, regions=regions)
    floor = (Limits() if limits is None else limits).stricter(Limits(1, strategy.study.min_rows, 1.0, 0.0))
    check_sites(len(strategy.study.sites), floor)
    run_id = _run_id(strategy.study.digest())
    grid.set_run(Run.create_empty(run_id))
    roll = RollCall(strategy.study, study_envelope, strategy.members, people=people) if people is not None else None
    app = server_app(strategy, journal, progress=progress, patience=patience, roll=roll)
    app(grid, Context(run_id, 1, {}, RecordDict(), {}))
    result = strategy.result()
    check_sites(len(result.sites), floor)
    if floor.min_rows <= 1:  # no floor at all: a simulation's, whose breaches become warnings
        return result
    return replace(result, answer=released(result.answer, floors_of(strategy.study)))


def _run_id(digest: str) -> int:
    return int.from_bytes(hashlib.sha256(digest.encode()).digest()[:8], "big") >> 1
