"""`hdex demo`: sets the stage in a throw-away folder, runs the story, closes with the table, leaves nothing."""

import shutil
import signal
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from hdex.node.cli.serving import prepare

REMOVALS, BETWEEN_S = 50, 0.1


@dataclass(frozen=True, slots=True)
class DemoOptions:
    """What the command line asks of the demo."""

    data: tuple[Path, ...] = ()
    keep: bool = False
    folder: Path | None = None
    seed: int = 7
    patients: int = 2550
    as_json: bool = False


class Teller:
    """Prints each step with its time: on stderr, so that --json leaves stdout to one object."""

    def __init__(self) -> None:
        self.began = time.monotonic()
        self.steps: list[tuple[str, float]] = []

    def say(self, step: str, text: str) -> None:
        """Say what happens, with the seconds since the beginning."""
        print(f"{time.monotonic() - self.began:6.1f} s  {step:<12} {text}", file=sys.stderr, flush=True)

    def done(self, step: str, began: float) -> None:
        """Note how long a step took."""
        self.steps.append((step, time.monotonic() - began))


def run_demo(options: DemoOptions) -> int:
    """Return 0 when every claim of the story held, 1 when one did not."""
    folder = options.folder or Path(tempfile.mkdtemp(prefix="hdex-demo-"))
    folder.mkdir(parents=True, exist_ok=True)
    prepare_quietly(folder)
    signal.signal(signal.SIGTERM, leave)
    from hdex.node.demo.story import Story

    teller = Teller()
    story = Story(folder, options, teller)
    try:
        figures, details = story.tell()
        return close(story, figures, details, options)
    finally:
        story.end()
        if options.folder is None and not options.keep:
            remove(folder)


def leave(number: int, _frame: object) -> None:
    """End as after an error: the children are stopped and the throw-away folder goes, whoever ends the demo."""
    raise SystemExit(128 + number)


def remove(folder: Path) -> None:
    """Remove the throw-away folder, once more while something that is just ending still writes into it."""
    for _ in range(REMOVALS):
        shutil.rmtree(folder, ignore_errors=True)
        if not folder.exists():
            return
        time.sleep(BETWEEN_S)


def close(story, figures, details, options: DemoOptions) -> int:  # type: ignore[no-untyped-def]  # see story.tell
    """Print the table, write the report, and wait where the pages are to stay."""
    from hdex.node.demo.closing import held, table
    from hdex.node.demo.report import write_report

    report = (Path.cwd() if options.folder is None else options.folder) / "report.html"
    write_report(report, figures, details)
    print(f"\n{table(figures, details)}\n", file=sys.stderr)
    print(f"report: {report}", file=sys.stderr)
    if options.as_json:
        print(figures.to_json(), flush=True)
    broken = held(figures)
    for claim in broken:
        print(f"hdex: this did not hold: {claim}", file=sys.stderr)
    if options.keep:
        print(f"pages: {story.pages}  (Ctrl-C ends everything)", file=sys.stderr, flush=True)
        story.wait()
    return 1 if broken else 0


def prepare_quietly(folder: Path) -> None:
    """Set this process up as every other, its own log in a file of the stage."""
    import logging

    prepare(folder, [])
    root = logging.getLogger()
    for handler in list(root.handlers):
        root.removeHandler(handler)
    (folder / "logs").mkdir(exist_ok=True)
    root.addHandler(logging.FileHandler(folder / "logs" / "demo.log"))
