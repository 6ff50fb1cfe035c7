"""What a file is by its first bytes, whatever its name says, and which kinds are not taken.

Genome data are level 5: no rule of this room lowers them. Pictures and documents can show a face, a name burned into
the image or a signature: nobody here reads them, so they are refused until a site configures a reader of its own.
"""

from __future__ import annotations

import bz2
import lzma
import re
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from hdex.deid.errors import ContentRefused

HEAD_BYTES = 1 << 16  # of the file, and of what it unpacks to
_LAYERS = 4  # a gzip in a gzip in a ...: as deep as is looked
_BASES = re.compile(rb"[ACGTUNRYSWKMBDHVacgtunryswkmbdhv.*-]+")
_RESIDUES = re.compile(rb"[A-Za-z*-]+")
_FEW_LINES = 400


class Family(StrEnum):
    """Why a kind of content is not taken."""

    GENOME = "genome"
    PIXELS = "pixels"
    RECORDING = "recording"
    DOCUMENT = "document"
    ARCHIVE = "archive"


@dataclass(frozen=True, slots=True)
class Content:
    """What bytes are: the kind by its own name, its family and level, and why it is refused."""

    kind: str
    family: Family

    @property
    def level(self) -> int:
        """5 for genome data, 4 for everything that may show a person and cannot be looked into."""
        return 5 if self.family is Family.GENOME else 4

    @property
    def reason(self) -> str:
        """What the refusal says."""
        return _REASONS[self.family]


_REASONS = {
    Family.GENOME: "genome data identify a person and all kin; no rule lowers them, ask the ethics committee",
    Family.PIXELS: "pixels can show a face or burned-in names and are not read here; export the tables or headers only",
    Family.RECORDING: "voice and film identify a person and are not read here; leave it out of the export",
    Family.DOCUMENT: "a document holds text and pictures that are not read here; export its text as a field",
    Family.ARCHIVE: "a container is not looked into; unpack it and give the files",
}

# (offset, bytes, kind, family): signatures as their format's own specification states them.
_MAGIC: tuple[tuple[int, bytes, str, Family], ...] = (
    (128, b"DICM", "DICOM", Family.PIXELS),  # PS3.10; before TIFF: whole slide files are both
    (0, b"BAM\x01", "BAM", Family.GENOME),  # SAM/BAM specification, hts-specs
    (0, b"CRAM\x02", "CRAM", Family.GENOME),  # CRAM specification, hts-specs
    (0, b"CRAM\x03", "CRAM", Family.GENOME),
    (0, b"BCF\x02", "BCF", Family.GENOME),  # VCF specification, hts-specs
    (0, b"BCF\x04", "BCF", Family.GENOME),
    (0, b"BAI\x01", "BAM index", Family.GENOME),
    (0, b"CSI\x01", "genome index", Family.GENOME),
    (0, b"TBI\x01", "genome index", Family.GENOME),
    (0, b"\x6c\x1b\x01", "PLINK bed", Family.GENOME),
    (0, b"\x43\x27\x41\x1a", "2bit", Family.GENOME),  # UCSC .2bit, both byte orders
    (0, b"\x1a\x41\x27\x43", "2bit", Family.GENOME),
    (16, b"bgen", "BGEN", Family.GENOME),
    (0, b"NCBI.sra", "SRA", Family.GENOME),
    (0, b"##fileformat=VCF", "VCF", Family.GENOME),
    (0, b"#CHROM\tPOS\t", "VCF", Family.GENOME),
    (0, b"@HD\tVN:", "SAM", Family.GENOME),
    (0, b"@SQ\tSN:", "SAM", Family.GENOME),
    (0, b"##gvf-version", "GVF", Family.GENOME),
    (0, b"\x89PNG\r\n\x1a\n", "PNG", Family.PIXELS),
    (0, b"\xff\xd8\xff", "JPEG", Family.PIXELS),
    (0, b"II*\x00", "TIFF", Family.PIXELS),
    (0, b"MM\x00*", "TIFF", Family.PIXELS),
    (0, b"II+\x00", "BigTIFF", Family.PIXELS),
    (0, b"MM\x00+", "BigTIFF", Family.PIXELS),
    (0, b"GIF87a", "GIF", Family.PIXELS),
    (0, b"GIF89a", "GIF", Family.PIXELS),
    (0, b"\x00\x00\x00\x0cjP  \r\n\x87\n", "JPEG 2000", Family.PIXELS),
    (0, b"\xff\x4f\xff\x51", "JPEG 2000", Family.PIXELS),
    (8, b"WEBP", "WebP", Family.PIXELS),
    (344, b"n+1\x00", "NIfTI", Family.PIXELS),
    (344, b"ni1\x00", "NIfTI", Family.PIXELS),
    (0, b"NRRD000", "NRRD", Family.PIXELS),
    (8, b"WAVE", "WAV", Family.RECORDING),
    (8, b"AVI ", "AVI", Family.RECORDING),
    (0, b"ID3\x03", "MP3", Family.RECORDING),
    (0, b"ID3\x04", "MP3", Family.RECORDING),
    (0, b"OggS\x00", "Ogg", Family.RECORDING),
    (0, b"fLaC", "FLAC", Family.RECORDING),
    (0, b"\x1aE\xdf\xa3", "Matroska", Family.RECORDING),
    (0, b"{\\rtf", "RTF", Family.DOCUMENT),
    (0, b"%!PS", "PostScript", Family.DOCUMENT),
    (0, b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "Office (OLE)", Family.DOCUMENT),
    (0, b"7z\xbc\xaf\x27\x1c", "7-Zip", Family.ARCHIVE),
    (0, b"Rar!\x1a\x07", "RAR", Family.ARCHIVE),
    (257, b"ustar", "tar", Family.ARCHIVE),
    (0, b"\x28\xb5\x2f\xfd", "zstd", Family.ARCHIVE),
    (0, b"\x89HDF\r\n\x1a\n", "HDF5", Family.ARCHIVE),
    (0, b"SQLite format 3\x00", "SQLite", Family.ARCHIVE),
)
_PDF = re.compile(rb"%PDF-[12]\.\d")  # ISO 32000: within the first 1,024 bytes
_FTYP = {b"heic": Family.PIXELS, b"heix": Family.PIXELS, b"mif1": Family.PIXELS, b"avif": Family.PIXELS}
_ZIP_OFFICE = (b"[Content_Types].xml", b"mimetypeapplication/vnd.oasis", b"word/", b"xl/", b"ppt/")
_GENOTYPES = re.compile(rb"(?:rs|i)\d+[\t,]\"?(?:[1-9]|1\d|2[0-6]|X|Y|XY|MT)\"?[\t,]\"?\d+\"?[\t,]\"?[ACGTDI0-]{1,2}\b")
_VARIANT = re.compile(rb"(?:chr)?(?:[1-9]|1\d|2[0-2]|X|Y|MT?)\t\d+\t\S+\t[ACGTN]+\t[ACGTN.,<>*]+\t\S+\t\S+\t\S+=")
_TAG = re.compile(
    rb"\x02\x00[\x00-\x16]\x00|\x08\x00[\x00-\x20]\x00|\x00\x08\x00[\x00-\x20]"
)  # a data set without preamble
_SOME_TAG = re.compile(rb"\x08\x00[\x05\x08\x16\x18]\x00(?:CS|UI)")


def recognise(head: bytes) -> Content | None:
    """Say what the first bytes of a file are; None for what may be read: text, JSON, Parquet, and what nobody knows.

    head: the first bytes, HEAD_BYTES are plenty. Compressed streams (gzip, bgzip, bzip2, xz) are looked into, layer by
    layer, with bounded memory.
    """
    for layer in _layers(head[:HEAD_BYTES]):
        if found := _by_signature(layer) or _by_text(layer):
            return found
    return None


def recognise_file(path: Path) -> Content | None:
    """The same for a file; its name is not looked at."""
    with path.open("rb") as file:
        return recognise(file.read(HEAD_BYTES))


def require_readable(path: Path) -> None:
    """Raise ContentRefused for a file, or a folder's first file, that is by its content of a kind not taken."""
    for file in sorted(path.rglob("*")) if path.is_dir() else [path]:
        if file.is_file() and (found := recognise_file(file)):
            raise ContentRefused(file.name, kind=found.kind, level=found.level, reason=found.reason)


def _layers(head: bytes) -> Iterator[bytes]:
    """Yield the bytes and what they unpack to, at most HEAD_BYTES of each layer; an opaque one ends it."""
    for _ in range(_LAYERS):
        yield head
        inner = _unpacked(head)
        if inner is None:
            return
        head = inner
    yield b"Rar!\x1a\x07"  # deeper than anything honest: counts as an archive


def _unpacked(head: bytes) -> bytes | None:
    try:
        if head.startswith(b"\x1f\x8b"):
            return zlib.decompressobj(31).decompress(head, HEAD_BYTES)
        if head.startswith(b"BZh"):
            return bz2.BZ2Decompressor().decompress(head, HEAD_BYTES)
        if head.startswith(b"\xfd7zXZ\x00"):
            return lzma.LZMADecompressor(memlimit=1 << 28).decompress(head, HEAD_BYTES)
    except (zlib.error, OSError, lzma.LZMAError, EOFError):
        return None  # damaged: the reader names the damage
    return None


def _by_signature(head: bytes) -> Content | None:
    for offset, magic, kind, family in _MAGIC:
        if head[offset : offset + len(magic)] == magic:
            return Content(kind, family)
    if _PDF.search(head[:1024]):
        return Content("PDF", Family.DOCUMENT)
    if head[4:8] == b"ftyp":
        return Content("HEIF" if head[8:12] in _FTYP else "MP4", _FTYP.get(head[8:12], Family.RECORDING))
    if head[:4] in (b"PK\x03\x04", b"PK\x05\x06"):
        office = any(name in head for name in _ZIP_OFFICE)
        return Content("Office (zip)", Family.DOCUMENT) if office else Content("zip", Family.ARCHIVE)
    if head[:2] == b"BM" and head[6:10] == bytes(4) and head[14:18] in (b"\x28\0\0\0", b"\x0c\0\0\0", b"\x7c\0\0\0"):
        return Content("BMP", Family.PIXELS)
    if _TAG.match(head) or _SOME_TAG.search(head[:64]):
        return Content("DICOM", Family.PIXELS)
    return None


def _by_text(head: bytes) -> Content | None:
    """Recognise genome data written as text; leading blank lines and a byte order mark hide nothing."""
    if head[:2] in (b"\xff\xfe", b"\xfe\xff"):
        head = head[: len(head) // 2 * 2].decode("utf-16", errors="ignore").encode()
    text = head.removeprefix(b"\xef\xbb\xbf").lstrip()
    for offset, magic, kind, family in _MAGIC:
        if offset == 0 and family is Family.GENOME and len(magic) > 6 and text.startswith(magic):
            return Content(kind, family)
    lines = [line.rstrip(b"\r") for line in text.split(b"\n")[:_FEW_LINES]]
    if _is_fastq(lines):
        return Content("FASTQ", Family.GENOME)
    if _is_fasta(lines):
        return Content("FASTA", Family.GENOME)
    data = [line for line in lines if line and not line.startswith((b"#", b"rsid", b'"rsid'))]
    if len(data) > 1 and all(_VARIANT.match(line) for line in data[:3]):
        return Content("VCF without header", Family.GENOME)
    if len(data) > 1 and all(_GENOTYPES.match(line.replace(b'"', b"")) for line in data[:3]):
        return Content("genotype table", Family.GENOME)
    return None


def _is_fastq(lines: list[bytes]) -> bool:
    """@name, bases, +, as many quality characters as bases."""
    if len(lines) < 4 or not lines[0].startswith(b"@") or not lines[2].startswith(b"+"):
        return False
    whole = len(lines[3]) == len(lines[1]) or len(lines) == 4
    return bool(_BASES.fullmatch(lines[1])) and whole


def _is_fasta(lines: list[bytes]) -> bool:
    """>name, then only letters of bases (a protein counts when its lines are long)."""
    if not lines[0].startswith((b">", b";")) or len(lines) < 2:
        return False
    body = [line for line in lines[1:] if line and not line.startswith(b">")]
    full = body[:-1] or body  # the last line may be cut
    if not full:
        return False
    proteins = all(_RESIDUES.fullmatch(line) and len(line) >= 40 for line in full)
    return all(_BASES.fullmatch(line) for line in full) or proteins
