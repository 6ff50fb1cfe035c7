"""What the verbs of `hdex deid` share: arguments, keys, errors, answers."""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer

AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]


@contextmanager
def usage() -> Iterator[None]:
    """A wrong argument is a usage error (exit 2); everything else goes to the one table in node/errors.py."""
    from hdex.deid.errors import ArgumentInvalid

    try:
        yield
    except ArgumentInvalid as error:
        raise typer.BadParameter(str(error)) from error


def names(text: str) -> list[str]:
    """Split an option at its commas."""
    return [name.strip() for name in text.split(",") if name.strip()]


def read_key(path: Path | None) -> bytes:
    """The key in the file, or a random one for this run."""
    from secrets import token_bytes

    if path is None:
        typer.echo("warning: no --key: surrogates of this run agree with no other run", err=True)
        return token_bytes(32)
    key = path.read_bytes().strip()
    if len(key) < 32:
        raise typer.BadParameter(f"{path.name} holds {len(key)} bytes, asked are 32 or more")
    return key


def tell(answer: Mapping[str, object], *, as_json: bool) -> None:
    """Print an answer as one JSON object or as lines."""
    from hdex.node.cli.serving import lines_of

    if as_json:
        typer.echo(json.dumps(answer, ensure_ascii=False, indent=2))
        return
    typer.echo("\n".join(lines_of(answer)))
