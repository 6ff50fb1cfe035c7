"""README and docs say what is: commands exist with these options, numbers were measured, links lead somewhere."""

import json
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import pytest
import typer.main

from hdex.node.cli.main import app

ROOT = Path(__file__).resolve().parents[1]
README = ROOT / "README.md"
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])
SHELL = re.compile(r"^```(?:shell|sh|bash|console)\n(.*?)^```", re.DOTALL | re.MULTILINE)
LINK = re.compile(r"\[[^\]]+\]\(([^)#\s]+)(?:#[^)]*)?\)")
ROW = re.compile(
    r"^\| .+ \| (?P<median>.+) \| (?P<spread>.+), (?P<runs>\d+) runs \| `(?P<file>[a-z]+\.json)` `(?P<key>.+)` \|$"
)


def commands() -> Iterator[tuple[str, list[str]]]:
    """Yield (page, words after `hdex`) of every command in a shell block; a backslash joins lines."""
    for page in PAGES:
        for block in SHELL.findall(page.read_text(encoding="utf-8")):
            for line in block.replace("\\\n", " ").splitlines():
                words = shlex.split(line.removeprefix("$ "), comments=True)
                if words and words[0].rpartition("/")[2] == "hdex":
                    yield page.name, words[1:]


def parsed(words: list[str]) -> tuple[click.Command, list[str]]:
    """Return the command that the first words name, and the words that are left."""
    command: click.Command = typer.main.get_command(app)
    while isinstance(command, click.Group):
        assert words, f"{command.name} needs a verb"
        if words[0] not in command.commands and (verb := getattr(command, "verb_of_before", "")):
            words = [verb, *words]
        assert words[0] in command.commands, f"{command.name} has no verb {words[0]}"
        command, words = command.commands[words[0]], words[1:]
    return command, words


COMMANDS = list(commands())


def test_the_guides_show_commands() -> None:
    assert {page for page, _ in COMMANDS} >= {"README.md", "hospital.md", "buyer.md", "auditor.md", "operator.md"}


@pytest.mark.parametrize(("page", "words"), COMMANDS, ids=[f"{page}: {' '.join(words)}" for page, words in COMMANDS])
def test_a_command_of_the_guides_is_one(page: str, words: list[str]) -> None:
    command, rest = parsed(words)
    if rest == ["--help"]:
        return
    with click.Context(command) as context:  # parses as a shell would: a missing or unknown option raises
        command.parse_args(context, list(rest))


def test_a_command_that_is_none_is_found() -> None:
    with pytest.raises(AssertionError):
        parsed(["node", "fly"])
    command, rest = parsed(["deid", "verify", "a.csv", "--quasy", "age"])
    with pytest.raises(click.UsageError), click.Context(command) as context:
        command.parse_args(context, rest)


def test_links_lead_to_files() -> None:
    broken = [
        f"{page.name}: {target}"
        for page in PAGES
        for target in LINK.findall(page.read_text(encoding="utf-8"))
        if "://" not in target and not target.startswith("mailto:") and not (page.parent / target).exists()
    ]
    assert broken == []


def test_make_targets_that_are_named_exist() -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    named = {
        (page.name, target)
        for page in PAGES
        for target in re.findall(r"(?:`|^|\$ )make ([a-z-]+)", page.read_text(encoding="utf-8"), re.MULTILINE)
    }
    assert {found for found in named if found[1] not in targets} == set()
    assert ("README.md", "demo") in named


def block(name: str) -> str:
    found = re.findall(rf"(?s)<!-- {name}:begin -->(.*?)<!-- {name}:end -->", README.read_text(encoding="utf-8"))
    assert len(found) == 1, f"README needs one block {name}"
    return str(found[0])


def measured(file: str, key: str) -> Any:
    """Return the figure that a results file holds under a dotted key."""
    found: Any = json.loads((ROOT / "bench" / "results" / file).read_text(encoding="utf-8"))
    for part in key.split("."):
        found = found[part]
    return found


def number(text: str) -> tuple[float, float]:
    """Return what a cell of the table says and half its last digit."""
    digits = re.match(r"-?[\d,]+(?:\.(\d+))?(?:e([+-]\d+))?", text)
    assert digits, text
    value, scale = float(digits.group(0).replace(",", "")), 0.01 if "%" in text else 1.0
    unit = 10.0 ** (int(digits.group(2) or 0) - len(digits.group(1) or ""))
    return value * scale, 0.5001 * unit * scale


def agrees(text: str, value: float) -> bool:
    said, half = number(text)
    return abs(said - value) <= half


def test_the_figures_are_those_of_the_results_files() -> None:
    rows = [found for line in block("figures").splitlines() if (found := ROW.match(line))]
    assert len(rows) >= 8
    for row in rows:
        figure = measured(row["file"], row["key"])
        low, _, high = row["spread"].partition(" to ")
        assert agrees(row["median"], figure["median"]), row[0]
        assert agrees(low, figure["low"]), row[0]
        assert agrees(high, figure["high"]), row[0]
        assert int(row["runs"]) == figure["runs"], row[0]


def test_no_row_of_the_figures_escapes_the_comparison() -> None:
    rows = [line for line in block("figures").splitlines() if line.startswith("|")]
    assert all(ROW.match(line) for line in rows[2:])


def test_a_wrong_figure_is_found() -> None:
    assert agrees("5,759/s", 5759.4)
    assert agrees("93.1%", 0.9312)
    assert agrees("1.2e-13", 1.23e-13)
    assert not agrees("5,759/s", 5801.0)
    assert not agrees("93.1%", 0.94)


def test_the_picture_of_the_demo_is_that_of_the_last_measured_run() -> None:
    results, shown = ROOT / "bench" / "results" / "demo.json", block("demo")
    if not results.exists():
        assert "not measured yet" in shown
        return
    table = json.loads(results.read_text(encoding="utf-8"))["closing_table"]
    assert shown.strip().splitlines() == ["```text", "$ make demo", *table, "```"]


def test_the_list_of_modules_is_that_of_the_tree() -> None:
    run = subprocess.run([sys.executable, "docs/tree.py", "--check"], cwd=ROOT, capture_output=True, text=True)
    assert run.returncode == 0, run.stdout
