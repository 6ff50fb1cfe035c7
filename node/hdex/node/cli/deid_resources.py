"""`hdex deid fhir` and `dicom`: resources and image headers."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from hdex.node.cli.deid_files import AsJson, read_key, tell, usage

if TYPE_CHECKING:
    from hdex.deid.ports import Detector

KeyFile = Annotated[Path | None, typer.Option(help="File with the project's key; none: a random one.")]


def fhir(
    source: Annotated[Path, typer.Argument(metavar="INPUT", help=".ndjson, .json (also .gz), or a folder of them.")],
    *,
    out: Annotated[Path, typer.Option(help="File to write, or a folder for a folder.")],
    key: KeyFile = None,
    lang: Annotated[str, typer.Option(help="Language of texts without Han script: en or es.")] = "en",
    detector: Annotated[str, typer.Option(help="presidio or rules.")] = "presidio",
    replace: Annotated[str, typer.Option(help="In texts: surrogate or tag.")] = "surrogate",
    unknown: Annotated[str, typer.Option(help="Resource types not known: refuse or drop.")] = "refuse",
    attachments: Annotated[str, typer.Option(help="PDF, pictures, genome in attachments: drop or refuse.")] = "drop",
    shift_days: Annotated[int, typer.Option(help="Dates of a patient move back by 1 to this many days.")] = 3650,
    as_json: AsJson = False,
) -> None:
    """De-identify FHIR R4 resources as resources; the output is valid R4 and refers to itself as before."""
    from hdex.deid.fhir import FhirPolicy
    from hdex.deid.fhir_files import deidentify_files

    with usage():
        policy = FhirPolicy(lang=lang, replace=replace, unknown=unknown, attachments=attachments, shift_days=shift_days)
        answer = deidentify_files(source, out=out, key=read_key(key), detector=_detector(detector), policy=policy)
    tell(answer, as_json=as_json)


def _detector(name: str) -> "Detector":
    if name == "rules":
        from hdex.deid.detector_rules import RulesDetector

        return RulesDetector()
    if name == "presidio":
        from hdex.deid.detector_presidio import PresidioDetector

        return PresidioDetector()
    raise typer.BadParameter(f"detector {name} is not known; there are presidio and rules")


def dicom(
    source: Annotated[Path, typer.Argument(metavar="INPUT", help="A DICOM file, or a folder of them.")],
    *,
    out: Annotated[Path, typer.Option(help="File to write, or a folder for a folder.")],
    key: KeyFile = None,
    dates: Annotated[str, typer.Option(help="empty, or shift: those of a patient move back together.")] = "empty",
    header_only: Annotated[bool, typer.Option("--header-only", help="Drop pixels instead of refusing them.")] = False,
    as_json: AsJson = False,
) -> None:
    """De-identify DICOM headers after PS3.15's basic profile; objects with pixels are refused."""
    from hdex.deid.dicom import deidentify_dicom_files
    from hdex.deid.dicom_profile import DicomPolicy

    with usage():
        policy = DicomPolicy(dates=dates, header_only=header_only)
        answer = deidentify_dicom_files(source, out=out, key=read_key(key), policy=policy)
    tell(answer, as_json=as_json)
