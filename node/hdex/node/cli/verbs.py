"""A group of verbs as people read it: each with its whole first sentence, and one hint where a word is no verb."""

from typing import Any

import click
import typer.core
import typer.main
from typer.core import TyperArgument, TyperGroup

LONGEST = 200  # characters of a first sentence


class Explained(TyperArgument):
    """An argument that keeps what is said of it: click 8.5 empties the `help` that typer has set before, and where it
    is filled again lists all arguments a second time.
    """

    def __init__(self, *, help: str | None = None, **given: Any) -> None:  # typer's name
        super().__init__(help=help, **given)
        self.said = help

    def get_help_record(self, ctx: click.Context) -> tuple[str, str] | None:  # type: ignore[override]  # as typer's own
        record = super().get_help_record(ctx)
        return None if record is None else (record[0], "  ".join(filter(None, (self.said, record[1]))))


typer.main.TyperArgument = Explained  # type: ignore[attr-defined]  # typer builds every argument by this name
typer.core.HAS_RICH = False  # no verb is shown by rich: its escapes would stand before each "[required]"


class Verbs(TyperGroup):
    """Lists its verbs in the order in which they were given."""

    def __init__(self, **given: object) -> None:
        super().__init__(**{**given, "suggest_commands": False})  # type: ignore[arg-type]  # click hints already

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        known = ((name, self.get_command(ctx, name)) for name in self.list_commands(ctx))
        rows = [(name, verb.get_short_help_str(LONGEST)) for name, verb in known if verb and not verb.hidden]
        with formatter.section("Commands"):
            formatter.write_dl(rows)


class Ordered(Verbs):
    """Lists its verbs in the order of `ORDER`, whatever file each comes from."""

    ORDER: tuple[str, ...] = ()

    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted(self.commands, key=self.ORDER.index)


class Everything(Ordered):
    """The words after `hdex`: first what shows it all, then who takes part, then what stands by itself."""

    ORDER = (
        *("demo", "node", "buy", "audit", "exchange", "keyholder", "region", "chain"),
        *("ca", "keys", "deid", "federated", "catalog", "trace"),
    )


class OfHospital(Ordered):
    """A hospital's verbs as its guide goes: from an export to a listed product, then who asks, then what follows."""

    ORDER = (
        *("serve", "status", "doctor", "ingest", "classify", "approve", "deidentify", "cohort", "assess", "publish"),
        *("suspend", "resume", "withdraw", "vetting", "requests", "decide", "negotiations", "contracts", "revoke"),
        *("runs", "review", "invoice", "payments", "statement", "withdraw-consent", "erase", "hold"),
        *("desk", "desk-code", "dsp"),
    )


class OfBuyer(Ordered):
    """A buyer's verbs as its guide goes: find, be vetted, ask, receive, pay."""

    ORDER = (
        *("find", "show", "precheck", "cohort", "search", "vetting", "quote", "request", "status", "accept"),
        *("negotiate", "withdraw", "renew", "attest", "fetch", "open", "query", "submit", "output", "share"),
        *("study-file", "study", "invoices", "invoice", "desk", "desk-code", "doctor"),
    )


class OfAuditor(Ordered):
    """An auditor's verbs: collect, verify, then single questions."""

    ORDER = (
        *("export", "verify", "full", "search", "alerts", "serve", "monitor", "study", "usage", "split", "pool"),
        *("proof", "fraud", "convert", "doctor"),
    )
