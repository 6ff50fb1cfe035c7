"""Every kind keeps the same promises: it goes on after a crash, and answers no question it does not know."""

import json
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from tests.federated.samples import FEATURES, SITES, TARGET, Consortium, consortium, now

from hdex.federated.broadcast import Broadcast
from hdex.federated.contributor import Contributor
from hdex.federated.disclosure import Limits
from hdex.federated.draft import Question
from hdex.federated.errors import AdmissionRefused, FederatedError, StudyInvalid
from hdex.federated.grid_inproc import InprocGrid
from hdex.federated.journal import RoundRecord
from hdex.federated.journal_memory import MemoryJournal
from hdex.federated.kinds.table import KINDS, kind_of
from hdex.federated.run import run_study
from hdex.federated.study import Study, unsigned_envelope

MALE = {"male": ("0", "1")}
CURVE = {"time": "age", "grid": [60, 70, 80]}
NETWORK: dict[str, Any] = {
    "target": TARGET,
    "features": ("age", "bmi"),
    "options": {"hidden": [], "rounds": 2, "seed": 4},
}
ASKED: dict[str, dict[str, Any]] = {
    **{kind: {"features": ("age", "bmi")} for kind in ("count", "sum", "mean", "variance")},
    "histogram": {"features": ("age",), "options": {"edges": {"age": [50, 65, 80]}}},
    "quantile": {"features": ("age",), "options": {"probabilities": [0.5], "resolution": 0.5}},
    "crosstab": {"features": ("male", TARGET), "levels": {**MALE, TARGET: ("0", "1")}},
    "t-test": {"target": "bmi", "features": ("male",), "levels": MALE},
    "linear": {"target": "pressure", "features": ("age", "male"), "levels": MALE},
    "logistic": {"target": TARGET, "features": FEATURES},
    "poisson": {"target": "male", "features": ("age", "bmi")},
    "kaplan-meier": {"target": TARGET, "features": ("male",), "levels": MALE, "options": CURVE},
    "cox": {"target": TARGET, "features": ("bmi", "pressure"), "options": {**CURVE, "strata": "site"}},
    **dict.fromkeys(("fedavg", "fedavgm", "fedprox", "fedadam", "fedadagrad", "fedyogi"), NETWORK),
}  # fmt: skip
FLOORLESS = Limits(3, 1, 1.0, 0.0)


def party(kind: str) -> Consortium:
    asked = {"target": "", "features": (), **ASKED[kind]}
    question = Question(purpose="DUO:0000006", kind=kind, **asked)
    return consortium(secure="plain", question=question, limits=FLOORLESS)


class Crash(BaseException):
    """The coordinator dies here."""


class CrashingJournal(MemoryJournal):
    """Dies after it has committed round 1, once."""

    died = False

    def commit(self, record: RoundRecord) -> None:
        super().commit(record)
        if not self.died:
            self.died = True
            raise Crash


def run(whole: Consortium, journal: MemoryJournal) -> dict[str, Any]:
    grid = InprocGrid(whole.handlers())
    options: dict[str, Any] = {"grid": grid, "decryptor": whole.decryptor, "journal": journal}
    return run_study(whole.envelope, limits=FLOORLESS, **options).document()


def test_every_kind_is_asked_here() -> None:
    assert set(ASKED) == set(KINDS)


@pytest.mark.parametrize("kind", ASKED)
def test_a_crash_between_rounds_changes_nothing_and_no_site_computes_twice(kind: str) -> None:
    expected = run(party(kind), MemoryJournal())
    whole, journal = party(kind), CrashingJournal()
    with pytest.raises(Crash):
        run(whole, journal)
    found = run(whole, journal)
    told = {
        name: value for name, value in expected.items() if name not in ("study_digest", "crossed", "bytes_per_site")
    }
    assert {name: found[name] for name in told} == told
    assert set(whole.computations().values()) == {found["rounds"]}
    assert json.loads(json.dumps(found, allow_nan=False)) == json.loads(json.dumps(found))


def first_question(study: Study, **changes: Any) -> bytes:
    inquiry = kind_of(study).inquire(study)
    asked = Broadcast(study.id, study.digest(), 1, 1, inquiry.step, inquiry.point)
    return replace(asked, **changes).to_bytes()


@pytest.mark.parametrize("kind", ASKED)
def test_a_site_takes_no_step_or_point_that_the_kind_does_not_know(kind: str) -> None:
    whole = party(kind)
    site = Contributor(SITES[0], whole.sites[SITES[0]], limits=FLOORLESS, sums_allowed=("plain",), clock=now)
    envelope = unsigned_envelope(whole.study)
    for changes in (
        {"step": "peek"},
        {"point": {"rows": np.zeros(3)}},
        {"point": {"beta": np.zeros((2, 2))}},
    ):
        with pytest.raises(StudyInvalid):
            site.answer(envelope, first_question(whole.study, **changes))
    *_, last = kind_of(whole.study).steps
    if len(kind_of(whole.study).steps) > 1:
        with pytest.raises(FederatedError) as caught:
            site.answer(envelope, first_question(whole.study, step=last))
        assert isinstance(caught.value, StudyInvalid | AdmissionRefused)
    assert whole.sites[SITES[0]].computations == 0
    site.answer(envelope, first_question(whole.study))


@pytest.mark.parametrize("kind", ASKED)
def test_the_vector_has_the_length_and_fits_the_encoding_that_the_study_pins(kind: str) -> None:
    study = party(kind).study
    plain = kind_of(study)
    assert set(study.pack) == set(plain.steps)
    rows = plain.rows(party(kind).sites[SITES[0]].frame(study), study)
    inquiry = plain.inquire(study)
    assert all(column.shape[0] >= rows.n for column in rows.summed)
    assert rows.n > 0
    vector = plain.sums(rows, study, inquiry.step, inquiry.point)
    encoding = study.encoding(inquiry.step)
    assert vector.shape == (plain.length(study, inquiry.step),)
    assert np.abs(vector).max() < 2.0 ** (encoding.value_bits - 1 - encoding.fraction_bits)
