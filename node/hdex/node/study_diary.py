"""What a buyer keeps of its studies: one line per step as it happens, and the result.

Files in the buyer's data folder: ID.jsonl grows while a study runs and may be read meanwhile, ID.json is the result.
"""

import json
import re
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from hdex.node.durable import write_atomic
from hdex.node.errors import NotFound, RequestInvalid, describe

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:-]{0,127}")
_LOOK_AGAIN_S = 0.5
_ENDS = ("done", "failed")
Line = dict[str, str]


class StudyDiary:
    """One study's diary."""

    def __init__(self, folder: Path, study_id: str) -> None:
        if not _NAME.fullmatch(study_id):
            raise RequestInvalid("a study's id is letters, digits and ._:- only")
        self._folder = folder
        self._study_id = study_id
        self._lines = folder / f"{study_id}.jsonl"
        self._result = folder / f"{study_id}.json"

    def begin(self, kind: str) -> None:
        """Start the diary anew."""
        self._folder.mkdir(parents=True, exist_ok=True)
        self._lines.write_text("", encoding="utf-8")
        self.add("start", f"{kind} study")

    def add(self, step: str, words: str) -> None:
        """Remember one step."""
        line: Line = {"time": datetime.now(UTC).isoformat(timespec="seconds"), "step": step, "words": words}
        with self._lines.open("a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")

    def finish(self, result: dict[str, Any]) -> None:
        """Keep the result."""
        write_atomic(self._result, json.dumps(result).encode())
        self.add("done", f"{result['rounds']} rounds over {len(result['sites'])} sites")

    def fail(self, error: Exception) -> None:
        """Remember why there is no result, as the shell is told it."""
        problem = describe(error)
        self.add("failed", f"{problem.rule}: {problem.message}")

    def result(self) -> dict[str, Any]:
        """Return the kept result. Raises NotFound."""
        if not self._result.exists():
            raise NotFound(f"study {self._study_id} has no result here; run it, or ask its status")
        found: dict[str, Any] = json.loads(self._result.read_bytes())
        return found

    def lines(self, *, follow: bool) -> Iterator[Line]:
        """Yield the steps so far; with `follow`, those to come until the study ends. Raises NotFound."""
        if not self._lines.exists():
            raise NotFound(f"study {self._study_id} was never started here")
        told = 0
        while True:
            found = self._read()
            yield from found[told:]
            told = len(found)
            if not follow or (found and found[-1]["step"] in _ENDS):
                return
            time.sleep(_LOOK_AGAIN_S)

    def _read(self) -> list[Line]:
        whole, _, _ = self._lines.read_text(encoding="utf-8").rpartition("\n")  # the last line may be half written
        return [json.loads(line) for line in whole.splitlines()]
