"""No two releases, and not all of them together, show fewer than k patients; counted against brute force."""

from collections import Counter
from random import Random

import numpy as np
import polars as pl
import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from hdex.deid import hierarchy
from hdex.deid.errors import ArgumentInvalid, RegisterRefused
from hdex.deid.lattice import anonymize
from hdex.deid.register import (
    PATIENT,
    Entry,
    Standing,
    compare,
    enter,
    group_leaves,
    leaving,
    pinned,
    require_apart,
    standing,
    told,
)

KEY = bytes(range(32))
Version = dict[int, str]  # patient -> class
versions = st.dictionaries(st.integers(0, 15), st.sampled_from("abc"), max_size=16)


def entry(version: Version, name: str = "1.0.0", k: int = 2) -> Entry:
    patients = pl.Series([str(patient) for patient in version], dtype=pl.String)
    frame = pl.DataFrame({"class": list(version.values())}, schema={"class": pl.String})
    return enter(name, patients, frame, ["class"], k=k, key=KEY)


def shown(*several: Version) -> Counter[tuple[str | None, ...]]:
    """Return how many patients share each tuple of classes, written down naively."""
    everybody = set().union(*several)
    return Counter(tuple(one.get(patient) for one in several) for patient in everybody)


@settings(max_examples=60, deadline=None)
@given(versions, versions)
def test_a_pair_is_compared_as_counting_by_hand_says(old: Version, new: Version) -> None:
    found, sizes = compare(entry(new), entry(old)), shown(old, new)
    kinds = {
        "joined": [n for (a, b), n in sizes.items() if a and b],
        "left": [n for (a, b), n in sizes.items() if b is None],
        "joining": [n for (a, b), n in sizes.items() if a is None],
    }
    assert {kind: getattr(found, kind) for kind in kinds} == {kind: min(n, default=0) for kind, n in kinds.items()}


@settings(max_examples=80, deadline=None)
@given(st.lists(versions, min_size=1, max_size=3), versions, st.integers(1, 3))
def test_a_release_is_refused_exactly_when_some_group_is_too_small(old: list[Version], new: Version, k: int) -> None:
    pairs = [n for one in old for n in shown(one, new).values()]
    together = list(shown(*old, new).values())
    is_clear = min([*pairs, *together], default=k) >= k
    earlier = [entry(one, k=k) for one in old]
    if is_clear:
        assert len(require_apart(entry(new, k=k), earlier)) == len(old)
        return
    with pytest.raises(RegisterRefused) as refused:
        require_apart(entry(new, k=k), earlier)
    assert refused.value.found < refused.value.asked == k
    assert refused.value.rule.startswith("register.")
    assert refused.value.next_step


def everybody(size: int = 12) -> Version:
    return {patient: "a" if patient < size // 2 else "b" for patient in range(size)}


def test_the_same_release_again_is_clear() -> None:
    (found,) = require_apart(entry(everybody(), k=5), [entry(everybody(), k=5)])
    assert (found.joined, found.left, found.joining) == (6, 0, 0)


def test_one_patient_who_left_is_refused_by_subtraction() -> None:
    without = {patient: label for patient, label in everybody().items() if patient != 3}
    with pytest.raises(RegisterRefused, match="1 patients, asked are 0 or at least 5") as refused:
        require_apart(entry(without, k=5), [entry(everybody(), k=5)])
    assert refused.value.rule == "register.difference"


def test_companions_of_other_classes_do_not_hide_who_left() -> None:
    """The crowd is 6, but its classes are 3 and 3."""
    without = {patient: label for patient, label in everybody(24).items() if patient not in {0, 1, 2, 12, 13, 14}}
    with pytest.raises(RegisterRefused, match="3 patients"):
        require_apart(entry(without, k=5), [entry(everybody(24), k=5)])


def test_classes_cut_anew_are_refused_by_the_join() -> None:
    """Each release has k 5; who knows both labels of his target is left with 1."""
    other = {patient: "c" if patient < 7 else "d" for patient in range(14)}
    shifted = {patient: "a" if patient < 6 else "b" for patient in range(14)}
    with pytest.raises(RegisterRefused) as refused:
        require_apart(entry(other, k=5), [entry(shifted, k=5)])
    assert (refused.value.rule, refused.value.found) == ("register.joined", 1)


def test_three_releases_can_show_what_no_two_do() -> None:
    """Eight patients, three cuts into halves of four: pairs have 2 in common, all three 1."""
    cuts = [{patient: "ab"[patient >> bit & 1] for patient in range(8)} for bit in range(3)]
    require_apart(entry(cuts[2]), [entry(cuts[0])])
    require_apart(entry(cuts[2]), [entry(cuts[1])])
    with pytest.raises(RegisterRefused) as refused:
        require_apart(entry(cuts[2]), [entry(one) for one in cuts[:2]])
    assert refused.value.rule == "register.together"


def test_a_pair_must_meet_the_weaker_k_of_the_two() -> None:
    old, new = everybody(8), everybody(8)
    require_apart(entry(new, k=20), [entry(old, k=4)])
    with pytest.raises(RegisterRefused, match="at least 5"):
        require_apart(entry(new, k=20), [entry(old, k=5)])


def test_the_register_holds_neither_patients_nor_labels_and_a_class_is_all_its_columns() -> None:
    frame = pl.DataFrame({"sex": ["f", "f", None, "f"], "age": ["60-69", "60-69", "60-69", None], "x": [1, 2, 3, 4]})
    made = enter("1", pl.Series(["p1", "p2", "p3", "p4"]), frame, ["sex", "age"], k=2, key=KEY)
    cells = {cell for row in made.members.rows() for cell in row}
    assert all(len(cell) == 64 and set(cell) <= set("0123456789abcdef") for cell in cells)
    assert made.members["class"].n_unique() == 3
    assert "members" not in repr(made)
    other = enter("1", pl.Series(["p1", "p2", "p3", "p4"]), frame, ["sex", "age"], k=2, key=bytes(32))
    assert not cells & {cell for row in other.members.rows() for cell in row}


def test_a_patient_of_several_rows_counts_once_with_all_his_classes() -> None:
    frame = pl.DataFrame({"class": ["a", "b", "a", "b", "b"]})
    made = enter("1", pl.Series(["p1", "p1", "p2", "p2", "p3"]), frame, ["class"], k=2, key=KEY)
    assert sorted(made.members["class"].value_counts()["count"]) == [1, 2]
    with pytest.raises(ArgumentInvalid, match="1 patients for 5 rows"):
        enter("1", pl.Series(["p1"]), frame, ["class"], k=2, key=KEY)


def test_without_quasi_identifiers_everybody_is_one_class() -> None:
    made = enter("1", pl.Series(["p1", "p2"]), pl.DataFrame({"x": [1, 2]}), [], k=2, key=KEY)
    assert made.members["class"].n_unique() == 1


@given(st.integers(0, 12), st.integers(0, 12), st.integers(1, 6))
def test_a_group_loses_as_few_as_can_be(inside: int, gone: int, k: int) -> None:
    assume(inside + gone >= k)

    def is_safe(leave: int) -> bool:
        stay, left = inside - leave, gone + leave
        return (stay == 0 or stay >= k) and (left == 0 or left >= k)

    assert group_leaves(inside, gone, k) == min(leave for leave in range(inside + 1) if is_safe(leave))


groups_of_three = st.lists(
    st.tuples(st.sampled_from([("a", None), (None, "b"), ("a", "b"), ("c", "b"), ("a", "c")]), st.integers(3, 6)),
    min_size=1,
    max_size=4,
)


@settings(max_examples=40, deadline=None)
@given(groups_of_three, st.sets(st.integers(0, 28)), st.integers(0, 6), st.randoms())
@example([(("a", None), 6)], {0, 1, 2}, 1, Random(1))  # nobody but a group that is already as small as it may be
def test_who_leaves_leaves_every_group_hidden(
    blocks: list[tuple[tuple[str | None, str | None], int]], covered: set[int], further: int, random: Random
) -> None:
    """Whatever was released safely and whoever is covered now: those who stay and those who left are crowds."""
    k, old = 3, [Version(), Version()]
    for classes, size in blocks:
        start = len(set().union(*old))
        for version, label in zip(old, classes, strict=True):
            version.update(dict.fromkeys(range(start, start + size), label) if label else {})
    sizes = shown(*old)
    patients = [str(patient) for patient in sorted(covered)]
    order = list(range(len(patients)))
    random.shuffle(order)
    now = standing(pl.Series(PATIENT, patients, dtype=pl.String), [entry(one, k=k) for one in old], key=KEY)
    out = leaving(now, order, further=further)
    stay = {int(patient) for patient, leaves in zip(patients, out, strict=True) if not leaves}
    assert stay <= covered
    for group in sizes:
        members = {patient for patient in set().union(*old) if tuple(one.get(patient) for one in old) == group}
        for part in (members & stay, members - stay):
            assert len(part) == 0 or len(part) >= k
    newcomers = stay - set().union(*old)
    assert len(newcomers) == 0 or len(newcomers) >= k
    assert out.sum() >= min(further, len(patients))


def test_nobody_leaves_where_nothing_changed() -> None:
    patients = pl.Series([str(patient) for patient in everybody()])
    now = standing(patients, [entry(everybody(), k=5)], key=KEY)
    assert not leaving(now, range(12)).any()
    assert not leaving(standing(patients, [], key=KEY), range(12)).any()


def test_the_companions_are_of_the_class_of_who_left() -> None:
    """20 of a and 20 of b; one of a withdrew: 4 others of a go with him, nobody of b."""
    released = everybody(40)
    patients = pl.Series([str(patient) for patient in range(1, 40)])
    out = leaving(standing(patients, [entry(released, k=5)], key=KEY), range(39))
    assert np.flatnonzero(out).tolist() == [0, 1, 2, 3]
    more = leaving(standing(patients, [entry(released, k=5)], key=KEY), range(39), further=5)
    assert np.flatnonzero(more).tolist() == list(range(9))


def test_a_class_too_small_to_lose_k_leaves_as_a_whole() -> None:
    now = Standing(np.zeros(7, dtype=np.int64), np.array([8]), 5)
    assert leaving(now, range(7)).all()


ages = st.lists(st.integers(20, 95), min_size=30, max_size=60)


@settings(max_examples=15, deadline=None)
@given(ages, st.lists(st.sampled_from(["f", "m", None]), min_size=60, max_size=60), st.sets(st.integers(0, 59)))
def test_a_version_told_as_before_joins_without_small_groups(
    years: list[int], sexes: list[str | None], leave: set[int]
) -> None:
    """Pinned ladders and whole groups leaving: what the node does after a withdrawal, with the exact engine."""
    frame = pl.DataFrame({"age": years, "sex": sexes[: len(years)]})
    patients = pl.Series([str(number) for number in range(frame.height)])
    ladders = {name: hierarchy.automatic(frame[name]) for name in frame.columns}
    first = anonymize(frame, ladders, k=4, suppression=0.3)
    entered = enter(
        "1",
        patients.filter(first.kept),
        labels(frame, ladders, first.transformation).filter(first.kept),
        ["age", "sex"],
        k=4,
        key=KEY,
    )
    before = {name: told(ladders[name], first.transformation[name]) for name in frame.columns}
    present = pl.Series([number not in leave for number in range(frame.height)])
    covered, rest = patients.filter(present), frame.filter(present)
    out = pl.Series(leaving(standing(covered, [entered], key=KEY), range(len(covered))))
    covered, rest = covered.filter(~out), rest.filter(~out)
    assume(rest.height >= 4)
    again = {name: pinned(rest[name], before[name]) for name in frame.columns}
    second = anonymize(rest, again, k=4, suppression=1.0)
    made = labels(rest, again, second.transformation).filter(second.kept)
    shown_now = enter("2", covered.filter(second.kept), made, ["age", "sex"], k=4, key=KEY)
    found = compare(shown_now, entered)
    assert all(size == 0 or size >= 4 for size in (found.joined, found.left))


def labels(
    frame: pl.DataFrame, ladders: dict[str, hierarchy.Hierarchy], transformation: dict[str, int]
) -> pl.DataFrame:
    able = {name: one.with_null() if frame[name].has_nulls() else one for name, one in ladders.items()}
    return frame.with_columns(able[name].labels(frame[name], level) for name, level in transformation.items())


def test_values_not_told_before_fit_in_or_are_told_no_more() -> None:
    values = pl.Series("age", [61, 67, 72])
    before = told(hierarchy.automatic(values), 2)
    assert before["label"].to_list() == ["60-69", "60-69", "70-79"]
    later = pl.Series("age", [61, 85])
    assert pinned(later, before).labels(later, 0).to_list() == ["60-69", "80-89"]
    makers = pl.Series("maker", ["x", "y"])
    grouped = told(hierarchy.groups(makers, [{"x": "large", "y": "small"}]), 1)
    unknown = pl.Series("maker", ["x", "z"])
    ladder = pinned(unknown, grouped)
    assert ladder.labels(unknown, 0).to_list() == ["large", "*"]
    assert told(ladder, 0)["label"].to_list() == ["large", "*"]
