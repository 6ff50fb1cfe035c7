"""Sites valued by the updates they sent: what each adds to the trained network, copies found first."""

from typing import Any

import pytest
from tests.federated.samples import FEATURES, TARGET, tables

from hdex.federated.errors import StudyInvalid
from hdex.federated.report import as_text
from hdex.federated.shapley import Scores, shapley, split_cents
from hdex.federated.simulate import simulate

OPTIONS: dict[str, Any] = {"hidden": [], "rounds": 4, "learning_rate": 0.3, "seed": 3}


def valued(kind: str = "fedavg", secure: str = "plain", copies: int = 0) -> dict[str, Any]:
    frames = tables() | {f"copy-{number}": tables()["hospital-b"] for number in range(copies)}
    asked: dict[str, Any] = {"target": TARGET, "features": FEATURES, "options": OPTIONS}
    return simulate(frames, kind=kind, secure=secure, contribution=True, **asked).document()


def test_the_values_add_up_to_what_training_gained_on_all_rows() -> None:
    found = valued()
    worth = found["coalition_scores"]["worth"]
    assert len(worth) == 8
    everybody = "hospital-a+hospital-b+hospital-c"
    assert sum(found["contribution"].values()) == pytest.approx(worth[everybody] - worth[""], abs=1e-12)
    assert worth[everybody] == pytest.approx(-found["history"][-1]["loss"], abs=1e-9)  # the released model's
    assert worth[""] == pytest.approx(-found["history"][0]["loss"], abs=1e-9)
    assert min(found["contribution"].values()) > 0
    assert "Shapley" in as_text(found)


def test_copies_of_a_site_share_one_value_and_the_split_is_recomputed_from_the_result() -> None:
    alone, copied = valued(), valued(copies=2)
    scores = Scores.from_document(copied["coalition_scores"])
    assert ("copy-0", "copy-1", "hospital-b") in scores.players
    values = shapley(scores)
    assert values == copied["contribution"]
    assert values["copy-0"] == values["copy-1"] == values["hospital-b"]
    assert 3 * values["hospital-b"] == pytest.approx(alone["contribution"]["hospital-b"], rel=0.5)
    assert sum(split_cents(scores, 100_000).values()) == 100_000


@pytest.mark.parametrize(("kind", "secure"), [("fedadam", "plain"), ("logistic", "plain"), ("fedavg", "paillier")])
def test_what_cannot_be_valued_is_refused(kind: str, secure: str) -> None:
    with pytest.raises(StudyInvalid, match="valued"):
        valued(kind, secure)
