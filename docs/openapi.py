"""Rewrites docs/openapi*.json, which the REST doors serve too; `--check` only compares."""

import json
import sys
from pathlib import Path

from hdex.node.wire.openapi import openapi

DOCS = Path(__file__).resolve().parent
FILES = {"openapi.json": "exchange", "openapi-hospital.json": "hospital"}


def main() -> int:
    stale = [name for name, kind in FILES.items() if not is_fresh(DOCS / name, kind)]
    if "--check" in sys.argv:
        if stale:
            print(f"{', '.join(stale)}: other calls than the doors answer: run `make proto`")
        return int(bool(stale))
    for name, kind in FILES.items():
        (DOCS / name).write_text(text(kind), encoding="utf-8")
    return 0


def text(kind: str) -> str:
    """Return the document of one kind of participant as it is committed."""
    return json.dumps(openapi(kind), indent=1, ensure_ascii=False) + "\n"


def is_fresh(path: Path, kind: str) -> bool:
    """Return whether a committed document is what its door serves."""
    return path.exists() and path.read_text(encoding="utf-8") == text(kind)


if __name__ == "__main__":
    raise SystemExit(main())
