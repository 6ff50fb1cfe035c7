"""`hdex deid <verb>`: de-identify files without a running node."""

import typer

from hdex.node.cli.deid_attack import attack
from hdex.node.cli.deid_classify import classify
from hdex.node.cli.deid_content import looked_into
from hdex.node.cli.deid_tables import anonymize
from hdex.node.cli.deid_text import redact
from hdex.node.cli.deid_verify import verify

app = typer.Typer(no_args_is_help=True, rich_markup_mode=None)


@app.callback()
def files() -> None:
    """Classify, generalise, verify and redact files."""


for verb in (classify, anonymize, verify, redact, attack):
    app.command()(looked_into(verb))
