"""`hdex deid agree` and `link`: tokens by which two hospitals' records of one person meet inside one project."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from hdex.node.cli.deid_files import AsJson, names, tell, usage
from hdex.node.cli.deid_home import acting, place, settings_of, write_envelope

if TYPE_CHECKING:
    from hdex.node.compose.standing import Standing
    from hdex.node.directory import Directory

NodeHome = Annotated[Path, typer.Option(help="Folder of the hospital's node (with config.toml): its keys and its log.")]


def agree(
    out: Annotated[Path, typer.Argument(metavar="AGREEMENT.json", help="File to write.")],
    *,
    project: Annotated[str, typer.Option(help="The project's name: part of the key.")],
    parties: Annotated[str, typer.Option(help="Ids of the hospitals, separated by commas.")],
    home: NodeHome,
    as_json: AsJson = False,
) -> None:
    """Write an agreement to link, with the project's secret sealed to every party; then each signs (hdex deid sign)."""
    from hdex.node.errors import AlreadyExists
    from hdex.node.hospital.linkage_agreement import propose

    if out.exists():
        raise AlreadyExists(f"{out} is there already; it is not overwritten")
    envelope = propose(project, names(parties), directory_of(home))
    write_envelope(out, envelope)
    tell({"agreement": str(out), "parties": envelope["document"]["parties"]}, as_json=as_json)


def link(
    persons: Annotated[Path, typer.Argument(metavar="PERSONS", help="One row per patient: delimited text or Parquet.")],
    *,
    agreement: Annotated[Path, typer.Option(help="The agreement: signed by all hospitals, steward and officer here.")],
    patient: Annotated[str, typer.Option(help="Column that names the patient at this hospital.")],
    out: Annotated[Path, typer.Option(help="File to write: patient, link_id, link_person.")],
    home: NodeHome,
    resident_id: Annotated[str | None, typer.Option(help="Column with the resident id (GB 11643).")] = None,
    other_id: Annotated[str | None, typer.Option(help="Column with another number, as of an insurance.")] = None,
    name: Annotated[str | None, typer.Option(help="Column with the name.")] = None,
    birth_date: Annotated[str | None, typer.Option(help="Column with the date of birth.")] = None,
    sex: Annotated[str | None, typer.Option(help="Column with the sex.")] = None,
    as_json: AsJson = False,
) -> None:
    """Make the project's linkage tokens. They go to its enclave alone; the patient's column stays here."""
    from hdex.deid.content import require_readable
    from hdex.deid.linkage import LINK_ID, LINK_PERSON, Elements, linkage_tokens
    from hdex.deid.table_files import read_table, write_table
    from hdex.node.hospital.linkage_agreement import read, take
    from hdex.node.json_file import read_object

    require_readable(persons)
    envelope = read_object(agreement)
    project = str(read(envelope)["project"])
    with usage(), place(home, None) as here:
        standing = standing_of(here.standing)
        actor = acting(standing)
        with standing.recorder.refusals("export", actor, product=project):
            agreed = take(
                envelope,
                here.hospital,
                directory=standing.directory,
                staff=here.staff,
                hpke_private=standing.keys.secret("hpke"),
            )
            frame, delimiter = read_table(persons)
            elements = Elements(resident_id, other_id, name, birth_date, sex)
            tokens = linkage_tokens(frame, elements, agreed, patient=patient)
        made = {column: tokens.height - tokens[column].null_count() for column in (LINK_ID, LINK_PERSON)}
        with standing.recorder.release("export", actor, product=project, rows=tokens.height, fields=len(made)):
            write_table(tokens, out, delimiter)
    tell({"project": project, "parties": list(agreed.parties), "patients": tokens.height, **made}, as_json=as_json)


def standing_of(standing: "Standing | None") -> "Standing":
    """Return the node's ground: a verb with --home always has it."""
    if standing is None:
        raise typer.BadParameter("name --home of a node")
    return standing


def directory_of(home: Path) -> "Directory":
    """Return the signed directory that a node's configuration names."""
    from hdex.node import directory as directories

    settings = settings_of(home)
    files = settings.identity
    return directories.load(files.directory, files.ca.read_bytes(), trust_domain=settings.trust_domain)
