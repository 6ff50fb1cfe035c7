"""Trees of codes: ICD-10 by the structure of the code, any code system by a file of parents.

ICD-10 is read from the code itself (WHO, ICD-10 volume 2, 2.4.1): E11.65 -> E11.6 -> E11 -> E10-E19 -> E. Ten
neighbouring categories stand for the block, because the blocks' own bounds differ between editions; a file of parents
gives the true ones.
"""

from __future__ import annotations

import csv
import itertools
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from hdex.deid.errors import HierarchyIncomplete, InputInvalid

ICD10 = re.compile(r"[A-Z]\d[0-9A-Z](\.?[0-9A-Z]{1,4})?")
MOST_GENERATIONS = 20


def icd10_parents(codes: Sequence[str], column: str) -> dict[str, str]:
    """Parent of every code and of its ancestors, up to the letter; codes with or without the dot."""
    unknown = sum(1 for code in codes if not ICD10.fullmatch(code))
    if unknown:
        raise HierarchyIncomplete(f"column {column} holds {unknown} distinct values that do not read as ICD-10 codes")
    parents: dict[str, str] = {}
    for code in codes:
        line = ancestors(code)
        parents.update(itertools.pairwise(line))
    return parents


def ancestors(code: str) -> list[str]:
    """The code itself, then ever shorter ones, its ten categories and its letter."""
    category, rest = code[:3], code[3:]
    dot = "." if rest.startswith(".") else ""
    digits = rest.removeprefix(".")
    line = [category + dot + digits[:length] for length in range(len(digits), 0, -1)]
    tens = [f"{category[:2]}0-{category[:2]}9"] if category[2].isdigit() else []
    return [*line, category, *tens, category[0]]


def is_parent_file(header: Sequence[str]) -> bool:
    """Whether a file's first line names a code and its parent."""
    return {"code", "parent"} <= {name.strip().lower() for name in header}


def read_parents(path: Path, delimiter: str) -> dict[str, str]:
    """Parent of every code in a file with columns `code` and `parent`; a code without a parent is a root."""
    with path.open(encoding="utf-8-sig", newline="") as file:
        lines = csv.reader(file, delimiter=delimiter)
        header = [name.strip().lower() for name in next(lines, [])]
        code, parent = header.index("code"), header.index("parent")
        rows = [line for line in lines if line]
    if any(len(line) != len(header) for line in rows):
        raise InputInvalid(f"hierarchy {path.name}: lines of other lengths than its header of {len(header)} columns")
    return {line[code]: line[parent] for line in rows if line[parent] and line[parent] != line[code]}


def generations(codes: Sequence[str], parents: Mapping[str, str], column: str) -> list[list[str]]:
    """Labels of `codes` at every level, the codes themselves first, their roots last.

    Codes of unequal depth meet at the ancestor they share. Raises HierarchyIncomplete for codes the tree does not
    hold, InputInvalid for a tree that bites its tail.
    """
    known = {*parents, *parents.values()}
    missing = sum(1 for code in codes if code not in known)
    if missing:
        raise HierarchyIncomplete(f"the code tree of column {column} misses {missing} of its distinct values (codes)")
    lines = [line_of(code, parents, column)[::-1] for code in codes]  # root first
    deepest = max((len(line) for line in lines), default=1)
    return [[line[min(len(line), depth) - 1] for line in lines] for depth in range(deepest, 0, -1)]


def line_of(code: str, parents: Mapping[str, str], column: str) -> list[str]:
    """The code, its parent, its parent's parent, up to the root."""
    line = [code]
    while line[-1] in parents:
        line.append(parents[line[-1]])
        if len(line) > MOST_GENERATIONS:
            raise InputInvalid(f"the code tree of column {column} has more than {MOST_GENERATIONS} generations")
    return line
