"""`hdex node cohort ask|show`: counts that everybody may be told before a contract, asked for and reviewed."""

import json
from pathlib import Path
from typing import Annotated

import typer

from hdex.node.cli.options import STEWARD, Config, DeskFolder, Json
from hdex.node.cli.verbs import Verbs

FEWEST, MOST = 2, 5  # dimensions
app = typer.Typer(cls=Verbs, no_args_is_help=True, rich_markup_mode=None)
Dataset = Annotated[str, typer.Argument(help="Data set.")]


@app.callback()
def cohort() -> None:
    """Cohort counts of a product: off unless its offer asks for them."""


@app.command()
def ask(
    offer: Annotated[Path, typer.Argument(help="The offer (JSON) that shall ask for cohort counts.")],
    by: Annotated[
        list[str], typer.Option(help="A dimension: sex, age=50,60,70,80 (edges) or diagnosis:3 (first characters).")
    ],
    k: Annotated[int, typer.Option(help="No cell below this is told.", min=10)] = 10,
    out: Annotated[Path | None, typer.Option(help="Write the offer here instead of in its place.")] = None,
) -> None:
    """Write into an offer by which 2 to 5 dimensions individuals are counted; `hdex node assess` draws them."""
    from hdex.node.cli.serving import talk
    from hdex.node.errors import ConfigInvalid
    from hdex.node.json_file import read_object

    asked = [dimension(one) for one in by]
    if len({str(one["column"]) for one in asked}) != len(asked) or not FEWEST <= len(asked) <= MOST:
        raise ConfigInvalid(f"{len(asked)} --by were given; {FEWEST} to {MOST} are asked, each of another column")
    said = {**read_object(offer), "cohort": {"dimensions": asked, "k": k}}
    (out or offer).write_text(json.dumps(said, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    talk("cohort", f"{out or offer} asks for counts by {', '.join(by)}, none below {k}; next: hdex node assess")


@app.command()
def show(
    dataset: Dataset,
    version: Annotated[str, typer.Argument(help="Version, drafted by `hdex node assess`.")],
    config: Config,
    desk: DeskFolder,
    as_json: Json = False,
) -> None:
    """Show what the draft of a version will tell everybody: read it before you sign its assessment."""
    from dataclasses import asdict

    from hdex.node.cli.node import staff
    from hdex.node.cli.serving import show as shown
    from hdex.node.errors import NotFound
    from hdex.node.web.desk_cohort import cohort_review

    found = staff(config, desk, STEWARD).desk.read("version", dataset, version)
    review = cohort_review(found["draft"], "en")
    if review is None:
        raise NotFound("this version tells no cohort counts; `hdex node cohort ask` asks for them in its offer")
    if as_json:
        shown(asdict(review), as_json=True)
        return
    print(f"everybody: {review.everybody}; {review.small} of {review.cells} cells are told as no more than {review.k}")
    for one in review.dimensions:
        print(f"{one.column}: " + ", ".join(f"{label} {band}" for label, band in one.bands))
    print(f"digest {review.digest}")


def dimension(word: str) -> dict[str, object]:
    """Return one dimension as an offer names it. Raises ConfigInvalid."""
    from hdex.node.errors import ConfigInvalid

    column, _, edges = word.partition("=")
    column, _, prefix = column.partition(":")
    try:
        if edges:
            return {"column": column.strip(), "edges": [float(edge) for edge in edges.split(",")]}
        return {"column": column.strip(), **({"prefix": int(prefix)} if prefix else {})}
    except ValueError:
        raise ConfigInvalid("a dimension is written sex, age=50,60,70,80 or diagnosis:3") from None
