"""DICOM headers after PS3.15 Annex E, Basic Application Level Confidentiality Profile; pixels are refused or dropped.

The table of attributes and actions is data/dicom_profile.toml. Where it leaves a choice (X/Z/D), the choice that keeps
every object whole is taken: a dummy before an empty value before removal, and removal for sequences. Beyond the table:
private attributes and group lengths go at every depth; so does any further person's name, date, long text, address and
value of unknown representation (table E.1-1a asks it for dates); every UID that is not of the standard is renamed under
the project's key, so that images of one study still belong together and to FHIR's ImagingStudy under the same key.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from io import BytesIO
from pathlib import Path
from shutil import rmtree
from tempfile import mkdtemp

import pydicom
from pydicom.datadict import tag_for_keyword
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.errors import InvalidDicomError
from pydicom.multival import MultiValue
from pydicom.sequence import Sequence
from pydicom.tag import BaseTag
from pydicom.uid import UID, ExplicitVRBigEndian, ExplicitVRLittleEndian, ImplicitVRLittleEndian

from hdex.deid.dicom_profile import (
    BY_VR,
    CODES,
    DATES,
    MEDIA_DIRECTORY,
    METHODS,
    PIXELS,
    STANDARD_ROOT,
    TELLING,
    DicomPolicy,
    DicomReport,
    actions,
    dummy,
    full_names,
    shifted,
    text_of,
)
from hdex.deid.errors import ArgumentInvalid, ContentRefused, InputInvalid, PolicyInvalid, ResidueFound
from hdex.deid.resource_keys import ResourceKeys
from hdex.deid.text import residue_sweep


@cache
def profile() -> dict[int, str]:
    """Tag -> action code of table E.1-1."""
    found: dict[int, str] = {}
    for keyword, code in actions().items():
        tag = tag_for_keyword(keyword)
        if tag is None:
            raise PolicyInvalid(f"dicom_profile.toml names {keyword}, PS3.6 has no such keyword")
        found[tag] = code
    return found


def deidentify_dicom(
    dataset: FileDataset,
    *,
    key: bytes | ResourceKeys,
    policy: DicomPolicy | None = None,
    report: DicomReport | None = None,
) -> FileDataset:
    """Return the object de-identified, ready to be written; the argument is used up. key: 32 bytes, or keys derived.

    Raises ContentRefused for pixels, embedded documents and media directories (unless header_only drops the first two),
    ResidueFound when a value of the patient is left somewhere, InputInvalid for a key under 32 bytes.
    """
    chosen, told = policy or DicomPolicy(), report if report is not None else DicomReport()
    keys = ResourceKeys.of(key)
    _refuse_pixels(dataset, chosen)
    values = sorted(set(_identifying(dataset)))
    identity = text_of(dataset.get("PatientID"))
    if "SOPInstanceUID" not in dataset:  # renamed below like any other; without one, named by its content
        told_uid = dataset.file_meta.get("MediaStorageSOPInstanceUID")
        dataset.SOPInstanceUID = told_uid or keys.dicom_uid("\n".join(_strings(dataset)))
    treatment = _Treatment(keys, chosen, _days(dataset, keys, chosen), told.by_rule)
    for name in PIXELS:
        if name in dataset:
            del dataset[name]
            told.by_rule["pixels or document dropped"] += 1
    treatment.walk(dataset)
    _name(dataset, keys.patients([identity])[0] if identity else "")
    _declare(dataset, chosen)
    _renew_meta(dataset)
    _sweep(dataset, values, told.by_rule)
    told.objects += 1
    return dataset


def deidentify_dicom_file(
    source: Path, *, key: bytes | ResourceKeys, policy: DicomPolicy | None = None, report: DicomReport | None = None
) -> tuple[str, bytes]:
    """Return (new SOP Instance UID, the file's bytes) for one file. Raises InputInvalid for what is no DICOM object."""
    done = deidentify_dicom(read_dicom(source), key=key, policy=policy, report=report)
    buffer = BytesIO()
    done.save_as(buffer, enforce_file_format=True)
    return str(done.SOPInstanceUID), buffer.getvalue()


def deidentify_dicom_files(
    source: Path, *, out: Path, key: bytes | ResourceKeys, policy: DicomPolicy | None = None
) -> dict[str, object]:
    """Write a file's or a folder's objects de-identified and return {files, objects, by_rule}; all or nothing.

    In a folder the new files are named by their new UIDs: old names may hold a patient's. Raises as deidentify_dicom
    does, ArgumentInvalid for a place that is not there or not empty.
    """
    files = sorted(one for one in source.rglob("*") if one.is_file()) if source.is_dir() else [source]
    if not files or not source.exists():
        raise InputInvalid(f"{source.name} holds no file")
    if not out.parent.is_dir() or (source.is_dir() and out.exists() and (out.is_file() or any(out.iterdir()))):
        raise ArgumentInvalid(f"{out}: its folder is not there, or it is no empty folder")
    report = DicomReport()
    part = Path(mkdtemp(prefix=f".{out.name}.", dir=out.parent))
    try:
        for file in files:
            uid, content = deidentify_dicom_file(file, key=key, policy=policy, report=report)
            (part / f"{uid}.dcm").write_bytes(content)
        part.chmod(0o755)
        (part if source.is_dir() else next(part.iterdir())).replace(out)
    finally:
        rmtree(part, ignore_errors=True)
    return {"files": len(files)} | report.to_dict()


def read_dicom(source: Path) -> FileDataset:
    """Read a file, with or without the preamble of PS3.10. Raises InputInvalid when it is none or cut off."""
    try:
        dataset = pydicom.dcmread(source, force=True)
        kind = dataset.get("SOPClassUID") or dataset.file_meta.get("MediaStorageSOPClassUID")
    except (InvalidDicomError, EOFError, ValueError, KeyError, AttributeError, NotImplementedError) as error:
        # the last is pydicom's word for a transfer syntax that it cannot read
        raise InputInvalid(f"{source.name} does not parse as DICOM: {type(error).__name__}") from error
    if not kind:
        raise InputInvalid(f"{source.name} is no DICOM object: it has no SOP Class UID")
    return dataset


@dataclass(slots=True)
class _Treatment:
    """The actions, at every depth of one object."""

    keys: ResourceKeys
    policy: DicomPolicy
    days: int | None
    counts: Counter[str]

    def walk(self, dataset: Dataset) -> None:
        """Treat every element of a data set and of the items of its sequences."""
        for tag in list(dataset.keys()):
            self._element(dataset, BaseTag(tag))

    def _element(self, dataset: Dataset, tag: BaseTag) -> None:
        if tag.is_private or tag.element == 0 or tag.group == 0 or 0x5000 <= tag.group <= 0x50FF:
            self._remove(dataset, tag, "private" if tag.is_private else "retired")
            return
        if 0x6000 <= tag.group <= 0x60FF and tag.element in (0x3000, 0x4000):
            self._remove(dataset, tag, "X")
            return
        try:
            element = dataset[tag]
        except Exception:  # pydicom raises what its converters raise: what cannot be read cannot be judged
            self._remove(dataset, tag, "unreadable")
            return
        code = profile().get(tag)
        if element.VR in DATES and self._moved(dataset, element, code):
            return
        if element.VR == "SQ":
            self._sequence(dataset, element, code)
            return
        self._plain(dataset, element, code or ("U" if element.VR == "UI" else BY_VR.get(element.VR, "K")))

    def _sequence(self, dataset: Dataset, element: DataElement, code: str | None) -> None:
        if code is None or code == "X/Z/U*":
            self.counts["sequence walked"] += 1
            for item in element.value:
                self.walk(item)
            return
        if code.startswith("X"):
            self._remove(dataset, element.tag, code)
            return
        self.counts[code] += 1
        element.value = Sequence([self._dummy_item(item) for item in element.value[:1]] if code == "D" else [])

    def _plain(self, dataset: Dataset, element: DataElement, code: str) -> None:
        """Treat one value by a code of the table; of several the one that keeps the object whole."""
        if code == "X":
            self._remove(dataset, element.tag, code)
            return
        self.counts[code] += 1
        if code == "U":
            element.value = self._renamed(element.value)
        elif "D" in code:
            element.value = dummy(element.VR)
        elif "Z" in code:
            element.value = None

    def _moved(self, dataset: Dataset, element: DataElement, code: str | None) -> bool:
        """Move a date with its patient where that is the policy; birth, and what is no date, is left to the table."""
        if self.days is None or element.keyword in ("PatientBirthDate", "PatientBirthTime"):
            return False
        if element.VR == "TM":
            self.counts["time kept beside a moved date"] += 1
            return True
        moved = [shifted(str(one), self.days) for one in _values(element) if one]
        if any(one is None for one in moved):
            return False
        element.value = moved if len(moved) != 1 else moved[0]
        self.counts["date shifted"] += 1
        return True

    def _renamed(self, value: object) -> object:
        if isinstance(value, MultiValue):
            return [self._uid(str(one)) for one in value]
        return self._uid(str(value)) if value else value

    def _uid(self, value: str) -> str:
        return value if value.startswith(STANDARD_ROOT) else self.keys.dicom_uid(value)

    def _dummy_item(self, item: Dataset) -> Dataset:
        """An item of the same shape that says nothing: codes, texts, numbers and names are dummies."""
        made = Dataset()
        for tag in list(item.keys()):
            if BaseTag(tag).is_private:
                continue
            try:
                element = item[tag]
            except Exception:  # unreadable: left out
                self.counts["unreadable"] += 1
                continue
            if element.VR == "SQ":
                value: object = Sequence([self._dummy_item(one) for one in element.value[:1]])
            elif element.VR == "UI":
                value = self._renamed(element.value)
            elif element.VR == "CS":
                value = element.value if re.fullmatch(r"[A-Z_ 0-9]{1,16}", str(element.value)) else None
            else:
                value = "REMOVED" if element.keyword in CODES else dummy(element.VR)
            made.add_new(element.tag, element.VR, value)
        return made

    def _remove(self, dataset: Dataset, tag: BaseTag, why: str) -> None:
        del dataset[tag]
        self.counts[why] += 1


def _refuse_pixels(dataset: FileDataset, policy: DicomPolicy) -> None:
    """Raise for what is not a header: pixels, documents, directories of patients."""
    kind = str(dataset.file_meta.get("MediaStorageSOPClassUID", "") or dataset.get("SOPClassUID", ""))
    if kind == MEDIA_DIRECTORY:
        raise ContentRefused("the file", kind="a DICOMDIR", level=4, reason="it lists patients; give the objects alone")
    held = [name for name in PIXELS if name in dataset]
    if not held or policy.header_only:
        return
    burned = ", and it says that annotations are burned in" if dataset.get("BurnedInAnnotation") == "YES" else ""
    kind = "a document in DICOM" if "EncapsulatedDocument" in held else "DICOM with pixels"
    reason = f"pixels can show a face or burned-in names and are not read here{burned}; --header-only drops them"
    raise ContentRefused("the file", kind=kind, level=4, reason=reason)


def _days(dataset: Dataset, keys: ResourceKeys, policy: DicomPolicy) -> int | None:
    """The patient's shift; None where dates are not moved or nobody says whose they are."""
    patient = text_of(dataset.get("PatientID"))
    if policy.dates != "shift" or not patient:
        return None
    return keys.patient_days([patient], policy.shift_days)[0]


def _name(dataset: Dataset, pseudonym: str) -> None:
    """Give the patient his pseudonym; an object without a patient gets none."""
    if pseudonym:
        dataset.PatientID = pseudonym
        dataset.PatientName = pseudonym.upper()


def _declare(dataset: Dataset, policy: DicomPolicy) -> None:
    """Say what was done, as PS3.15 E.1.1 asks."""
    dataset.PatientIdentityRemoved = "YES"
    dataset.LongitudinalTemporalInformationModified = "MODIFIED" if policy.dates == "shift" else "REMOVED"
    methods = ["basic", *(["shift"] if policy.dates == "shift" else [])]
    dataset.DeidentificationMethod = ["hdex", "PS3.15 2024b Annex E"]
    items = []
    for name in methods:
        item = Dataset()
        item.CodeValue, item.CodeMeaning = METHODS[name]
        item.CodingSchemeDesignator = "DCM"
        items.append(item)
    dataset.DeidentificationMethodCodeSequence = Sequence(items)


def _renew_meta(dataset: FileDataset) -> None:
    """New file meta information and an empty preamble: both may name a sender or hold another file's header."""
    old = dataset.file_meta
    syntax = UID(str(old.get("TransferSyntaxUID", "")))
    if syntax not in (ImplicitVRLittleEndian, ExplicitVRLittleEndian, ExplicitVRBigEndian):
        implicit, little = dataset.original_encoding
        plain = ImplicitVRLittleEndian if implicit else ExplicitVRLittleEndian
        syntax = plain if little is not False else ExplicitVRBigEndian
    meta = FileMetaDataset()
    meta.TransferSyntaxUID = syntax
    meta.MediaStorageSOPClassUID = dataset.get("SOPClassUID") or old.get("MediaStorageSOPClassUID")
    meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
    dataset.file_meta = meta
    dataset.preamble = b"\x00" * 128


def _sweep(dataset: Dataset, values: list[str], counts: Counter[str]) -> None:
    """Empty what still holds a value of the patient, then look again: ResidueFound if even that left one."""
    if not residue_sweep(sorted(set(_strings(dataset))), values):
        return
    for element in _elements(dataset):
        if element.VR != "SQ" and residue_sweep([str(one) for one in _values(element)], values):
            element.value = None
            counts["emptied for a value of the patient"] += 1
    if left := residue_sweep(sorted(set(_strings(dataset))), values):
        raise ResidueFound(left, where="a DICOM header")


def _values(element: DataElement) -> list[object]:
    return list(element.value) if isinstance(element.value, MultiValue) else [element.value]


def _identifying(dataset: Dataset) -> Iterator[str]:
    """Yield the values of the object that name somebody: people, numbers of the patient, where he lives."""
    for element in _elements(dataset):
        if element.VR == "PN":
            yield from (name for one in _values(element) for name in full_names(one))
        elif element.keyword in TELLING:
            yield from (
                text for text in map(text_of, _values(element)) if " " in text or any(c.isdigit() for c in text)
            )


def _elements(dataset: Dataset) -> Iterator[DataElement]:
    for tag in list(dataset.keys()):
        try:
            element = dataset[tag]
        except Exception:  # noqa: S112  # the walk removes and counts it
            continue
        yield element
        if element.VR == "SQ":
            for item in element.value:
                yield from _elements(item)


def _strings(dataset: Dataset) -> Iterator[str]:
    """Yield every text of an object."""
    for element in _elements(dataset):
        if element.VR == "SQ":
            continue
        yield from (text for one in _values(element) if not isinstance(one, bytes | Dataset) and (text := text_of(one)))
