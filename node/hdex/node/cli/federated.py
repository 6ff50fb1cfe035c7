"""`hdex federated <verb>`: studies over several sites."""

import json
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hdex.node.cli.options import Json
from hdex.node.cli.verbs import Verbs

if TYPE_CHECKING:
    import polars as pl

app = typer.Typer(cls=Verbs, no_args_is_help=True, rich_markup_mode=None)

_MISSING = ["", "NA", "NaN", "nan", "null", "?"]
Config = Annotated[Path, typer.Option(help="The buyer's configuration (TOML).")]
Out = Annotated[Path | None, typer.Option(help="Write the result here: .json, .txt, .svg or .html.")]


@app.callback()
def studies() -> None:
    """Ask many sites one question and see only the sum."""


@app.command()
def simulate(  # noqa: PLR0913  # typer: each option is a parameter
    *,
    sites: Annotated[list[Path] | None, typer.Option(help="One CSV file per site: --sites a.csv b.csv c.csv")] = None,
    sites_from: Annotated[Path | None, typer.Option(help="A folder: every .csv file in it is a site.")] = None,
    more_sites: Annotated[list[Path] | None, typer.Argument(hidden=True)] = None,
    kind: Annotated[str, typer.Option(help="Question: logistic, linear, cox, mean ... (--kind list names all).")] = (
        "logistic"
    ),
    target: Annotated[str, typer.Option(help="Outcome column, where the kind has one.")] = "",
    features: Annotated[str, typer.Option(help="Columns, separated by commas.")] = "",
    levels: Annotated[list[str] | None, typer.Option(help="Declared levels: --levels 'arm=control|drug'.")] = None,
    option: Annotated[list[str] | None, typer.Option(help="--option time=months --option grid=1..60")] = None,
    standardize: Annotated[str, typer.Option(help="Scale of coefficients and penalty: global or none.")] = "none",
    l2: Annotated[float, typer.Option(help="Penalty l2/2 times the squared norm without the intercept.")] = 0.0,
    secure: Annotated[str, typer.Option(help="How sums are added: paillier, threshold or plain.")] = "paillier",
    regions: Annotated[int, typer.Option(help="Regional aggregators between coordinator and sites.")] = 0,
    out: Out = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Run a study in this process, one site per file; disclosure limits become warnings."""
    from hdex.federated.question_file import read_levels, read_option
    from hdex.federated.simulate import simulate as run
    from hdex.federated.valuation import can_value

    logging.getLogger("flwr").setLevel(logging.ERROR)  # what Flower says of its own rounds is no result
    tables = _read_sites([*(sites or []), *(more_sites or []), *_files_in(sites_from)])
    simulation = run(
        tables,
        target=target,
        features=[name.strip() for name in features.split(",") if name.strip()],
        kind=kind,
        options=dict(map(read_option, option or [])),
        levels=dict(map(read_levels, levels or [])),
        standardize=standardize,
        l2=l2,
        secure=secure,
        regions=regions,
        contribution=can_value(kind, secure, sites=len(tables)),
    )
    document = simulation.document()
    for warning in document["warnings"]:
        refused = "a real run refuses: " if warning in simulation.warnings else ""
        typer.echo(f"warning: {refused}{warning}", err=True)
    _give(document, out, as_json=as_json)


@app.command()
def run(
    study: Annotated[Path, typer.Argument(help="id, purpose, kind, target, features and contracts (TOML or JSON).")],
    config: Config,
    out: Out = None,
    as_json: Json = False,
) -> None:
    """Have a study planned, sign the plan, run it over the hospitals and keep the result; again: go on, or answer."""
    from hdex.federated.question_file import read_question
    from hdex.node.cli.buy import buyer
    from hdex.node.cli.serving import talk
    from hdex.node.json_file import read_text
    from hdex.node.study_diary import StudyDiary

    question = read_question(read_text(study))
    diary = StudyDiary(_folder(config), question["id"])

    def say(step: str, words: str) -> None:
        talk(step, words)
        diary.add(step, words)

    diary.begin(question["kind"])
    try:
        result = buyer(config).study(question, say)
    except Exception as error:
        diary.fail(error)
        raise
    diary.finish(result)
    for warning in result.get("warnings", []):
        talk("warning", warning)
    _give(result, out, as_json=as_json)


@app.command()
def status(
    study: Annotated[str, typer.Argument(help="The study's id.")],
    config: Config,
    follow: Annotated[bool, typer.Option(help="Go on until the study ends.")] = False,
    as_json: Json = False,
) -> None:
    """Tell how far a study is that was started here, round by round."""
    from hdex.node.study_diary import StudyDiary

    diary = StudyDiary(_folder(config), study)
    for line in diary.lines(follow=follow):
        typer.echo(json.dumps(line) if as_json else f"{line['time']}  {line['step']:<9} {line['words']}")


@app.command()
def result(
    study: Annotated[str, typer.Argument(help="The study's id, or a file with a result.")],
    config: Annotated[Path | None, typer.Option(help="The buyer's configuration; not needed for a file.")] = None,
    out: Out = None,
    as_json: Json = False,
) -> None:
    """Show a result that was received: table on the terminal, or --json, or --out with a picture or a page."""
    from hdex.node.errors import ConfigInvalid
    from hdex.node.study_diary import StudyDiary

    if study.endswith(".json"):
        return _give(_result_of(Path(study)), out, as_json=as_json)
    if config is None:
        raise ConfigInvalid("--config is needed to find a study by its id; a file ends in .json")
    return _give(StudyDiary(_folder(config), study).result(), out, as_json=as_json)


def _give(document: dict[str, Any], out: Path | None, *, as_json: bool) -> None:
    """Print a result, or write it in the form that the file's name asks."""
    from hdex.federated.report import as_text

    if out is not None:
        return _write(document, out)
    typer.echo(json.dumps(document, indent=2) if as_json else as_text(document))
    return None


def _write(document: dict[str, Any], out: Path) -> None:
    from hdex.federated.pictures import as_html, as_svg
    from hdex.federated.report import as_text

    forms = {".json": _as_json, ".txt": as_text, ".svg": as_svg, ".html": as_html}
    if out.suffix not in forms:
        raise typer.BadParameter(f"{out.name} ends in none of {', '.join(forms)}")
    out.write_text(forms[out.suffix](document), encoding="utf-8")
    typer.echo(f"{out} written", err=True)


def _as_json(document: Mapping[str, Any]) -> str:
    return json.dumps(document, indent=2) + "\n"


def _folder(config: Path) -> Path:
    from hdex.node.config import BuyerConfig, load

    return load(config, BuyerConfig).data_dir / "studies"


def _result_of(path: Path) -> dict[str, Any]:
    from hdex.node.errors import ConfigInvalid
    from hdex.node.json_file import read_object

    found = read_object(path)
    if "kind" not in found or "bytes_per_site" not in found:
        raise ConfigInvalid(f"{path} holds no result of a study")
    return found


def _files_in(folder: Path | None) -> list[Path]:
    return [] if folder is None else sorted(folder.glob("*.csv"))


def _read_sites(paths: list[Path]) -> "dict[str, pl.DataFrame]":
    """Return site name -> table; a name is the file's stem, numbered where two files share it."""
    import polars as pl

    if not paths:
        raise typer.BadParameter("no site: name files with --sites, or a folder of .csv files with --sites-from")
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
