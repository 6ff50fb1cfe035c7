"""`hdex deid redact`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from hdex.node.cli.deid_files import AsJson, names, read_key, tell, usage

if TYPE_CHECKING:
    from hdex.deid.ports import Detector
    from hdex.deid.rules_file import LanguageFile
    from hdex.deid.text import Surrogates, Tags


def redact(  # noqa: PLR0913  every option is a parameter
    source: Annotated[Path, typer.Argument(metavar="INPUT.jsonl", help="One JSON object per line.")],
    *,
    text: Annotated[str, typer.Option(help="Field that holds the note.")],
    out: Annotated[Path, typer.Option(help="File to write.")],
    lang: Annotated[str, typer.Option(help="Language of the notes: en, zh, es, or the one of --rules.")] = "",
    rules: Annotated[Path | None, typer.Option(help="TOML file of a language: adds one or replaces ours.")] = None,
    record: Annotated[str, typer.Option(help="Fields with the patient's own values, separated by commas.")] = "",
    drop_record: Annotated[
        bool, typer.Option("--drop-record", help="Leave the fields of --record out of OUT.")
    ] = False,
    replace: Annotated[str, typer.Option(help="surrogate or tag.")] = "surrogate",
    key: Annotated[Path | None, typer.Option(help="File with the project's key; none: a random one.")] = None,
    detector: Annotated[str, typer.Option(help="presidio or rules.")] = "presidio",
    timeout_s: Annotated[
        float, typer.Option(min=0.001, help="Time for one note; when it is spent nothing is written.")
    ] = 5.0,
    spans: Annotated[bool, typer.Option("--spans", help="Add the spans found, as code points.")] = False,
    as_json: AsJson = False,
) -> None:
    """Replace identifiers in notes; the patient's own values are known where --record names them."""
    from hdex.deid.redaction import redact_file

    with usage():
        language = _language(lang, rules)
        answer = redact_file(
            source,
            out=out,
            text=text,
            lang=language.language,
            detector=_detector(detector, language, timeout_s),
            surrogate=_surrogate(replace, key, day_first=language.day_first),
            record=names(record),
            drop_record=drop_record,
            with_spans=spans,
        )
    for name, lines in answer["record_fields_missing"].items():
        typer.echo(
            f"warning: field {name} of --record is missing or empty in {lines} of {answer['rows']} lines", err=True
        )
    if record and not drop_record:
        typer.echo(f"warning: {out} holds {', '.join(names(record))} as read; --drop-record leaves them out", err=True)
    tell(answer, as_json=as_json)


def _language(lang: str, rules: Path | None) -> "LanguageFile":
    from hdex.deid.rules_file import house_language, load_language

    if rules is None:
        return house_language(lang or "en")
    file = load_language(rules)
    if lang and lang != file.language:
        raise typer.BadParameter(f"--lang is {lang}, {rules.name} is for {file.language}")
    return file


def _detector(name: str, language: "LanguageFile", timeout_s: float) -> "Detector":
    rules = {language.language: language.rules}
    if name == "rules" and language.model is None:
        from hdex.deid.detector_rules import RulesDetector

        return RulesDetector(rules, timeout_s=timeout_s)
    if name == "presidio":
        from hdex.deid.detector_presidio import PresidioDetector

        models = {language.language: language.model} if language.model else {}
        return PresidioDetector([language.language], rules=rules, models=models, timeout_s=timeout_s)
    raise typer.BadParameter(f"--detector is {name}; there are presidio and, for languages without a model, rules")


def _surrogate(replace: str, key: Path | None, *, day_first: bool) -> "Surrogates | Tags":
    from hdex.deid.text import Surrogates, Tags

    if replace == "tag":
        return Tags()
    if replace != "surrogate":
        raise typer.BadParameter(f"--replace is {replace}; there are surrogate and tag")
    return Surrogates(read_key(key), day_first=day_first)
