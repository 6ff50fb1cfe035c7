"""`hdex audit convert`: the events of an evidence file for systems that collect FHIR AuditEvents or W3C PROV."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from hdex.node.cli.audit_filters import filtered
from hdex.node.cli.options import Json

if TYPE_CHECKING:
    from hdex.ledger.ports import EventQuery


@filtered
def convert(
    evidence: Annotated[Path, typer.Argument(help="Evidence file (zip) of `hdex audit export`.")],
    out: Annotated[Path, typer.Option(help="File to write.")],
    form: Annotated[str, typer.Option("--format", help="fhir, fhir-ndjson (one AuditEvent a line) or prov.")] = "fhir",
    as_json: Json = False,
    query: "EventQuery | None" = None,
) -> None:
    """Write the events of an evidence file as FHIR R4 AuditEvents or W3C PROV-JSON; a filter chooses among them.

    Nothing is verified here: `hdex audit verify` does that.
    """
    from hdex.ledger.bundle import read_evidence
    from hdex.node.auditor_forms import Form, events_of, write_events
    from hdex.node.cli.serving import show

    if form not in list(Form):
        raise typer.BadParameter(f"a format is one of {', '.join(Form)}")
    count = write_events(out, events_of(read_evidence(evidence), query), Form(form))
    show({"file": str(out), "format": form, "events": count}, as_json=as_json)
