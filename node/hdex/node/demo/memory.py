"""What the story has seen so far; each act adds what the closing table needs."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import polars as pl

from hdex.node.demo.cast import Cast
from hdex.node.demo.closing import Refusal
from hdex.node.demo.oracle import PooledFit
from hdex.node.demo.setting import Setting
from hdex.node.synthetic import Truth

Say = Callable[[str, str], None]
DATASET, SUBCOHORT = "cohort", "subcohort"


@dataclass(frozen=True, slots=True)
class Plot:
    """What the story is about: which view is asked which question, for which purpose."""

    view: str
    purpose: str
    disease: str
    recipient_class: str
    subcohort_view: str = ""


CAROTID = Plot("carotid_stent", "DUO:0000007", "I65.2", "device_maker", subcohort_view="hiv_subcohort")
HYPERTENSION = Plot("hypertension", "DUO:0000007", "I10", "device_maker")


@dataclass(slots=True)
class Memory:
    """Filled act by act; an act told again overwrites its own part."""

    setting: Setting
    cast: Cast
    say: Say
    folders: dict[str, Path]
    truth: Truth | None
    pages: str
    ingested: dict[str, dict[str, Any]] = field(default_factory=dict)
    classified: dict[str, dict[str, Any]] = field(default_factory=dict)
    released: dict[str, dict[str, Any]] = field(default_factory=dict)
    products: dict[str, dict[str, Any]] = field(default_factory=dict)
    contracts: dict[str, str] = field(default_factory=dict)  # role in the story -> contract id
    refusals: dict[str, Refusal] = field(default_factory=dict)  # keyed, so that an act told again counts once
    delivered: pl.DataFrame | None = None
    bytes_delivered: int = 0
    delivery_seconds: float = 0.0
    values_altered: int = -1
    study: dict[str, Any] = field(default_factory=dict)
    second_study: dict[str, Any] = field(default_factory=dict)
    features: list[str] = field(default_factory=list)
    left_out: dict[str, str] = field(default_factory=dict)  # covariate -> where the disclosure floor bites
    target: str = ""
    pooled: PooledFit | None = None
    difference: float = float("inf")
    withdrawn: str = ""
    withdrawal_honoured: bool = False
    told: tuple[int, str] = (0, "")  # what the catalogue told of the first hospital's product before the withdrawal
    withdrawal_visible: bool = True
    audit: dict[str, Any] = field(default_factory=dict)
    forged: dict[str, Any] = field(default_factory=dict)
    searched: dict[str, Any] = field(default_factory=dict)

    @property
    def plot(self) -> Plot:
        """The default story, or the one for real exports."""
        return CAROTID if self.truth is not None else HYPERTENSION

    def refused(self, who: str, what: str, rule: str, next_step: str = "") -> None:
        """Note a refusal and say it."""
        self.refusals[f"{who}/{what}"] = Refusal(who, what, rule)
        self.say("refused", f"{who}: {what} [{rule}]" + (f"; {next_step}" if next_step else ""))
