"""From what the story has seen to the figures and details of the closing table."""

from collections import Counter
from typing import Any

from hdex.node.consent import band
from hdex.node.demo import rows
from hdex.node.demo.closing import Details, Effect, Figures
from hdex.node.demo.memory import Memory
from hdex.node.demo.setting import HOSPITALS
from hdex.node.hospital.datasets import VIEW


def conclude(
    memory: Memory, *, steps: list[tuple[str, float]], seconds: float, restarts: int
) -> tuple[Figures, Details]:
    """Return the stable figures and what the table shows beside them."""
    return figures_of(memory, seconds), details_of(memory, steps, restarts)


def figures_of(memory: Memory, seconds: float) -> Figures:
    raw = [memory.classified[hospital] for hospital in HOSPITALS]
    reports = [memory.released[hospital]["report"] for hospital in HOSPITALS]
    attacks = [found["attack"] for found in raw]
    after = [report["attack_after"] for report in reports]
    return Figures(
        hospitals=len(HOSPITALS),
        records=sum(rows.raw(memory.setting, hospital, VIEW).height for hospital in HOSPITALS),
        columns_by_level=columns_by_level(memory),
        attack_before=share(attacks),
        attack_after=share(after),
        attack_chance=sum(attack["by_chance"] for attack in attacks) / len(attacks),
        identifiers_planted=memory.searched["planted"],
        identifiers_found=memory.searched["found"],
        raw_rows_left=memory.searched["raw_rows"],
        k_before=min(found["risk"]["k"] for found in raw),
        k_after=min(report["risk_after"]["k"] for report in reports),
        products=len(memory.products),
        contracts=len(memory.contracts),
        refusals=list(memory.refusals.values()),
        bytes_delivered=memory.bytes_delivered,
        values_altered=memory.values_altered,
        rounds=int(memory.study["rounds"]),
        max_coefficient_difference=memory.difference,
        events=memory.audit["events"],
        anchors=memory.audit["anchors"],
        cosignatures=memory.audit["cosignatures"],
        ledger_verified=bool(memory.audit["verified"]),
        forged_log_found=memory.forged["found"],
        withdrawal_honoured=memory.withdrawal_honoured,
        seconds=round(seconds, 2),
    )


def details_of(memory: Memory, steps: list[tuple[str, float]], restarts: int) -> Details:
    reports = [memory.released[hospital]["report"] for hospital in HOSPITALS]
    crossed = crossings(memory)
    before = [memory.classified[hospital]["risk"] for hospital in HOSPITALS]
    return Details(
        files_by_level=dict(Counter(str(report["level_after"]) for report in reports[:1])),
        bytes_by_kind={kind: total["bytes"] for kind, total in crossed.items()},
        ciphertexts=crossed.get("ciphertexts", {"count": 0})["count"],
        digests_on_chain=memory.audit["anchors"] + len(memory.products) + len(memory.contracts),
        unique_rows_before=sum(risk["unique_rows"] for risk in before),
        unique_rows_after=sum(report["risk_after"]["unique_rows"] for report in reports),
        columns_by_action=columns_by_action(memory),
        class_sizes_before=class_sizes(before),
        class_sizes_after=class_sizes([report["risk_after"] for report in reports]),
        patients_banded=band(memory.delivered.height if memory.delivered is not None else 0),
        delivery_seconds=memory.delivery_seconds,
        effects=effects(memory),
        outcome=memory.target,
        left_out=tuple(memory.left_out),
        events_without_decision=memory.audit["without_decision"],
        witnesses=memory.audit["witnesses"],
        chain_operator=str(memory.audit["operator"]),
        checked=memory.audit["checked"],
        not_checked=memory.audit["not_checked"],
        forged_log=memory.forged["node"],
        contradicted_by=str(memory.forged["contradicted_by"] or ""),
        checkpoints=memory.audit["checkpoints"],
        restarts=restarts,
        regime=f"meets preset {reports[0]['preset']}",
        steps=steps,
        withdrawal_visible=memory.withdrawal_visible,
    )


def share(attacks: list[dict[str, Any]]) -> float:
    """Return the share of all targets that the attacker found."""
    found, targets = (sum(int(attack[name]) for attack in attacks) for name in ("reidentified", "targets"))
    return found / targets


def columns_by_level(memory: Memory) -> dict[str, int]:
    """Return how many columns of all classified data sets have each level."""
    counted: Counter[str] = Counter({str(level): 0 for level in range(1, 6)})
    for found in memory.classified.values():
        for table in found["classification"]["tables"]:
            counted.update(str(column["level"]) for column in table["columns"])
    return dict(counted)


def columns_by_action(memory: Memory) -> dict[str, dict[str, int]]:
    """Return level -> action -> number of classified columns; what serves studies alone leaves as encrypted sums."""
    found: dict[str, dict[str, int]] = {}
    for name, classified in memory.classified.items():
        release = memory.released[name]
        taken = (
            {column["name"]: column["action"] for column in release["report"]["columns"]} if release["bytes"] else {}
        )
        for table in classified["classification"]["tables"]:
            for column in table["columns"]:
                action = taken.get(column["name"], "sums" if column["role"] != "direct" else "remove")
                actions = found.setdefault(str(column["level"]), {})
                actions[action] = actions.get(action, 0) + 1
    return found


def class_sizes(risks: list[dict[str, Any]]) -> dict[int, int]:
    """Return size -> number of classes, over the hospitals."""
    counted: Counter[int] = Counter()
    for risk in risks:
        counted.update({int(size): int(number) for size, number in risk["class_sizes"].items()})
    return dict(sorted(counted.items()))


def crossings(memory: Memory) -> dict[str, dict[str, int]]:
    """Return what crossed the hospitals' walls by kind, as their own meters count it."""
    total: dict[str, dict[str, int]] = {}
    for officer in memory.cast.officers.values():
        crossed = officer.desk.status()["crossed"]
        for kind, one in crossed.items() if isinstance(crossed, dict) else ():
            sums = total.setdefault(kind, {"bytes": 0, "count": 0})
            sums["bytes"] += one["bytes"]
            sums["count"] += one["count"]
    return total


def effects(memory: Memory) -> list[Effect]:
    """Return the odds ratio of each covariate, federated beside pooled."""
    if memory.pooled is None:
        return []
    found = []
    for row in memory.study["coefficients"][1:]:
        pooled, low, high = memory.pooled.odds(row["name"])
        found.append(Effect(row["name"], row["odds_ratio"], row["ci_low"], row["ci_high"], pooled, low, high))
    return found
