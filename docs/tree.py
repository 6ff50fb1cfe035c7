"""Rewrites the list of modules in docs/house.md from their docstrings; `--check` only compares.

A module's line is the first sentence of its docstring: who changes what a module is changes it there.
"""

import ast
import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "house.md"
ROOMS = ("node", "deid", "catalog", "ledger", "federated", "proto")
BEGIN, END = "<!-- tree:begin -->", "<!-- tree:end -->"
WIDTH = 34


def main() -> int:
    text = PAGE.read_text(encoding="utf-8")
    fresh = re.sub(f"(?s){BEGIN}.*?{END}", lambda _: f"{BEGIN}\n{tree()}\n{END}", text)
    if "--check" in sys.argv:
        if fresh != text:
            print("docs/house.md lists other modules than the tree holds: run `.venv/bin/python docs/tree.py`")
        return int(fresh != text)
    PAGE.write_text(fresh, encoding="utf-8")
    return 0


def tree() -> str:
    """Return one fenced list per room."""
    return "\n\n".join(f"```text\n{room_lines(room)}\n```" for room in ROOMS)


def room_lines(room: str) -> str:
    """Return a room's modules, folder by folder, each with what its docstring says first."""
    home = ROOT / room / "hdex" / room
    lines = [f"{room}/hdex/{room}/".ljust(WIDTH + 4) + sentence(home / "__init__.py")]
    folders = [home, *sorted(path for path in home.rglob("*") if path.is_dir() and list(path.glob("*.py")))]
    for folder in folders:
        depth = len(folder.relative_to(home).parts)
        if depth:
            name = "    " * depth + folder.name + "/"
            lines.append(name.ljust(WIDTH + 4) + sentence(folder / "__init__.py"))
        for path in sorted(folder.glob("*.py")):
            if path.name != "__init__.py" and "_pb2" not in path.name:
                lines.append(("    " * (depth + 1) + path.name).ljust(WIDTH + 4) + sentence(path))
        lines += [("    " * (depth + 1) + path.name).ljust(WIDTH + 4) for path in sorted(folder.glob("*.proto"))]
    return "\n".join(line.rstrip() for line in lines)


def sentence(path: Path) -> str:
    """Return the first sentence of a module's docstring; empty where there is none."""
    if not path.exists():
        return ""
    said = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""
    first = re.split(r"(?<=[.!])\s|\n\n|\s{2,}", " ".join(said.split("\n\n")[0].split()))[0]
    return first.rstrip(".")


if __name__ == "__main__":
    sys.exit(main())
