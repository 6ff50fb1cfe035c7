"""`hdex buy precheck|cohort|query|share|submit|output|study-file`: what a buyer does before and with a contract."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hdex.node.cli.options import PURPOSE, Config, Json

if TYPE_CHECKING:
    import polars as pl

    from hdex.node.client import Exchange
    from hdex.node.question import Question

Contract = Annotated[str, typer.Argument(help="Contract id.")]
Out = Annotated[Path | None, typer.Option(help="Write it here.")]


def precheck(
    product: Annotated[str, typer.Argument(help="Product id.")],
    config: Config,
    purpose: Annotated[str, typer.Option(help=PURPOSE)],
    disease: Annotated[str, typer.Option(help="ICD-10 code, for disease-specific purposes.")] = "",
    as_json: Json = False,
) -> None:
    """Tell what a product's terms say to a purpose, at once and without asking anybody. Exit 1 when prohibited."""
    from hdex.catalog.terms import Outcome
    from hdex.node.cli.serving import show

    found = exchange(config).precheck(product, purpose, disease=disease or None)
    show({"outcome": found.outcome.value, "rule": found.rule, "next_step": found.next_step}, as_json=as_json)
    raise typer.Exit(1 if found.outcome == Outcome.PROHIBITED else 0)


def cohort(
    product: Annotated[str, typer.Argument(help="Product id.")],
    config: Config,
    where: Annotated[list[str] | None, typer.Option(help="A condition: age=60-69, sex=F; each column once.")] = None,
    as_json: Json = False,
) -> None:
    """Tell how many individuals fit, as a band, from the counts in the product's signed manifest."""
    from hdex.node.cli.serving import show

    found = exchange(config).cohort(product, *(where or ()))
    if as_json:
        show(found, as_json=True)
        return
    print(found["text"]["en"])
    for one in found["dimensions"]:
        print(f"  {one['column']}: {', '.join(one['labels'])}")


def query(
    contract: Contract,
    config: Config,
    question: Annotated[Path | None, typer.Argument(help="The question (TOML); or say it by options.")] = None,
    *,
    kind: Annotated[str, typer.Option(help="count, crosstab, mean, sum, quantile or histogram.")] = "count",
    column: Annotated[str, typer.Option(help="The column that mean, sum, quantile and histogram measure.")] = "",
    by: Annotated[str, typer.Option(help="Columns to group by, with commas; three at most.")] = "",
    where: Annotated[
        list[str] | None, typer.Option(help="A condition: 'systolic >= 140', 'sex in male,female'.")
    ] = None,
    probabilities: Annotated[str, typer.Option(help="Of quantiles, with commas.")] = "",
    edges: Annotated[str, typer.Option(help="Of a histogram, with commas.")] = "",
    epsilon: Annotated[float, typer.Option(help="What it may cost, where the contract promises noise.")] = 0.0,
    out: Out = None,
    as_json: Json = False,
) -> None:
    """Ask an aggregate question under a contract for queries; null is what may not be told."""
    from hdex.node.question import question_of, read_question
    from hdex.node.question_text import condition, split

    said: dict[str, Any] = {
        "kind": kind,
        "column": column,
        "by": split(by),
        "where": [condition(one) for one in where or []],
        "probabilities": [float(one) for one in split(probabilities)],
        "edges": [float(one) for one in split(edges)],
        "epsilon": epsilon,
    }
    asked: Question = read_question(question) if question else question_of(said)
    tell(exchange(config).query(contract, asked), out, as_json=as_json)


def share(
    contract: Contract,
    config: Config,
    out: Annotated[Path, typer.Option(help="The profile file; only you can read it.")],
    as_json: Json = False,
) -> None:
    """Write a Delta Sharing profile under a contract for download; an earlier one of the contract ends."""
    from hdex.node.cli.serving import show

    show({"profile": str(exchange(config).share(contract, out))}, as_json=as_json)


def submit(
    contract: Contract,
    script: Annotated[Path, typer.Argument(help="A Python script; `frame` holds the rows, files written are tables.")],
    config: Config,
    as_json: Json = False,
) -> None:
    """Hand in a script for the enclave; a person of the hospital reads it before it runs."""
    from hdex.node.cli.serving import show

    show(exchange(config).submit(contract, script), as_json=as_json)


def output(
    contract: Contract,
    run: Annotated[str, typer.Argument(help="Run id, as `submit` tells it.")],
    config: Config,
    out: Annotated[Path | None, typer.Option(help="Write the tables into this folder.")] = None,
    as_json: Json = False,
) -> None:
    """Show how a run of the enclave stands, and take its tables once a person has released them."""
    from hdex.node.cli.serving import show
    from hdex.node.client import harmless

    document, tables = exchange(config).output(contract, run)
    for name, table in tables.items() if out else ():
        out.mkdir(parents=True, exist_ok=True)  # type: ignore[union-attr]  # out is there, or nothing is written
        harmless(table).write_csv(out / Path(name).name)  # type: ignore[operator]  # as above
    show(document | {"tables": sorted(tables)}, as_json=as_json)


def study_file(
    contracts: Annotated[list[str], typer.Argument(help="Federated contracts, one for each hospital.")],
    config: Config,
    study: Annotated[str, typer.Option("--id", help="Id of the study.")] = "study-1",
    out: Out = None,
) -> None:
    """Write the beginning of a study's file from federated contracts, for `hdex federated run`."""
    text = exchange(config).study_file(contracts, study)
    if out is None:
        typer.echo(text, nl=False)
    else:
        out.write_text(text, encoding="utf-8")


def tell(frame: "pl.DataFrame", out: Path | None, *, as_json: bool) -> None:
    """Print an answer as CSV or JSON, or write it as .csv or .parquet."""
    from hdex.node.cli.serving import show
    from hdex.node.client import harmless

    if out is not None:
        harmless(frame).write_csv(out) if out.suffix == ".csv" else frame.write_parquet(out)
        show({"rows": frame.height, "out": str(out)}, as_json=as_json)
    elif as_json:
        show({"rows": frame.to_dicts()}, as_json=True)
    else:
        typer.echo(harmless(frame).write_csv(), nl=False)


def exchange(config: Path) -> "Exchange":
    """Return the exchange as the buyer of a configuration sees it."""
    from hdex.node.cli.buy import buyer
    from hdex.node.client import Exchange

    return Exchange(buyer(config))


def register(app: typer.Typer) -> None:
    """Add these verbs to `hdex buy`."""
    for verb in (precheck, cohort, query, share, submit, output):
        app.command()(verb)
    app.command("study-file")(study_file)
