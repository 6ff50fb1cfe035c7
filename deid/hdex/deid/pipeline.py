"""deidentify(): treat every column, generalise what is left, measure, attack, refuse what is too risky."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import polars as pl

from hdex.deid import hierarchy
from hdex.deid.attack import AttackResult, linkage, require_withstood, views
from hdex.deid.attack_sequences import Hidden, Story, hide
from hdex.deid.births import capped_births, is_birth
from hdex.deid.columns import ColumnProfile, LevelDecision, Role
from hdex.deid.diversity import Diversity
from hdex.deid.dossier import Dossier, Evidence, compile_dossier
from hdex.deid.errors import RiskTooHigh
from hdex.deid.hierarchy import DATE_STEPS, Hierarchy
from hdex.deid.lattice import LatticeResult, anonymize
from hdex.deid.notes import NoteInput, ages_in_decades, redact, sweep
from hdex.deid.policy import Dates, Finest, Policy
from hdex.deid.pseudonym import Keys
from hdex.deid.report import Ceiling, ColumnReport, ReleaseReport
from hdex.deid.risk import RiskProfile, measure, unprotected_classes
from hdex.deid.subject import Subject, admit, treat
from hdex.deid.treatment import Action, Treatment, federated_actions, is_date, treatments, with_shadows
from hdex.deid.treatment import weights as weigh
from hdex.deid.utility import Distribution, distribution, loss
from hdex.deid.verify import verify_release

Recipe = Hierarchy | Callable[[pl.Series], Hierarchy]  # a ladder, or how to build one over the treated column
MODES = {
    1: ("download",),
    2: ("sealed_file", "enclave", "query", "federated"),
    3: ("enclave", "query", "federated"),
    5: ("federated",),
}
MOST_NODES = 300_000  # a lattice of this size is searched within seconds
OWNER = "\0owner"  # whose each row is, where k counts patients of several rows; never part of a release


@dataclass(frozen=True, slots=True)
class Release:
    """A table that may leave as its level says, with its certificate. `source_rows` stays inside the node."""

    frame: pl.DataFrame  # of a level 5 data set: features for encrypted sums only, never a file
    report: ReleaseReport
    ladders: Mapping[str, Hierarchy] = field(default_factory=dict)
    source_rows: pl.Series = field(default_factory=lambda: pl.Series([], dtype=pl.Int64), repr=False)

    @property
    def may_leave_as_rows(self) -> bool:
        """Whether any delivery mode hands rows out."""
        return self.report.level_after != 5


@dataclass(frozen=True, slots=True)
class Attacker:
    """A named recipient: the columns he is assumed to know exactly, and how many people he goes for."""

    known: tuple[str, ...]
    targets: int = 1000


@dataclass(frozen=True, slots=True)
class Made:
    """Everything one run made, on its way into the certificate."""

    subject: Subject
    plan: Sequence[Treatment]
    treated: pl.DataFrame  # after each column's own treatment
    labelled: pl.DataFrame  # all rows as the release reads, before suppression and shuffle
    released: pl.DataFrame
    source: pl.Series  # original row of every released one
    ladders: Mapping[str, Hierarchy]
    models: Sequence[Diversity]
    lattice: LatticeResult
    redacted: Mapping[str, int]
    hidden: Hidden  # how dates of one patient are told together

    @property
    def owned(self) -> pl.DataFrame:
        """The released rows with whose each is."""
        return self.released.with_columns(self.subject.frame[self.subject.patient].gather(self.source).alias(OWNER))

    @property
    def owner(self) -> str | None:
        """The column that says whose rows are whose; None where every row is a patient."""
        return OWNER if self.subject.policy.longitudinal else None


def deidentify(
    frame: pl.DataFrame,
    profiles: Sequence[ColumnProfile],
    policy: Policy,
    *,
    keys: Keys,
    patient: str,
    seed: int | bytes,
    decision: LevelDecision | None = None,
    quasi: Sequence[str] | None = None,
    hierarchies: Mapping[str, Recipe] | None = None,
    weights: Mapping[str, float] | None = None,
    notes: NoteInput | None = None,
    attacker: Attacker | None = None,
) -> Release:
    """Return the released table and its certificate, or raise and release nothing.

    frame: one row per patient, or several where the policy is longitudinal. profiles: one per column, reviewed.
    decision: level of the data set; None: the highest of its columns. quasi: None means every column of role quasi;
    dates left out of it move by the secret shift, and are told coarser where days between them would tell who it is.
    A column that a quasi-identifier determines becomes one itself. hierarchies: ladders or how to build them, where
    the automatic one does not fit. weights: what each quasi-identifier's detail is worth; else data/worth.toml. notes:
    needed where notes are redacted. attacker: None knows the quasi-identifiers. A level 5 data set is prepared for
    federated sums only.
    Raises RiskTooHigh, ResidueFound, HierarchyIncomplete, InputInvalid.
    """
    subject = admit(frame, profiles, policy, keys=keys, patient=patient, seed=seed, decision=decision)
    if subject.decision.level == 5:
        return federated_only(subject, profiles)
    profiles, quasi = with_shadows(subject.frame, profiles, quasi)
    plan = treatments(subject.frame, profiles, policy, patient=patient, quasi=quasi)
    texts = [one.name for one in plan if one.action is Action.REDACT]
    noted = redact(subject.frame, texts, notes, key=keys.surrogate, shift=subject.shift)
    if any(one.is_age and one.action is Action.GENERALISE for one in plan):
        noted = ages_in_decades(noted)
    born = replace(subject, frame=capped_births(subject.frame, profiles, policy))
    treated = treat(born, plan).with_columns(noted.texts)
    ladders = build_ladders(treated, plan, policy, hierarchies or {})
    models = protections(treated, plan, policy)
    people = treated.with_columns(subject.frame[patient].alias(OWNER))
    lattice = generalise(people, ladders, models, policy, worth=weigh(plan, weights))
    order = np.random.default_rng(subject.seed).permutation(lattice.frame.height).tolist()
    source = pl.Series("source", np.flatnonzero(lattice.kept.to_numpy()))[order]
    labelled = coarsened(labels_of(treated, ladders, lattice.transformation), plan, policy)
    hidden = hide(story_of(subject, plan, treated, source, ladders), labelled, policy)
    labelled = hidden.labelled
    released = labelled.filter(lattice.kept)[order]
    residue = sweep(released, notes)
    made = Made(subject, plan, treated, labelled, released, source, ladders, models, lattice, noted.counts, hidden)
    report = certified(made, attacker or Attacker(tuple(ladders)), residue)
    return Release(released, report, ladders, source)


def certified(made: Made, attacker: Attacker, residue: int) -> ReleaseReport:
    """Measure, attack and verify what was made; raises RiskTooHigh for the first ceiling it breaks."""
    policy, lattice = made.subject.policy, made.lattice
    quasi, sensitive = list(made.ladders), [model.sensitive for model in made.models]
    ceilings, risk_after = examine(made, quasi)
    before, after = attacked(made, attacker)
    require_withstood(after, k=policy.k, preset=policy.name)
    heights = {name: ladder.height for name, ladder in made.ladders.items()}
    return ReleaseReport(
        policy=policy,
        level_before=made.subject.decision.level,
        level_after=policy.level,
        reasons=made.subject.decision.reasons,
        delivery_modes=MODES[policy.level],
        rows_before=made.treated.height,
        rows_after=made.released.height,
        suppressed=lattice.suppressed,
        quasi=tuple(quasi),
        sensitive=tuple(sensitive),
        columns=tuple(told(one, policy, lattice.transformation, heights, made.hidden.step) for one in made.plan),
        transformation=lattice.transformation,
        heights=heights,
        loss=loss(made.treated, made.ladders, lattice.transformation, lattice.kept),
        risk_before=measure(
            made.subject.frame, quasi, sensitive=sensitive, patient=made.subject.patient if made.owner else None
        ),
        risk_after=risk_after,
        ceilings=ceilings,
        verification=verify_release(made.owned, quasi, policy.k, patient=made.owner),
        attack_before=before,
        attack_after=after,
        distributions=compared(made, [*quasi, *sensitive]),
        redacted=made.redacted,
        residue=residue,
        dossier=dossier(made, quasi, sensitive),
    )


def dossier(made: Made, quasi: Sequence[str], sensitive: Sequence[str]) -> Dossier:
    """What the privacy officer reads beside the ceilings."""
    subject = made.subject
    return compile_dossier(
        Evidence(
            original=subject.frame,
            treated=made.treated,
            released=made.released,
            columns=[one.profile for one in made.plan],
            quasi=quasi,
            sensitive=sensitive,
            patient=subject.patient,
            k=subject.policy.k,
            seed=subject.seed,
            shift_days=subject.policy.shift_days,
            ladders=made.ladders,
            owners=made.owned[OWNER].to_list(),
            longitudinal=made.owner is not None,
            sequence=made.hidden.attempt,
        )
    )


def build_ladders(
    treated: pl.DataFrame, plan: Sequence[Treatment], policy: Policy, recipes: Mapping[str, Recipe]
) -> dict[str, Hierarchy]:
    """A hierarchy per quasi-identifier: as given, as the recipe builds it, or one that fits the type."""
    ladders = {}
    for one in plan:
        if one.action is not Action.GENERALISE:
            continue
        values = treated[one.name]
        recipe = recipes.get(one.name)
        if recipe is None:
            ladders[one.name] = hierarchy.automatic(values, top=policy.age_cap if one.is_age else None)
        else:
            ladders[one.name] = recipe if isinstance(recipe, Hierarchy) else recipe(values)
    return hierarchy.thinned(ladders, MOST_NODES)


def protections(treated: pl.DataFrame, plan: Sequence[Treatment], policy: Policy) -> list[Diversity]:
    """What every class must hold of every sensitive column that leaves."""
    if policy.l is None and policy.t is None:
        return []
    kept = [one for one in plan if one.profile.role is Role.SENSITIVE and one.name in treated.columns]
    return [Diversity(one.name, policy.l, policy.t) for one in kept if one.action in (Action.KEEP, Action.ROUND)]


def generalise(
    treated: pl.DataFrame,
    ladders: Mapping[str, Hierarchy],
    models: Sequence[Diversity],
    policy: Policy,
    *,
    worth: Mapping[str, float],
) -> LatticeResult:
    """The lattice's optimum under the policy; a table without quasi-identifiers is one class. OWNER says whose rows."""
    if not ladders:
        if (patients := treated[OWNER].n_unique()) < policy.k:
            raise RiskTooHigh("k", found=patients, asked=policy.k, preset=policy.name)
        kept = pl.repeat(value=True, n=treated.height, eager=True)
        return LatticeResult(treated, {}, 0.0, 0, 1, 0, kept)
    dated = [name for name in ladders if is_date(treated[name])]
    floors = {name: hierarchy.date_floor(ladders[name], policy.quasi_dates) for name in dated}
    return anonymize(
        treated,
        ladders,
        k=policy.k,
        patient=OWNER if policy.longitudinal else None,
        suppression=policy.suppression,
        models=models,
        weights=worth,
        floors=floors,
        max_average=policy.max_average,
    )


def story_of(
    subject: Subject,
    plan: Sequence[Treatment],
    treated: pl.DataFrame,
    source: pl.Series,
    ladders: Mapping[str, Hierarchy],
) -> Story:
    """What the attack by sequence looks at."""
    dated = [one for one in plan if one.name in treated.columns and is_date(treated[one.name])]
    moved = tuple(one.name for one in dated if one.action in (Action.SHIFT, Action.COARSEN))
    others = tuple(one.name for one in dated if one.name not in moved)
    columns = [one.profile for one in plan]
    return Story(subject.frame, treated, source, subject.patient, moved, others, columns, subject.seed, ladders)


def labels_of(
    treated: pl.DataFrame, ladders: Mapping[str, Hierarchy], transformation: Mapping[str, int]
) -> pl.DataFrame:
    """Every row as the lattice's node says it, suppressed ones included."""
    told_as = {name: ladder.with_null() if treated[name].has_nulls() else ladder for name, ladder in ladders.items()}
    return treated.with_columns(told_as[name].labels(treated[name], level) for name, level in transformation.items())


def coarsened(frame: pl.DataFrame, plan: Sequence[Treatment], policy: Policy) -> pl.DataFrame:
    """Dates that may be told no finer than a step, as labels."""
    names = [one.name for one in plan if one.action is Action.COARSEN]
    step = "month" if policy.dates is Dates.SHIFT else str(policy.dates)
    chosen = next(known for known in DATE_STEPS if known == step) if names else "month"
    return frame.with_columns(hierarchy.date_labels(frame[name], chosen).alias(name) for name in names)


def examine(made: Made, quasi: Sequence[str]) -> tuple[tuple[Ceiling, ...], RiskProfile]:
    """Measure the released table and raise RiskTooHigh for the first ceiling it breaks."""
    policy = made.subject.policy
    sensitive = [model.sensitive for model in made.models]
    risk = measure(made.owned, quasi, sensitive=sensitive, patient=made.owner)
    ceilings = [
        Ceiling("k", risk.k, policy.k, risk.k >= policy.k),
        below("max_prosecutor", risk.prosecutor_max, policy.max_prosecutor),
        below("average_risk", risk.prosecutor_avg, policy.max_average),
        *([] if policy.unique_rows is None else [below("unique_rows", risk.unique_rows, policy.unique_rows)]),
    ]
    if (followed := made.hidden.attempt) is not None:  # below its bound: hide() raised otherwise
        ceilings.append(below("trajectory", followed.rate, followed.bound))
    for model in made.models:
        weak = unprotected_classes(made.released, quasi, model, whole=made.treated[model.sensitive])
        ceilings.append(below(f"classes without l or t: {model.sensitive}", weak, 0))
    for one in ceilings:
        if not one.is_met:
            raise RiskTooHigh(one.measure, found=one.found, asked=one.asked, preset=policy.name)
    return tuple(ceilings), risk


def below(measure_name: str, found: float, asked: float) -> Ceiling:
    """A ceiling that is met from below."""
    return Ceiling(measure_name, found, asked, found <= asked + 1e-12)


def attacked(made: Made, attacker: Attacker) -> tuple[AttackResult, AttackResult]:
    """The same attacker on the raw table and on the release. He knows the hierarchies, the widest shift and the cap."""
    original, seed = made.subject.frame, made.subject.seed
    ruled = capped_births(original, [one.profile for one in made.plan], made.subject.policy)
    known, targets = attacker.known, attacker.targets
    dates = [name for name in known if name in original.columns and is_date(original[name])]
    most = made.subject.policy.shift_days
    days = {name: most for name in dates if name in made.released.columns and is_date(made.released[name])}
    read = views(ruled, made.labelled, [n for n in known if n not in days], dates=dates, shift_days=most)
    before = linkage(original, original, known=known, targets=targets, seed=seed)
    after = linkage(
        ruled, made.released, known=known, truth=made.source, views=read, shifted=days, targets=targets, seed=seed
    )
    return before, after


def compared(made: Made, names: Sequence[str]) -> tuple[Distribution, ...]:
    """Distributions before suppression and as released, in the same words."""
    least = made.subject.policy.k
    return tuple(distribution(made.labelled[name], made.released[name], least=least) for name in names)


def told(
    one: Treatment, policy: Policy, transformation: Mapping[str, int], heights: Mapping[str, int], step: str = ""
) -> ColumnReport:
    """What the certificate says of one column; details need no language. step: what moved dates are told by."""
    details = {
        Action.SHIFT: f"±{policy.shift_days} d" + (f", {step}" if step else ""),
        Action.COARSEN: step or str(policy.dates if policy.dates is not Dates.SHIFT else Finest.MONTH),
        Action.ROUND: str(policy.round_digits.get(one.name, "")),
        Action.GENERALISE: f"{transformation.get(one.name, 0)}/{heights.get(one.name, 1) - 1}",
    }
    profile = one.profile
    detail = details.get(one.action, f"{policy.age_cap}+" if one.is_age else "")
    if policy.cap_births and is_birth(profile) and one.action is not Action.REMOVE:
        detail += f", {policy.age_cap}+"
    return ColumnReport(one.name, profile.role, profile.category, profile.level, one.action, detail)


def federated_only(subject: Subject, profiles: Sequence[ColumnProfile]) -> Release:
    """A level 5 data set: features for encrypted sums, no direct identifier, no text, nothing that leaves as rows."""
    plan = federated_actions(subject.frame, profiles, subject.patient)
    frame = treat(subject, plan)
    quasi = [one.name for one in plan if one.profile.role is Role.QUASI]
    report = ReleaseReport(
        policy=subject.policy,
        level_before=5,
        level_after=5,
        reasons=subject.decision.reasons,
        delivery_modes=MODES[5],
        rows_before=frame.height,
        rows_after=0,
        suppressed=0,
        quasi=tuple(quasi),
        sensitive=tuple(one.name for one in plan if one.profile.role is Role.SENSITIVE),
        columns=tuple(told(one, subject.policy, {}, {}) for one in plan),
        transformation={},
        heights={},
        loss=0.0,
        risk_before=measure(subject.frame, quasi),
        risk_after=None,
        ceilings=(),
        verification=None,
    )
    return Release(frame, report, source_rows=pl.Series("source", np.arange(frame.height)))
