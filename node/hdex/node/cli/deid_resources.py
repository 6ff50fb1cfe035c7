"""`hdex deid fhir` and `dicom`: resources and image headers."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from hdex.node.cli.deid_files import AsJson, read_key, tell, usage

if TYPE_CHECKING:
    from hdex.deid.ports import Detector

KeyFile = Annotated[Path | None, typer.Option(help="File with the project's key; none: a random one.")]
Recipient = Annotated[str, typer.Option(help="Who receives it: keys are derived for it, as `hdex deid run` does.")]
Project = Annotated[str, typer.Option(help="For which project: keys are derived for it.")]


def fhir(  # noqa: PLR0913  every option is a parameter
    source: Annotated[Path, typer.Argument(metavar="INPUT", help=".ndjson, .json (also .gz), or a folder of them.")],
    *,
    out: Annotated[Path, typer.Option(help="File to write, or a folder for a folder.")],
    key: KeyFile = None,
    recipient: Recipient = "",
    project: Project = "",
    patient: Annotated[
        str, typer.Option(help="The patient's number in tables and images: id, or record (identifier of type MR).")
    ] = "id",
    lang: Annotated[str, typer.Option(help="Language of texts without Han script: en or es.")] = "en",
    detector: Annotated[str, typer.Option(help="presidio or rules.")] = "presidio",
    replace: Annotated[str, typer.Option(help="In texts: surrogate or tag.")] = "surrogate",
    unknown: Annotated[str, typer.Option(help="Resource types not known: refuse or drop.")] = "refuse",
    attachments: Annotated[str, typer.Option(help="PDF, pictures, genome in attachments: drop or refuse.")] = "drop",
    shift_days: Annotated[int, typer.Option(help="Dates of a patient move together, by 1 to this many days.")] = 3650,
    as_json: AsJson = False,
) -> None:
    """De-identify FHIR R4 resources as resources; the output is valid R4 and refers to itself as before."""
    from hdex.deid.fhir import FhirPolicy
    from hdex.deid.fhir_files import deidentify_files
    from hdex.deid.resource_keys import ResourceKeys

    with usage():
        policy = FhirPolicy(
            lang=lang,
            replace=replace,
            unknown=unknown,
            attachments=attachments,
            shift_days=shift_days,
            patient=patient,
        )
        keys = ResourceKeys.of(read_key(key), recipient=recipient, project=project)
        answer = deidentify_files(source, out=out, key=keys, detector=_detector(detector), policy=policy)
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
    recipient: Recipient = "",
    project: Project = "",
    dates: Annotated[str, typer.Option(help="empty, or shift: those of a patient move together.")] = "empty",
    shift_days: Annotated[int, typer.Option(help="With --dates shift: by 1 to this many days.")] = 3650,
    header_only: Annotated[bool, typer.Option("--header-only", help="Drop pixels instead of refusing them.")] = False,
    as_json: AsJson = False,
) -> None:
    """De-identify DICOM headers after PS3.15's basic profile; objects with pixels are refused."""
    from hdex.deid.dicom import deidentify_dicom_files
    from hdex.deid.dicom_profile import DicomPolicy
    from hdex.deid.resource_keys import ResourceKeys

    with usage():
        policy = DicomPolicy(dates=dates, header_only=header_only, shift_days=shift_days)
        keys = ResourceKeys.of(read_key(key), recipient=recipient, project=project)
        answer = deidentify_dicom_files(source, out=out, key=keys, policy=policy)
    tell(answer, as_json=as_json)
