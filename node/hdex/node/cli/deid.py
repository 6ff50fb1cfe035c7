"""`hdex deid <verb>`: de-identify files without a running node."""

import typer

from hdex.node.cli.deid_attack import attack
from hdex.node.cli.deid_classify import classify
from hdex.node.cli.deid_content import looked_into
from hdex.node.cli.deid_escrow import app as escrow
from hdex.node.cli.deid_link import agree, link
from hdex.node.cli.deid_resources import dicom, fhir
from hdex.node.cli.deid_run import run
from hdex.node.cli.deid_sign import sign
from hdex.node.cli.deid_tables import anonymize
from hdex.node.cli.deid_text import redact
from hdex.node.cli.deid_verify import verify
from hdex.node.cli.verbs import Verbs

app = typer.Typer(cls=Verbs, no_args_is_help=True, rich_markup_mode=None)


@app.callback()
def files() -> None:
    """Classify, generalise, verify and redact files."""


for verb in (classify, anonymize, verify, redact, attack, run, fhir):
    app.command()(looked_into(verb))
for verb_of_keys in (dicom, agree, link, sign):  # these look at their inputs themselves: others are keys and folders
    app.command()(verb_of_keys)
app.add_typer(escrow, name="escrow", help="Reversible pseudonyms, sealed by one, opened by two.")
