"""What the command line says to whoever reads its help or mistypes: what was found, what was asked, how to mend it."""

import re
import sys
from pathlib import Path

import click
import pytest
import typer

from hdex.node.cli import main
from hdex.node.cli.verbs import Everything, OfAuditor, OfBuyer, OfHospital, Ordered


def said(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str]:
    """Return exit code and all that is printed."""
    monkeypatch.setattr(sys, "argv", ["hdex", *words])
    with pytest.raises(SystemExit) as ended:
        main.main()
    printed = capsys.readouterr()
    return int(str(ended.value.code)), printed.out + printed.err


def test_help_lists_everything_in_order_whole_and_with_the_exit_codes(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    code, text = said(monkeypatch, capsys, "--help")
    assert (code, "..." in text.partition("Commands:")[2]) == (0, False)
    listed = re.findall(r"^  ([a-z]+)  +[A-Z]", text, re.MULTILINE)
    assert tuple(listed) == Everything.ORDER
    assert all(f" {number} " in " ".join(text.split()) for number in range(4))
    assert said(monkeypatch, capsys, "--version")[0] == 0
    code, text = said(monkeypatch, capsys, "node", "ingest", "--help")
    assert (code, "\\" in text) == (0, False)
    assert text.count("DATASET  Name of the data set at this node.  [required]") == 1


def groups(group: typer.core.TyperGroup, path: tuple[str, ...] = ()) -> list[tuple[tuple[str, ...], click.Command]]:
    found: list[tuple[tuple[str, ...], click.Command]] = [(path, group)]
    for name, verb in group.commands.items():
        inner = groups(verb, (*path, name)) if isinstance(verb, typer.core.TyperGroup) else [((*path, name), verb)]
        found += inner
    return found


def is_said(one: click.Parameter) -> bool:
    return bool(getattr(one, "said", None) or getattr(one, "help", None))


def test_every_verb_and_every_word_of_it_says_what_it_is() -> None:
    everything = typer.main.get_command(main.app)
    assert isinstance(everything, typer.core.TyperGroup)
    for path, verb in groups(everything):
        assert verb.help, path
        silent = [one.name for one in verb.params if not (is_said(one) or getattr(one, "hidden", False))]
        assert silent == [], path


@pytest.mark.parametrize("listed", [OfHospital, OfBuyer, OfAuditor])
def test_every_verb_of_a_participant_has_its_place_in_the_help(listed: type[Ordered]) -> None:
    everything = typer.main.get_command(main.app)
    assert isinstance(everything, typer.core.TyperGroup)
    found = [verb for _, verb in groups(everything) if isinstance(verb, listed)]
    assert [sorted(verb.commands) for verb in found] == [sorted(listed.ORDER)]


@pytest.mark.parametrize(
    ("words", "code", "says"),
    [
        (("nodes",), 2, "No such command 'nodes'. Did you mean 'node'?"),
        (("node", "servee"), 2, "Did you mean 'serve'?"),
        (("buy", "find"), 2, "the configuration config.toml cannot be read: No such file or directory; name yours"),
        (("node", "serve", "--config", "odd.toml"), 2, "unknown key nope; known here are id, organisation"),
        (("catalog", "check", "broken.json"), 2, "broken.json is not JSON: Expecting property name"),
        (("catalog", "evaluate", "broken.json", "broken.json"), 2, "cannot be read as JSON: Expecting property name"),
        (("audit", "verify", "x.zip", "--trust", "nowhere"), 3, "the trust file nowhere cannot be read: No such file"),
        (("audit", "verify", "x.zip", "--trust", "broken.json"), 3, "ask the consortium for its own"),
        (
            ("node", "ingest", "d", "e", "--write-mapping", "broken.json", "--config", "c", "--desk", "d"),
            2,
            "broken.json exists: read it, or name another file for the proposed mapping",
        ),
        (
            ("node", "classify", "d", "--write", "broken.json", "--config", "c", "--desk", "d"),
            2,
            "broken.json exists: read it, or name another file for the proposed classification",
        ),
        (("federated", "run", "nowhere.toml", "--config", "c"), 2, "nowhere.toml cannot be read: No such file"),
        (
            ("node", "ingest", "d", "e", "--mapping", "latin.toml", "--config", "c", "--desk", "d"),
            2,
            "latin.toml is no text in UTF-8; save it as UTF-8",
        ),
        (("catalog", "check", "other.json"), 2, "DataProduct: unknown field 'ethics'"),
        (("deid", "run", "nowhere", "--quasi", "a", "--out", "o"), 3, "nowhere: no such file or folder"),
    ],
)
def test_who_mistypes_is_told_how_to_mend_it(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path,
    words: tuple[str, ...], code: int, says: str,
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    (tmp_path / "broken.json").write_text("{")
    (tmp_path / "odd.toml").write_text("nope = 1")
    (tmp_path / "latin.toml").write_bytes(b"# M\xe4rz")
    (tmp_path / "other.json").write_text('{"ethics": {}}')
    found, text = said(monkeypatch, capsys, *words)
    assert (found, says in " ".join(text.split())) == (code, True), text
    assert text.count("Did you mean") <= 1
    assert "Traceback" not in text
