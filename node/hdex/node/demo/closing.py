"""What the demo measured: one object for machines, one screen for people."""

import json
from dataclasses import asdict, dataclass, field

SMALLEST_CLASS = 5
EXACT = 1e-9


@dataclass(frozen=True, slots=True)
class Refusal:
    """One request that was not granted, and the rule that decided."""

    who: str
    what: str
    rule: str


@dataclass(frozen=True, slots=True)
class Figures:
    """The stable object of `hdex demo --json`: its keys are called from outside. Shares are 0 to 1."""

    hospitals: int
    records: int
    columns_by_level: dict[str, int]
    attack_before: float
    attack_after: float
    attack_chance: float
    identifiers_planted: int
    identifiers_found: int
    raw_rows_left: int
    k_before: int  # minimum over hospitals
    k_after: int  # minimum over hospitals
    products: int
    contracts: int
    refusals: list[Refusal]
    bytes_delivered: int
    values_altered: int
    rounds: int
    max_coefficient_difference: float
    events: int
    anchors: int
    cosignatures: int
    ledger_verified: bool
    forged_log_found: int | None  # first wrong index, None when the forgery went unnoticed
    withdrawal_honoured: bool
    seconds: float

    def to_json(self) -> str:
        """Return the object on one line."""
        return json.dumps(asdict(self), ensure_ascii=False)


@dataclass(frozen=True, slots=True)
class Effect:
    """One coefficient as an odds ratio, federated beside pooled."""

    name: str
    odds_ratio: float
    low: float
    high: float
    pooled_odds_ratio: float
    pooled_low: float
    pooled_high: float


@dataclass(frozen=True, slots=True)
class Details:
    """What the table and the report show beyond the figures."""

    files_by_level: dict[str, int]
    bytes_by_kind: dict[str, int]  # what crossed the hospitals' walls
    ciphertexts: int
    digests_on_chain: int
    unique_rows_before: int
    unique_rows_after: int
    columns_by_action: dict[str, dict[str, int]]  # level -> action -> columns
    class_sizes_before: dict[int, int]  # size of class -> number of classes, over hospitals
    class_sizes_after: dict[int, int]
    patients_banded: str
    delivery_seconds: float
    effects: list[Effect]
    outcome: str
    events_without_decision: int
    witnesses: list[str]
    chain_operator: str
    checked: list[str]
    not_checked: list[str]
    forged_log: str
    contradicted_by: str
    checkpoints: list[tuple[str, int, bool]]  # log, size, forged
    restarts: int
    regime: str
    steps: list[tuple[str, float]] = field(default_factory=list)
    left_out: tuple[str, ...] = ()  # covariates that a hospital's disclosure floor does not allow
    withdrawal_visible: bool = False  # whether the catalogue tells another number of patients after the withdrawal


def table(figures: Figures, details: Details) -> str:
    """Return the closing table: six rows, one screen."""
    rows = [
        ("what left the hospitals", left(figures, details)),
        ("could a patient be known", known(figures, details)),
        ("what the buyer has", received(figures, details)),
        ("who was refused", [f"{r.who}: {r.what} [{r.rule}]" for r in figures.refusals]),
        ("what an auditor can prove", provable(figures, details)),
        ("patient", patient(figures, details)),
    ]
    return "\n".join(render(title, lines) for title, lines in rows)


def render(title: str, lines: list[str]) -> str:
    """Return one row of the table: the title beside its lines."""
    return "\n".join(f"{title if index == 0 else '':<26} {line}" for index, line in enumerate(lines))


def left(figures: Figures, details: Details) -> list[str]:
    files = ", ".join(f"level {level}: {count}" for level, count in sorted(details.files_by_level.items()))
    return [
        f"raw rows {figures.raw_rows_left}; identifiers planted {figures.identifiers_planted:,}, "
        f"found outside {figures.identifiers_found}",
        f"files {files or 'none'}; ciphertexts {details.ciphertexts:,}; digests on chain {details.digests_on_chain}",
    ]


def known(figures: Figures, details: Details) -> list[str]:
    levels = " ".join(f"{level}:{count}" for level, count in sorted(figures.columns_by_level.items()))
    return [
        f"attack before {figures.attack_before:.1%}, after {figures.attack_after:.1%}, by chance "
        f"{figures.attack_chance:.1%}; smallest class {figures.k_before} before, {figures.k_after} after",
        f"unique rows {details.unique_rows_before:,} before, {details.unique_rows_after} after; "
        f"columns by level {levels}",
    ]


def received(figures: Figures, details: Details) -> list[str]:
    lines = [
        f"{details.patients_banded} patients, {figures.bytes_delivered:,} bytes in {details.delivery_seconds:.2f} s, "
        f"values altered {figures.values_altered}",
    ]
    if details.effects:
        first = max(details.effects, key=lambda effect: abs(effect.odds_ratio - 1))
        lines.append(
            f"odds ratio of {details.outcome} for {first.name} {first.odds_ratio:.2f} "
            f"({first.low:.2f} to {first.high:.2f}); difference to the pooled fit "
            f"{figures.max_coefficient_difference:.1e} in {figures.rounds} rounds"
        )
    if details.left_out:
        asked = ", ".join(effect.name for effect in details.effects)
        lines.append(f"asked of {asked}; left out, for a hospital's floor allows fewer: {', '.join(details.left_out)}")
    return lines


def provable(figures: Figures, details: Details) -> list[str]:
    found = "not found" if figures.forged_log_found is None else f"found at index {figures.forged_log_found}"
    return [
        f"{figures.events} events, without decision {details.events_without_decision}; cosigned by "
        f"{', '.join(details.witnesses)} ({figures.cosignatures} cosignatures)",
        f"{figures.anchors} anchors, chain run by {details.chain_operator}; "
        f"verified {'yes' if figures.ledger_verified else 'NO'}",
        f"forged log of {details.forged_log} {found}, contradicted by {details.contradicted_by or 'nobody'}",
    ]


def patient(figures: Figures, details: Details) -> list[str]:
    honoured, visible = figures.withdrawal_honoured, details.withdrawal_visible
    return [f"withdrawal honoured: {'yes' if honoured else 'NO'}; visible from outside: {'YES' if visible else 'no'}"]


def held(figures: Figures) -> list[str]:
    """Return the claims of the story that the figures do not bear out; none when all is well."""
    claims = {
        "no raw row left": figures.raw_rows_left == 0,
        "no planted identifier was found outside": figures.identifiers_found == 0,
        "the attack is worth less afterwards": figures.attack_after < figures.attack_before,
        "every class is large enough": figures.k_after >= SMALLEST_CLASS,
        "no delivered value differs from the released one": figures.values_altered == 0,
        "the federated fit equals the pooled one to 1e-9": figures.max_coefficient_difference <= EXACT,
        "all logs verify": figures.ledger_verified,
        "the forged log is found": figures.forged_log_found is not None,
        "the withdrawal is honoured": figures.withdrawal_honoured,
    }
    return [claim for claim, is_true in claims.items() if not is_true]
