"""Two populations of one data set differ by nobody or by a crowd."""

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hdex.node.documents import MemoryDocuments
from hdex.node.errors import AccessDenied
from hdex.node.hospital.populations import THRESHOLD, Populations
from hdex.node.keys import MemoryKeys
from hdex.node.vault import Vault

EVERYBODY = [f"p{number:03}" for number in range(60)]


def populations(folder: Path) -> Populations:
    return Populations(MemoryDocuments(), Vault(folder, MemoryKeys()), b"s" * 32)


def test_the_first_population_is_everybody_covered(tmp_path: Path) -> None:
    assert populations(tmp_path).settle("cohort", EVERYBODY) == EVERYBODY


def test_who_withdraws_leaves_in_a_crowd(tmp_path: Path) -> None:
    register = populations(tmp_path)
    register.settle("cohort", EVERYBODY)
    settled = register.settle("cohort", EVERYBODY[1:])
    assert "p000" not in settled
    assert len(set(EVERYBODY) - set(settled)) == THRESHOLD


def test_the_same_patients_give_the_same_population_again(tmp_path: Path) -> None:
    register = populations(tmp_path)
    register.settle("cohort", EVERYBODY)
    first = register.settle("cohort", EVERYBODY[1:])
    assert register.settle("cohort", list(reversed(EVERYBODY[1:]))) == first
    assert register.settle("cohort", EVERYBODY) == EVERYBODY


def test_a_population_too_small_to_hide_in_is_refused(tmp_path: Path) -> None:
    register = populations(tmp_path)
    register.settle("cohort", EVERYBODY[:6])
    with pytest.raises(AccessDenied, match="hide"):
        register.settle("cohort", EVERYBODY[:5])


def test_a_purpose_nobody_consents_to_is_a_population_of_nobody(tmp_path: Path) -> None:
    register = populations(tmp_path)
    register.settle("cohort", EVERYBODY)
    assert register.settle("cohort", []) == []


def test_data_sets_do_not_touch_each_other(tmp_path: Path) -> None:
    register = populations(tmp_path)
    register.settle("cohort", EVERYBODY)
    assert register.settle("subcohort", EVERYBODY[1:]) == EVERYBODY[1:]


@settings(max_examples=25, deadline=None)
@given(st.lists(st.sets(st.sampled_from(EVERYBODY), min_size=45), min_size=2, max_size=4))
def test_no_two_populations_differ_by_few(tmp_path_factory: pytest.TempPathFactory, asked: list[set[str]]) -> None:
    register = populations(tmp_path_factory.mktemp("vault"))
    found = []
    for covered in asked:
        try:
            settled = set(register.settle("cohort", sorted(covered)))
        except AccessDenied:
            continue
        assert settled <= covered
        found.append(settled)
    for one in found:
        assert all(len(one ^ other) == 0 or len(one ^ other) >= THRESHOLD for other in found)
