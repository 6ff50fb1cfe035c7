"""Files are what their bytes say: genome, pictures, documents and archives are refused under any name."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import struct
import tarfile
import zipfile
import zlib
from pathlib import Path

import pydicom
import pydicom.data
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hdex.deid.content import Family, recognise, recognise_file, require_readable
from hdex.deid.errors import ContentRefused

# The EOF block of BGZF, byte for byte; source: SAM/BAM specification, section 4.1.2 "End-of-file marker".
BGZF_EOF = bytes.fromhex("1f8b08040000000000ff0600424302001b0003000000000000000000")
VCF = (
    b"##fileformat=VCFv4.3\n#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\n20\t14370\trs6054257\tG\tA\t29\tPASS\tNS=3\n"
)
FASTQ = b"@SEQ_ID\nGATTTGGGGTTCAAAGCAGTATCGATCAAATAGTAA\n+\n" + b"!*((5F>>CC" * 3 + b"IIIIII\n"
FASTA = b">chrM test\nGATCACAGGTCTATCACCCTATTAACCACTCACGGGAGCT\nGATTT\n"
SAM = b"@HD\tVN:1.6\tSO:coordinate\n@SQ\tSN:ref\tLN:45\n"
GENOTYPES = b"# rsid\tchromosome\tposition\tgenotype\nrs4477212\t1\t82154\tAA\nrs3094315\t1\t752566\tAG\n"


def bgzip(data: bytes) -> bytes:
    """One BGZF block and the end mark; layout: SAM/BAM specification, section 4.1."""
    packer = zlib.compressobj(6, zlib.DEFLATED, -15)
    body = packer.compress(data) + packer.flush()
    size = 12 + 6 + len(body) + 8
    head = bytes.fromhex("1f8b08040000000000ff0600424302") + b"\x00" + struct.pack("<H", size - 1)
    return head + body + struct.pack("<II", zlib.crc32(data), len(data)) + BGZF_EOF


def office() -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as file:
        file.writestr("[Content_Types].xml", "<Types/>")
    return buffer.getvalue()


def archive() -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as file:
        file.addfile(tarfile.TarInfo("a"), io.BytesIO())
    return buffer.getvalue()


def png() -> bytes:
    return b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + b"IHDR" + struct.pack(">IIBBBBB", 1, 1, 8, 2, 0, 0, 0)


KINDS = {
    "VCF": (VCF, Family.GENOME),
    "VCF bgzip": (bgzip(VCF), Family.GENOME),
    "VCF gzip": (gzip.compress(VCF, mtime=0), Family.GENOME),
    "VCF xz": (lzma.compress(VCF), Family.GENOME),
    "VCF bzip2": (bz2.compress(VCF), Family.GENOME),
    "VCF gzip twice": (gzip.compress(gzip.compress(VCF), mtime=0), Family.GENOME),
    "VCF with mark": (b"\xef\xbb\xbf\n" + VCF, Family.GENOME),
    "VCF UTF-16": (VCF.decode().encode("utf-16"), Family.GENOME),
    "VCF without header": (b"\n".join(VCF.splitlines()[2:] * 3), Family.GENOME),
    "BAM": (bgzip(b"BAM\x01" + struct.pack("<ii", 0, 0)), Family.GENOME),
    "CRAM": (b"CRAM\x03\x00" + bytes(20), Family.GENOME),
    "SAM": (SAM, Family.GENOME),
    "FASTQ": (FASTQ * 3, Family.GENOME),
    "FASTQ gzip": (gzip.compress(FASTQ * 500, mtime=0), Family.GENOME),
    "FASTA": (FASTA, Family.GENOME),
    "genotypes": (GENOTYPES, Family.GENOME),
    "PNG": (png(), Family.PIXELS),
    "JPEG": (b"\xff\xd8\xff\xe0\x00\x10JFIF\x00", Family.PIXELS),
    "TIFF": (b"II*\x00\x08\x00\x00\x00", Family.PIXELS),
    "BMP": (b"BM" + struct.pack("<IHHIIii", 70, 0, 0, 54, 40, 1, 1), Family.PIXELS),
    "PDF": (b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n", Family.DOCUMENT),
    "PDF behind junk": (b"\x00\x01junk" + b"%PDF-1.4\n", Family.DOCUMENT),
    "office": (office(), Family.DOCUMENT),
    "OLE": (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(500), Family.DOCUMENT),
    "tar": (archive(), Family.ARCHIVE),
    "tar gzip": (gzip.compress(archive(), mtime=0), Family.ARCHIVE),
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", ["patients.csv", "Patient.ndjson", "table.parquet"])
def test_a_renamed_file_is_refused_with_the_reason(kind: str, name: str, tmp_path: Path) -> None:
    content, family = KINDS[kind]
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(ContentRefused) as refused:
        require_readable(tmp_path)
    assert refused.value.level == (5 if family is Family.GENOME else 4)
    assert name in str(refused.value)
    found = recognise(content)
    assert found is not None
    assert found.family is family


@pytest.mark.parametrize("name", ["CT_small.dcm", "MR_small_implicit.dcm", "no_meta.dcm", "ExplVR_LitEndNoMeta.dcm"])
def test_dicom_is_recognised_with_and_without_its_preamble(name: str) -> None:
    path = pydicom.data.get_testdata_file(name, download=False)
    assert isinstance(path, str)
    found = recognise_file(Path(path))
    assert found is not None
    assert found.kind == "DICOM"


@pytest.mark.parametrize(
    "text",
    [
        b"id,name\n1,Ada\n",
        b"BMI,age\n23,40\n",
        b"@handle,post\nada,hello\n+,x\n",
        b">=5,<10\nCAT,GAG\n",
        b"rsid,chromosome\nrs1,x\n",
        b'{"resourceType":"Patient"}\n',
        b"PAR1....",
        gzip.compress(b"id,name\n1,Ada\n", mtime=0),
        gzip.compress(b"id,name\n1,Ada\n" * 9000, mtime=0)[:3000],
        "编号,姓名\n1,王伟\n".encode("gb18030"),
        b"",
        b"\n",
        b"MM\n",
        b"ID,ID3\n1,2\n",
        b"CRAMPS,age\n1,40\n",
        b"ID3_SCORE,age\n1,40\n",
        b"bgen_id,age\n1,40\n",
        b"%PDF is a format,1\n",
    ],
)
def test_tables_and_text_are_let_through(text: bytes) -> None:
    assert recognise(text) is None


@given(st.binary(max_size=600))
def test_no_bytes_break_the_recogniser(data: bytes) -> None:
    recognise(data)
    recognise(b"\x1f\x8b" + data)


def test_a_bomb_costs_no_more_than_its_head() -> None:
    assert recognise(gzip.compress(bytes(50_000_000), mtime=0)) is None
