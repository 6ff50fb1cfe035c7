"""How often role and level of a column are right when headers mean nothing, and what classifying costs.

The exports are generated (tests/deid/generated_exports.py), the truth of every column is known by construction. The
generator is the project's own and its first seed was looked at while building: an internal figure. The measured seeds
are others. No peer does this; the baseline beside it is this classifier column by column, without the other tables.
"""

import json
import sys
import time
from pathlib import Path

import polars as pl

from hdex.deid.classify import classify_columns
from hdex.deid.columns import ColumnProfile
from hdex.deid.survey import survey

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from tests.deid.generated_exports import EXPORTS, Generated

SEEDS = (101, 102, 103, 104, 105)
WIDE = 10_000


def measure() -> dict[str, object]:
    """Return accuracy per export and over all, per role, and CPU seconds; the wrong columns are listed for reading."""
    table: list[dict[str, object]] = []
    roles: dict[str, list[bool]] = {}
    wrong: dict[str, int] = {}
    spent, columns = 0.0, 0
    for name, make in EXPORTS.items():
        right_roles, right_levels, alone, linked, count = 0, 0, 0, 0, 0
        for seed in SEEDS:
            export = make(seed)
            began = time.process_time()
            found = survey(export.tables)
            spent += time.process_time() - began
            linked += dict(found.links.patient) == export.patient and found.patients == export.patients
            count += len(found.profiles)
            alone += _roles_alone(export)
            for profile in found.profiles:
                role, level = export.truth[profile.table, profile.name]
                right_roles += profile.role.value == role
                right_levels += profile.level == level
                roles.setdefault(role, []).append(profile.role.value == role)
                if (profile.role.value, profile.level) != (role, level):
                    _note(wrong, export, profile)
        columns += count
        table.append(
            {
                "export": name,
                "columns": count,
                "role_accuracy": round(right_roles / count, 4),
                "level_accuracy": round(right_levels / count, 4),
                "role_accuracy_column_by_column": round(alone / count, 4),
                "patients_linked_and_counted": f"{linked} of {len(SEEDS)}",
            }
        )
    return {
        "kind": "internal: generated exports, meaningless headers",
        "seeds": list(SEEDS),
        "exports": table,
        "recall_per_role": {role: round(sum(hits) / len(hits), 4) for role, hits in sorted(roles.items())},
        "wrong": wrong,
        "cpu_ms_per_column": round(1000 * spent / columns, 2),
        "cpu_seconds_10000_columns": _wide(),
    }


def _roles_alone(export: Generated) -> int:
    return sum(
        profile.role.value == export.truth[table, profile.name][0]
        for table, frame in export.tables.items()
        for profile in classify_columns(frame, table)
    )


def _note(wrong: dict[str, int], export: Generated, profile: ColumnProfile) -> None:
    """Count an error under what the column is and what it was taken for."""
    told = (
        f"{export.meant[profile.table, profile.name]}: {profile.role.value}, level {profile.level} ({profile.element})"
    )
    wrong[told] = wrong.get(told, 0) + 1


def _wide() -> float:
    frame = pl.DataFrame({f"f_{n}": [str(1 + (row * n) % 97) for row in range(3)] for n in range(WIDE)})
    began = time.process_time()
    survey({"wide": frame})
    return round(time.process_time() - began, 2)


if __name__ == "__main__":
    print(json.dumps(measure(), indent=2, ensure_ascii=False))
