"""`hdex federated <verb>`: studies over several sites."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    import polars as pl

app = typer.Typer(no_args_is_help=True, rich_markup_mode=None)

_MISSING = ["", "NA", "NaN", "nan", "null", "?"]


@app.callback()
def studies() -> None:
    """Ask many sites one question and see only the sum."""


@app.command()
def simulate(
    *,
    target: Annotated[str, typer.Option(help="Column of 0 and 1.")],
    features: Annotated[str, typer.Option(help="Numeric columns, separated by commas.")],
    sites: Annotated[list[Path], typer.Option(help="One CSV file per site: --sites a.csv b.csv c.csv")],
    more_sites: Annotated[list[Path] | None, typer.Argument(hidden=True)] = None,
    kind: Annotated[str, typer.Option(help="Question: logistic.")] = "logistic",
    standardize: Annotated[str, typer.Option(help="Scale of coefficients and penalty: global or none.")] = "none",
    l2: Annotated[float, typer.Option(help="Penalty l2/2 times the squared norm without the intercept.")] = 0.0,
    secure: Annotated[str, typer.Option(help="How sums are added: paillier or plain.")] = "paillier",
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Run a study in this process, one site per file; disclosure limits become warnings."""
    from hdex.federated.report import as_text
    from hdex.federated.simulate import simulate as run

    columns = [name.strip() for name in features.split(",") if name.strip()]
    simulation = run(
        _read_sites([*sites, *(more_sites or [])]),
        target=target,
        features=columns,
        kind=kind,
        standardize=standardize,
        l2=l2,
        secure=secure,
    )
    for warning in simulation.warnings:
        typer.echo(f"warning: a real run refuses: {warning}", err=True)
    typer.echo(json.dumps(simulation.document(), indent=2) if as_json else as_text(simulation.document()))


def _read_sites(paths: list[Path]) -> "dict[str, pl.DataFrame]":
    """Return site name -> table; a name is the file's stem, numbered where two files share it."""
    import polars as pl

    frames: dict[str, pl.DataFrame] = {}
    for path in paths:
        name = path.stem if path.stem not in frames else f"{path.stem}-{len(frames) + 1}"
        try:
            frames[name] = pl.read_csv(path, null_values=_MISSING, infer_schema_length=None)
        except FileNotFoundError as error:
            raise typer.BadParameter(f"{path} does not exist") from error
        except pl.exceptions.PolarsError as error:
            raise typer.BadParameter(f"{path} is not a CSV table with a header") from error
    return frames
