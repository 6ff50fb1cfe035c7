"""Release register: what several releases of one table show together, counted before the newest leaves.

k holds inside one release. Whoever holds two can do two things more, and both are groupings of patients by what the
*pair* says of them:
- join: a patient of class a in one release and of class b in the other is hidden among those who share both;
- subtract: a patient of class a who is in one release and not in the other is hidden among those of a who share that.
So a pair is treated as one release whose quasi-identifier is (class in the first or absent, class in the second or
absent): every group that is not empty must hold k patients, where k is the smaller of the two releases' own (who holds
both was trusted with the weaker). All releases together are grouped in the same way, for somebody may hold all.

Whether the records of two releases can be matched one by one does not enter: pseudonyms of two projects do not match,
but measurements that stay as they are do. We count as if they could be.

A withdrawal is the case that matters. One patient leaves his class, and the next version without him is refused, as
it must be: who knows his age and sex, and that he withdrew, finds his record by subtraction. Nine companions from
other classes do not hide him; k - 1 companions of his own class do. Therefore `leaving` chooses them there, or, where
too few would remain, lets the whole class leave. The patients left out are chosen by a secret order, so that asking
again tells nothing. And since another generalisation would cut the classes anew (a join of 60-64 with 62-71), the next
version is made with the labels told before wherever a free choice breaks the join (`Pinned`).

The register knows keyed digests of patients and of classes, nothing else: not who, not what a class says.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import polars as pl
from numpy.typing import NDArray

from hdex.deid.errors import ArgumentInvalid, RegisterRefused
from hdex.deid.hierarchy import ANY, Hierarchy, as_text, automatic, distinct
from hdex.deid.pseudonym import AGE_CAP, derive, macs

PATIENT, CLASS = "patient", "class"
JOINED, DIFFERENCE, TOGETHER = "register.joined", "register.difference", "register.together"
NEXT = {
    JOINED: "release with the generalisation of the earlier version, or fewer columns",
    DIFFERENCE: "wait until more patients of a class have joined or left, or leave the whole class out",
    TOGETHER: "release with the generalisation of the earlier versions to the same patients",
}


@dataclass(frozen=True, slots=True)
class Entry:
    """One release as the register knows it. members: (patient, class), keyed digests, one row per patient."""

    name: str
    k: int
    members: pl.DataFrame = field(repr=False)


@dataclass(frozen=True, slots=True)
class Comparison:
    """What a pair of releases shows. The smallest groups: of both, only of the first, only of the second; 0: none."""

    earlier: str
    asked: int
    joined: int
    left: int
    joining: int

    def require(self) -> None:
        """Raise RegisterRefused for the first kind of group that is too small."""
        where = f"joined with version {self.earlier}"
        if 0 < self.joined < self.asked:
            raise RegisterRefused(JOINED, found=self.joined, asked=self.asked, where=where, next_step=NEXT[JOINED])
        smallest = min((one for one in (self.left, self.joining) if one), default=0)
        if 0 < smallest < self.asked:
            where = f"compared with version {self.earlier}"
            raise RegisterRefused(DIFFERENCE, found=smallest, asked=self.asked, where=where, next_step=NEXT[DIFFERENCE])


def enter(name: str, patients: pl.Series, released: pl.DataFrame, quasi: Sequence[str], *, k: int, key: bytes) -> Entry:
    """A release for the register. patients: whose each row is; a patient of several rows has all their classes.

    key: the hospital's own; it never changes, or earlier releases would look like those of other people.
    """
    if len(patients) != released.height:
        raise ArgumentInvalid(f"{len(patients)} patients for {released.height} rows, asked is one per row")
    texts = [as_text(released[name]).alias(str(number)) for number, name in enumerate(quasi)]
    told = pl.DataFrame(texts).select(pl.struct(pl.all()).struct.json_encode()).to_series() if texts else None
    classes = pl.repeat("", released.height, eager=True) if told is None else told
    rows = pl.DataFrame({PATIENT: macs(patients, derive(key, "register patient")), CLASS: classes})
    members = rows.group_by(PATIENT).agg(pl.col(CLASS).unique().sort().str.join("\n")).sort(PATIENT)
    return Entry(name, k, members.with_columns(macs(members[CLASS], derive(key, "register class"))))


def compare(new: Entry, earlier: Entry) -> Comparison:
    """Count what two releases show together."""
    sizes = groups([earlier, new]).group_by("0", "1").len()
    in_earlier, in_new = sizes["0"].is_not_null(), sizes["1"].is_not_null()
    kinds = (in_earlier & in_new, in_earlier & ~in_new, ~in_earlier & in_new)
    joined, left, joining = (smallest(sizes.filter(kind)["len"]) for kind in kinds)
    return Comparison(earlier.name, min(new.k, earlier.k), joined, left, joining)


def require_apart(new: Entry, earlier: Sequence[Entry]) -> tuple[Comparison, ...]:
    """Return the comparisons with every earlier release, or raise RegisterRefused; nothing may then be stored."""
    found = tuple(compare(new, one) for one in earlier)
    for one in found:
        one.require()
    if len(earlier) > 1:
        everything = [*earlier, new]
        least = smallest(groups(everything).group_by(pl.exclude(PATIENT)).len()["len"])
        asked = min(one.k for one in everything)
        if 0 < least < asked:
            where = f"taken together with {len(earlier)} earlier versions"
            raise RegisterRefused(TOGETHER, found=least, asked=asked, where=where, next_step=NEXT[TOGETHER])
    return found


def groups(entries: Sequence[Entry]) -> pl.DataFrame:
    """(patient, "0", "1", ...): everybody of any release with the class in each; NULL where absent."""
    table = pl.DataFrame(schema={PATIENT: pl.String})
    for number, entry in enumerate(entries):
        part = entry.members.rename({CLASS: str(number)})
        table = table.join(part, on=PATIENT, how="full", coalesce=True)
    return table


def smallest(counts: pl.Series) -> int:
    """The smallest count; 0 where there is none."""
    return int(counts.min() or 0)  # type: ignore[arg-type]  # counts are whole numbers


@dataclass(frozen=True, slots=True)
class Standing:
    """What earlier releases say of the patients at hand. group: of each patient, -1 for whoever is in none.

    sizes: patients of each group, those not at hand included. k: the smallest k of the earlier releases.
    """

    group: NDArray[np.int64]
    sizes: NDArray[np.int64]
    k: int


def standing(patients: pl.Series, entries: Sequence[Entry], *, key: bytes) -> Standing:
    """The group of each patient by all releases so far."""
    if not entries:
        return Standing(np.full(len(patients), -1, dtype=np.int64), np.zeros(0, dtype=np.int64), 0)
    table = groups(entries)
    numbered = table.with_columns((pl.struct(pl.exclude(PATIENT)).rank("dense").cast(pl.Int64) - 1).alias(CLASS))
    asked = pl.DataFrame({PATIENT: macs(patients, derive(key, "register patient"))})
    found = asked.join(numbered.select(PATIENT, CLASS), on=PATIENT, how="left", maintain_order="left")[CLASS]
    sizes = np.bincount(numbered[CLASS].to_numpy())
    return Standing(found.fill_null(-1).to_numpy(), sizes.astype(np.int64), min(one.k for one in entries))


def leaving(now: Standing, order: Sequence[int], *, further: int = 0) -> NDArray[np.bool_]:
    """Which of the patients at hand to leave out, so that every group loses nobody, all, or k who leave k or more.

    order: the patients at hand in a secret order, who comes first leaves first. further: leave out so many more on top,
    first from groups that lose somebody anyway, then of those in no release, then from other groups by the same rule,
    then whole groups.
    """
    inside = np.bincount(now.group[now.group >= 0], minlength=len(now.sizes))
    gone = now.sizes - inside
    leave = np.array([group_leaves(int(n), int(m), now.k) for n, m in zip(inside, gone, strict=True)], dtype=np.int64)
    newcomers = int((now.group < 0).sum())
    alone = newcomers if now.k and newcomers < now.k else 0
    left = further
    for group in np.flatnonzero((gone + leave > 0) & (inside > leave)).tolist():  # 1 groups that lose somebody anyway
        take = min(left, max(int(inside[group] - leave[group]) - now.k, 0))
        leave[group], left = leave[group] + take, left - take
    if not alone:  # 2 whoever is in no release
        alone = min(left, newcomers) if newcomers - left >= now.k else (newcomers if left else 0)
        left -= min(left, alone)
    for group in rotated(np.flatnonzero((gone + leave == 0) & (inside > 0)), now.group, order):  # 3 further groups
        if left > 0:
            take = max(left, now.k)
            leave[group] = take if inside[group] - take >= now.k else inside[group]
            left -= min(left, int(leave[group]))
    for group in rotated(np.flatnonzero(inside > leave), now.group, order):  # 4 all of a group, where nothing else is
        if left > 0:
            left -= min(left, int(inside[group] - leave[group]))
            leave[group] = inside[group]
    return chosen(now.group, order, leave, alone)


def group_leaves(inside: int, gone: int, k: int) -> int:
    """How many of those inside a group leave it: none, or as many as make k with those gone, or all."""
    needed = max(k - gone, 0) if gone else 0
    return needed if inside - needed >= k or inside == needed == 0 else inside


def rotated(candidates: NDArray[np.int64], group: NDArray[np.int64], order: Sequence[int]) -> list[int]:
    """Groups in the secret order of their first patients."""
    allowed = set(candidates.tolist())
    return [one for one in dict.fromkeys(group[list(order)].tolist()) if one in allowed]


def chosen(group: NDArray[np.int64], order: Sequence[int], leave: NDArray[np.int64], alone: int) -> NDArray[np.bool_]:
    """The first of every group in the secret order, as many as leave it."""
    left = {number: int(count) for number, count in enumerate(leave)} | {-1: alone}
    out = np.zeros(len(group), dtype=np.bool_)
    for place in order:
        if left[int(group[place])] > 0:
            left[int(group[place])] -= 1
            out[place] = True
    return out


class Pinned(Hierarchy):
    """A ladder that tells no more than a release has told before: level 0 reads as level 1. Made by `pinned`."""

    __slots__ = ()

    def codes(self, level: int) -> NDArray[np.int64]:
        return Hierarchy.codes(self, max(level, 1))

    def losses(self, level: int) -> NDArray[np.float64]:
        return Hierarchy.losses(self, max(level, 1))

    def labels(self, values: pl.Series, level: int) -> pl.Series:
        return Hierarchy.labels(self, values, max(level, 1))

    def with_null(self) -> Pinned:
        return Pinned(self.column, Hierarchy.with_null(self).levels)


def told(ladder: Hierarchy, level: int) -> pl.DataFrame:
    """(leaf, label): how a release reads the values of a column."""
    level = max(level, 1) if isinstance(ladder, Pinned) else level
    return pl.DataFrame({"leaf": ladder.levels[0], "label": ladder.levels[level]})


def pinned(values: pl.Series, before: pl.DataFrame) -> Hierarchy:
    """A ladder over `values` whose finest level is the labels told before; values not told before fit in or read `*`.

    They fit in where one level of the automatic ladder says of all known values what was told. before: as by `told`.
    """
    leaves = distinct(values)
    texts = as_text(leaves)
    asked = pl.DataFrame({"leaf": texts})
    labels = asked.join(before, on="leaf", how="left", nulls_equal=True, maintain_order="left")["label"]
    is_new = asked.join(before, on="leaf", how="anti", nulls_equal=True)["leaf"].implode()
    is_known = ~pl.select(pl.lit(texts).is_in(is_new, nulls_equal=True)).to_series()
    labels = pl.select(pl.when(is_known).then(labels).otherwise(pl.lit(ANY))).to_series()
    ladders = (automatic(values), automatic(values, top=AGE_CAP))
    for level in () if is_known.all() else (level for ladder in ladders for level in ladder.levels):
        if level.filter(is_known).equals(labels.filter(is_known), null_equal=True):
            labels = level
            break
    every = pl.repeat(ANY, len(leaves), dtype=pl.String, eager=True)
    return Pinned(values.name, tuple(one.alias(values.name) for one in (texts, labels, every)))
