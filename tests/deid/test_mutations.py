"""Whoever switches a privacy check off turns a named check of the red team red. One mutation at a time, in process."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from hashlib import sha256
from typing import Any

import numpy as np
import polars as pl
import pytest
from tests.deid.red_team_checks import CHECKS

from hdex.deid import attack, attack_differencing, lattice, notes, pipeline, pseudonym, subject, treatment, verify
from hdex.deid.attack_sequences import Hidden
from hdex.deid.columns import LevelDecision, Role
from hdex.deid.detector_rules import RulesDetector
from hdex.deid.report import Ceiling
from hdex.deid.treatment import Action

Anything = Callable[..., Any]


@dataclass(frozen=True)
class Mutation:
    """One privacy check switched off. change: gets what stands there and returns what stands there instead."""

    home: object
    name: str
    change: Callable[[Any], Any]
    red: tuple[str, ...]  # checks that must notice; the first is tried first


def constant(answer: object) -> Callable[[Any], Any]:
    """A function that does nothing and says this."""
    return lambda _: lambda *_, **__: answer


def with_options(**forced: object) -> Callable[[Any], Any]:
    """The same function with some of its options forced."""
    return lambda original: lambda *arguments, **options: original(*arguments, **options | forced)


def nothing_suppressed(original: Anything) -> Anything:
    """Every row is kept, whatever its class."""

    def released(*arguments: Any, **options: Any) -> lattice.LatticeResult:
        made: lattice.LatticeResult = original(*arguments, **options)
        kept = pl.repeat(value=True, n=len(made.kept), eager=True)
        frame = arguments[0].with_columns(
            arguments[1][name].labels(arguments[0][name], level) for name, level in made.transformation.items()
        )
        return replace(made, frame=frame, kept=kept, suppressed=0)

    return released


def without_key(_: Anything) -> Anything:
    """Pseudonyms as a digest that anybody can compute."""
    return lambda ids, _key: pl.Series(ids.name, [sha256(str(one).encode()).hexdigest()[:24] for one in ids])


def one_key_for_all(original: Anything) -> Anything:
    """Keys that do not depend on who receives the release."""
    return lambda master, **_: original(master, recipient="anybody", project="p")


def direct_identifiers_kept(original: Anything) -> Anything:
    """Columns that name a person stay."""

    def action(values: pl.Series, profile: Any, policy: Any, **options: Any) -> Action:
        found: Action = original(values, profile, policy, **options)
        return Action.KEEP if profile.role is Role.DIRECT and found is Action.REMOVE else found

    return action


def ceilings_never_broken(_: Anything) -> Anything:
    """Every ceiling counts as met."""
    return lambda name, found, asked: Ceiling(name, found, asked, is_met=True)


def level_three_at_most(original: Anything) -> Anything:
    """Level 5 is forgotten."""

    def admitted(*arguments: Any, **options: Any) -> subject.Subject:
        made: subject.Subject = original(*arguments, **options)
        return replace(made, decision=LevelDecision(3, ("mutated",), 2, 2))

    return admitted


def always_verified(original: Anything) -> Anything:
    """The verifier says yes."""
    return lambda *arguments, **options: replace(original(*arguments, **options), ok=True)


def never_late(_: Anything) -> Anything:
    """A rule whose time is spent finds nothing, quietly."""
    return lambda *_: []


class InOrder:
    """A generator that shuffles nothing."""

    def permutation(self, count: int) -> Any:
        """0, 1, 2 ..."""
        return np.arange(count)


class NumpyInOrder:
    """numpy whose generators shuffle nothing."""

    class random:
        """Its generators."""

        default_rng = staticmethod(lambda *_: InOrder())

    def __getattr__(self, name: str) -> Any:
        return getattr(np, name)


MUTATIONS: Mapping[str, Mutation] = {
    "the k check of the engine": Mutation(
        lattice, "anonymize", with_options(k=1), ("the_engine_alone_holds_k", "k_counts_patients")
    ),
    "the k check of the engine inside the pipeline": Mutation(
        pipeline, "anonymize", with_options(k=1), ("every_class_holds_k",)
    ),
    "k counting patients, not rows": Mutation(lattice, "anonymize", with_options(patient=None), ("k_counts_patients",)),
    "the suppression": Mutation(pipeline, "anonymize", nothing_suppressed, ("every_class_holds_k",)),
    "the generalisation": Mutation(
        pipeline,
        "labels_of",
        lambda _: lambda treated, *_: treated,
        ("every_class_holds_k", "one_in_k_is_found_and_no_more"),
    ),
    "the ceilings": Mutation(pipeline, "below", ceilings_never_broken, ("a_release_above_its_ceiling_is_refused",)),
    "the attack ceiling": Mutation(
        attack, "require_withstood", constant(None), ("an_attack_above_its_ceiling_is_refused",)
    ),
    "the attack ceiling inside the pipeline": Mutation(
        pipeline, "require_withstood", constant(None), ("an_attacker_who_finds_too_many_stops_the_release",)
    ),
    "the attack by sequence": Mutation(
        pipeline,
        "hide",
        lambda _: lambda _story, labelled, _policy: Hidden(labelled),
        ("days_between_dates_lead_to_nobody",),
    ),
    "k counting patients of several rows": Mutation(
        pipeline, "anonymize", with_options(patient=None), ("k_counts_patients_of_several_rows",)
    ),
    "the diversity models": Mutation(pipeline, "protections", constant([]), ("a_class_of_one_value_does_not_leave",)),
    "shadows of quasi-identifiers": Mutation(
        pipeline,
        "with_shadows",
        lambda _: lambda frame, profiles, quasi: (profiles, [p.name for p in profiles if p.role is Role.QUASI]),
        ("what_a_quasi_identifier_determines_is_one",),
    ),
    "the demand for all quasi-identifiers": Mutation(
        treatment, "require_quasi", constant(None), ("no_quasi_identifier_is_left_out",)
    ),
    "the demand for a classification": Mutation(
        pipeline,
        "treatments",
        lambda original: (
            lambda frame, profiles, *rest, **options: original(
                frame.select([p.name for p in profiles]), profiles, *rest, **options
            )
        ),
        ("nothing_unclassified_leaves",),
    ),
    "the removal of direct identifiers": Mutation(treatment, "action", direct_identifiers_kept, ("no_name_leaves",)),
    "the shift": Mutation(
        pseudonym,
        "shift_days",
        lambda _: lambda ids, *_: pl.zeros(len(ids), pl.Int32, eager=True),
        ("every_date_moves",),
    ),
    "one shift for each patient": Mutation(
        pseudonym,
        "shift_days",
        lambda _: lambda ids, *_: pl.repeat(7, len(ids), dtype=pl.Int32, eager=True),
        ("every_date_moves",),
    ),
    "the cap of ages": Mutation(
        pseudonym, "cap_age", lambda _: lambda ages, *_: ages, ("no_age_above_the_cap_leaves",)
    ),
    "the shuffle": Mutation(pipeline, "np", lambda _: NumpyInOrder(), ("the_order_of_rows_tells_nothing",)),
    "the key of pseudonyms": Mutation(pseudonym, "pseudonyms", without_key, ("no_pseudonym_is_found_by_trying",)),
    "pseudonyms at all": Mutation(pseudonym, "pseudonyms", lambda _: lambda ids, _key: ids, ("no_name_leaves",)),
    "keys for each recipient": Mutation(pseudonym, "derive_keys", one_key_for_all, ("two_recipients_join_nobody",)),
    "the redaction": Mutation(
        notes, "redact_column", lambda _: lambda column, *_, **__: (column, {}), ("notes_name_nobody",)
    ),
    "the detector": Mutation(RulesDetector, "find", constant([]), ("notes_name_nobody",)),
    "decades in notes": Mutation(
        pipeline, "ages_in_decades", lambda _: lambda noted: noted, ("notes_tell_ages_in_decades",)
    ),
    "the sweep": Mutation(pipeline, "sweep", constant(0), ("a_hidden_identifier_stops_the_release",)),
    "failing closed": Mutation(RulesDetector, "_matches", never_late, ("a_text_that_was_not_read_does_not_leave",)),
    "level five": Mutation(pipeline, "admit", level_three_at_most, ("level_five_leaves_no_row",)),
    "the verifier": Mutation(verify, "verify_release", always_verified, ("a_tampered_release_is_noticed",)),
    "the subtraction of releases": Mutation(
        attack_differencing, "apart", constant((0,)), ("a_second_release_is_subtracted",)
    ),
}


def is_red(check: str) -> bool:
    """Whether a check fails, or the engine under it does."""
    try:
        CHECKS[check]()
    except Exception:
        return True
    return False


@pytest.mark.parametrize("mutation", MUTATIONS)
def test_switching_off_a_privacy_check_turns_a_red_team_check_red(
    mutation: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = MUTATIONS[mutation]
    monkeypatch.setattr(one.home, one.name, one.change(getattr(one.home, one.name)))
    assert [check for check in one.red if is_red(check)] == list(one.red), f"{mutation} went unnoticed"


def test_every_check_is_the_one_that_notices_something() -> None:
    assert {check for one in MUTATIONS.values() for check in one.red} == set(CHECKS)
