"""DICOM headers after the basic profile: names in any character set go, UIDs agree, pixels are refused."""

from __future__ import annotations

import warnings
from io import BytesIO
from pathlib import Path

import pydicom
import pydicom.data
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.sequence import Sequence
from pydicom.uid import UID, ExplicitVRLittleEndian

from hdex.deid.dicom import deidentify_dicom, deidentify_dicom_file, profile, read_dicom
from hdex.deid.dicom_profile import DicomPolicy, DicomReport, shifted
from hdex.deid.errors import ContentRefused, InputInvalid, PolicyInvalid
from hdex.deid.resource_keys import ResourceKeys

KEY = b"k" * 32
HEADER = DicomPolicy(header_only=True)
SHIFT = DicomPolicy(header_only=True, dates="shift")
DATA = Path(pydicom.data.__file__).parent
CHARSETS = sorted((DATA / "charset_files").glob("*.dcm"))


def made(source: Path, policy: DicomPolicy = HEADER) -> FileDataset:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the test files are odd on purpose
        _, content = deidentify_dicom_file(source, key=KEY, policy=policy)
        return pydicom.dcmread(BytesIO(content))


def strings(dataset: Dataset) -> str:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return "\n".join(str(one.value) for one in dataset.iterall() if one.VR not in ("SQ", "OB", "OW"))


def image(**values: object) -> FileDataset:
    """A small object with a patient, a nested sequence, private and odd things."""
    meta = FileMetaDataset()
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    meta.MediaStorageSOPClassUID = UID("1.2.840.10008.5.1.4.1.1.2")
    meta.MediaStorageSOPInstanceUID = UID("1.2.3.4")
    meta.SourceApplicationEntityTitle = "OSTRANDER"
    dataset = FileDataset("x", {}, file_meta=meta, preamble=b"Ostrander".ljust(128, b"\0"))
    dataset.SOPClassUID, dataset.SOPInstanceUID = "1.2.840.10008.5.1.4.1.1.2", "1.2.3.4"
    dataset.StudyInstanceUID, dataset.PatientName, dataset.PatientID = "1.2.3", "Ostrander^Wilhelmina", "GT-884512"
    dataset.StudyDate, dataset.SeriesDate, dataset.StudyTime = "20190506", "20190507", "101112"
    dataset.PatientBirthDate, dataset.Modality, dataset.Rows = "19410317", "CT", 2
    dataset.AcquisitionDateTime = "20190506101112.5+0200"
    inner = Dataset()
    inner.ReferencedSOPInstanceUID, inner.PatientName = "1.2.3.4", "Ostrander^W"
    inner.add_new(0x00091001, "LO", "Ostrander")
    inner.TextValue = "Wilhelmina Ostrander"
    dataset.ReferencedSeriesSequence = Sequence([inner])
    dataset.add_new(0x00090010, "LO", "SECRET CREATOR")
    dataset.add_new(0x00091002, "LO", "Ostrander")
    dataset.add_new(0x60003000, "OW", b"12")
    dataset.add_new(0x50003000, "OW", b"12")
    for name, value in values.items():
        setattr(dataset, name, value)
    return dataset


def treated(dataset: FileDataset, policy: DicomPolicy = HEADER) -> FileDataset:
    buffer = BytesIO()
    deidentify_dicom(dataset, key=KEY, policy=policy).save_as(buffer, enforce_file_format=True)
    return pydicom.dcmread(BytesIO(buffer.getvalue()))


def test_the_table_is_the_standards() -> None:
    # Samples of PS3.15 2024b, table E.1-1, column Basic Prof.
    table = profile()
    assert len(table) > 600
    for tag, code in {
        0x00100010: "Z", 0x00100020: "Z/D", 0x00100030: "Z", 0x00080050: "Z", 0x00080018: "U", 0x00101000: "X",
        0x00080080: "X/Z/D", 0x00081140: "X/Z/U*", 0x0040A730: "D", 0x00181030: "X/D", 0x00321060: "X/Z",
    }.items():  # fmt: skip
        assert table[tag] == code


@pytest.mark.parametrize("path", CHARSETS, ids=lambda path: path.stem)
def test_names_in_every_character_set_are_gone(path: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        before = pydicom.dcmread(path, force=True)
        names = [one.value for one in before.iterall() if one.VR == "PN" and str(one.value).strip("^ =")]
        parts = {p for name in names for group in str(name).split("=") for p in group.split("^") if len(p.strip()) > 1}
        identity = str(before.get("PatientID", ""))
        done = deidentify_dicom(before, key=KEY, policy=HEADER)
    assert parts
    left = strings(done)
    assert [part for part in parts if part in left] == []
    assert len(identity) < 5 or identity not in left


@pytest.mark.parametrize(
    "name", ["CT_small.dcm", "MR_small_bigendian.dcm", "JPEG2000.dcm", "rtplan.dcm", "test-SR.dcm", "rtstruct.dcm"]
)
def test_real_objects_come_out_readable_and_declared(name: str) -> None:
    path = DATA / "test_files" / name
    done = made(path)
    source = read_dicom(path)
    assert done.PatientIdentityRemoved == "YES"
    assert done.DeidentificationMethodCodeSequence[0].CodeValue == "113100"
    assert str(done.file_meta.MediaStorageSOPInstanceUID) == str(done.SOPInstanceUID)
    assert done.SOPClassUID == source.SOPClassUID
    assert done.SOPInstanceUID != source.SOPInstanceUID
    assert not [one for one in done.iterall() if one.tag.is_private]
    assert "PixelData" not in done
    assert str(source.PatientName) not in strings(done)


def test_uids_agree_across_objects_and_with_fhir() -> None:
    one, two = treated(image()), treated(image(SOPInstanceUID="1.2.3.5"))
    assert one.StudyInstanceUID == two.StudyInstanceUID == ResourceKeys.of(KEY).dicom_uid("1.2.3")
    assert one.SOPInstanceUID != two.SOPInstanceUID
    assert two.ReferencedSeriesSequence[0].ReferencedSOPInstanceUID == one.SOPInstanceUID
    assert str(one.StudyInstanceUID).startswith("2.25.")
    assert one.StudyInstanceUID.is_valid
    assert one.SOPClassUID == "1.2.840.10008.5.1.4.1.1.2"
    assert one.PatientID == two.PatientID != "GT-884512"


def test_nothing_of_the_patient_is_left_at_any_depth() -> None:
    report = DicomReport()
    done = deidentify_dicom(image(ManufacturerModelName="for Wilhelmina Ostrander"), key=KEY, report=report)
    text = strings(done).lower() + strings(done.file_meta).lower()
    assert "ostrander" not in text
    assert "wilhelmina" not in text
    assert "884512" not in text
    assert done.preamble == bytes(128)
    assert report.by_rule["private"] == 3
    assert report.by_rule["emptied for a value of the patient"] == 1
    assert {0x60003000, 0x50003000, 0x00090010} & set(done.keys()) == set()
    assert (done.Modality, done.Rows) == ("CT", 2)


def test_dates_are_emptied_or_move_together() -> None:
    done = treated(image())
    assert (done.StudyDate, done.PatientBirthDate, done.SeriesDate) == ("", "", "19000101")
    assert done.LongitudinalTemporalInformationModified == "REMOVED"
    moved = treated(image(), SHIFT)
    assert int(moved.SeriesDate) != 20190507
    days = (_day(moved.StudyDate) - _day("20190506")).days
    assert 0 < abs(days) <= 3650
    assert shifted("20190507", days) == moved.SeriesDate
    assert moved.AcquisitionDateTime == f"{moved.StudyDate}101112.5+0200"
    assert moved.PatientBirthDate == ""
    assert moved.LongitudinalTemporalInformationModified == "MODIFIED"
    assert [item.CodeValue for item in moved.DeidentificationMethodCodeSequence] == ["113100", "113107"]
    assert treated(image(PatientID=""), SHIFT).StudyDate == ""  # nobody's shift


def _day(text: str):  # type: ignore[no-untyped-def]  # date
    from datetime import datetime

    return datetime.strptime(text, "%Y%m%d").date()


@pytest.mark.parametrize("policy", [DicomPolicy(), DicomPolicy(dates="shift")])
def test_pixels_are_refused_with_the_reason(policy: DicomPolicy) -> None:
    with pytest.raises(ContentRefused, match="header-only") as refused:
        deidentify_dicom_file(DATA / "test_files/CT_small.dcm", key=KEY, policy=policy)
    assert refused.value.level == 4
    with pytest.raises(ContentRefused, match="burned in"):
        deidentify_dicom(image(PixelData=b"1234", BurnedInAnnotation="YES"), key=KEY)
    with pytest.raises(ContentRefused, match="document"):
        deidentify_dicom(image(EncapsulatedDocument=b"%PDF-1.7"), key=KEY)


def test_a_directory_of_patients_is_refused() -> None:
    with pytest.raises(ContentRefused, match="DICOMDIR"):
        deidentify_dicom_file(DATA / "test_files/dicomdirtests/DICOMDIR", key=KEY, policy=HEADER)


def test_what_is_no_object_is_an_error(tmp_path: Path) -> None:
    for content in (b"", b"id,name\n1,Ada\n", b"\0" * 128 + b"DICM", b"\0" * 132 + b"rest"):
        path = tmp_path / "x.dcm"
        path.write_bytes(content)
        with pytest.raises(InputInvalid):
            deidentify_dicom_file(path, key=KEY, policy=HEADER)
    with pytest.raises(PolicyInvalid):
        DicomPolicy(dates="keep")


@given(st.dates(), st.integers(-3650, 3650))
def test_a_moved_date_can_be_moved_back(day, days: int) -> None:  # type: ignore[no-untyped-def]  # date
    text = f"{day.year:04d}{day:%m%d}"
    moved = shifted(text, days)
    if moved is not None and day.year > 1000:
        assert shifted(moved, -days) == text


@given(st.text("0123456789.", min_size=1, max_size=60))
def test_new_uids_are_valid_and_differ(uid: str) -> None:
    one = ResourceKeys.of(KEY).dicom_uid(uid)
    assert len(one) <= 64
    assert one == ResourceKeys.of(KEY).dicom_uid(uid)
    assert one != ResourceKeys.of(b"q" * 32).dicom_uid(uid)
