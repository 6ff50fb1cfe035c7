"""`hdex deid redact`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from hdex.node.cli.deid_files import AsJson, names, read_key, tell, usage

if TYPE_CHECKING:
    from hdex.deid.ports import Detector
    from hdex.deid.text import Surrogates, Tags


def redact(
    source: Annotated[Path, typer.Argument(metavar="INPUT.jsonl", help="One JSON object per line.")],
    *,
    text: Annotated[str, typer.Option(help="Field that holds the note.")],
    out: Annotated[Path, typer.Option(help="File to write.")],
    lang: Annotated[str, typer.Option(help="Language of the notes: en or zh.")] = "en",
    record: Annotated[str, typer.Option(help="Fields with the patient's own values, separated by commas.")] = "",
    replace: Annotated[str, typer.Option(help="surrogate or tag.")] = "surrogate",
    key: Annotated[Path | None, typer.Option(help="File with the project's key; none: a random one.")] = None,
    detector: Annotated[str, typer.Option(help="presidio or rules.")] = "presidio",
    spans: Annotated[bool, typer.Option("--spans", help="Add the spans found, as code points.")] = False,
    as_json: AsJson = False,
) -> None:
    """Replace identifiers in notes; the patient's own values are known where --record names them."""
    from hdex.deid.redaction import redact_file

    with usage():
        answer = redact_file(
            source,
            out=out,
            text=text,
            lang=lang,
            detector=_detector(detector),
            surrogate=_surrogate(replace, key),
            record=names(record),
            with_spans=spans,
        )
    tell(answer, as_json=as_json)


def _detector(name: str) -> "Detector":
    if name == "rules":
        from hdex.deid.detector_rules import RulesDetector

        return RulesDetector()
    if name == "presidio":
        from hdex.deid.detector_presidio import PresidioDetector

        return PresidioDetector()
    raise typer.BadParameter(f"detector {name} is not known; there are presidio and rules")


def _surrogate(replace: str, key: Path | None) -> "Surrogates | Tags":
    from hdex.deid.text import Surrogates, Tags

    if replace == "tag":
        return Tags()
    if replace != "surrogate":
        raise typer.BadParameter(f"--replace is {replace}; there are surrogate and tag")
    return Surrogates(read_key(key))
