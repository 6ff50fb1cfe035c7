"""A group of verbs under a word that is a verb itself: what names none of them goes to the verb of before."""

from typing import Any

import click
from typer.core import TyperGroup

from hdex.node.cli.verbs import Verbs


def falling_back_to(verb: str) -> type[TyperGroup]:
    """Return a group that reads its words as those of `verb` where the first is none of its verbs."""

    class Fallback(Verbs):
        verb_of_before = verb

        def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
            known = {*self.commands, *ctx.help_option_names}
            if not args or args[0] not in known:
                args = [verb, *args]
            return super().parse_args(ctx, args)

    return Fallback


def rows_of(view: dict[str, Any], names: tuple[str, ...]) -> dict[str, Any]:
    """Return the fields of a view that a line shows."""
    return {name: view.get(name, "") for name in names}
