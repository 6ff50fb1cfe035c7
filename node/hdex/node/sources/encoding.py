"""From the bytes of a file to UTF-8 text: decompression within limits, encoding recognised, damage named by line."""

import codecs
import gzip
import zlib
from pathlib import Path

import numpy as np

from hdex.node.sources.errors import OverrideInvalid, SourceBroken
from hdex.node.sources.export import Limits

GZIP = b"\x1f\x8b"
STEP = 8 << 20
SAMPLE = 1 << 16
MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
MANY_ZEROS = 0.3  # share of NUL bytes on one side that makes UTF-16 without a mark
PAIRED = 0.6  # share of wide GB18030 characters that Latin letters hardly make, in common Chinese text


def read_bytes(path: Path, limits: Limits) -> tuple[bytes, str]:
    """Return (content, compression), decompressed. Raises SourceBroken when damaged, empty or beyond the limits."""
    try:
        with path.open("rb") as file:
            packed = file.read(2) == GZIP
        content = _gunzip(path, limits) if packed else _plain(path, limits)
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise SourceBroken(path.name, None, "the gzip stream is damaged or cut off") from error
    if not content:
        raise SourceBroken(path.name, None, "the file is empty")
    return content, "gzip" if packed else "none"


def _plain(path: Path, limits: Limits) -> bytes:
    size = path.stat().st_size
    if size > limits.max_bytes:
        raise SourceBroken(path.name, None, f"{size} bytes, at most {limits.max_bytes} are taken")
    return path.read_bytes()


def _gunzip(path: Path, limits: Limits) -> bytes:
    """Decompress step by step, so that a bomb is refused before it fills the memory."""
    packed, parts, size = path.stat().st_size, [], 0
    with gzip.open(path) as stream:
        while step := stream.read(STEP):
            size += len(step)
            if size > limits.max_bytes:
                raise SourceBroken(path.name, None, f"unpacks to more than {limits.max_bytes} bytes")
            if size > limits.ratio_from and size > packed * limits.max_ratio:
                raise SourceBroken(path.name, None, f"unpacks to more than {limits.max_ratio} times its size")
            parts.append(step)
    return b"".join(parts)


def to_utf8(content: bytes, file: str, encoding: str | None = None) -> tuple[bytes, str]:
    """Return (UTF-8 bytes without a mark, name of the encoding found). Raises SourceBroken naming the line."""
    name = encoding or recognise_encoding(content)
    codec = name.replace("-sig", "")  # its own codec counts positions after the mark
    try:
        text = content.decode(codec)
    except LookupError as error:
        raise OverrideInvalid(f"{file}: no encoding of this name is known") from error
    except UnicodeDecodeError as error:
        line = content[: error.start].decode(codec, errors="ignore").count("\n") + 1
        raise SourceBroken(file, line, f"bytes that are not {name}") from error
    text = text.removeprefix("\ufeff")
    if "\x00" in text:
        raise SourceBroken(file, text[: text.index("\x00")].count("\n") + 1, "a NUL byte")
    plain = content if name == "utf-8" else text.encode()
    return (plain.replace(b"\r", b"\n") if b"\r" in plain and b"\n" not in plain else plain), name


def recognise_encoding(content: bytes) -> str:
    """Return the encoding: by its mark, by zeros (UTF-16), as UTF-8, as GB18030, else Windows-1252."""
    for mark, name in MARKS:
        if content.startswith(mark):
            return name
    zeros = np.frombuffer(content[: SAMPLE - SAMPLE % 4], dtype=np.uint8) == 0
    left, right = (float(half.mean()) if len(half) else 0.0 for half in (zeros[0::2], zeros[1::2]))
    if right > MANY_ZEROS > left:
        return "utf-16-le"
    if left > MANY_ZEROS > right:
        return "utf-16-be"
    if _is_utf8(content):
        return "utf-8"
    return "gb18030" if _is_chinese(content) else "cp1252"


def _is_utf8(content: bytes) -> bool:
    """Return whether the file is UTF-8, or was but for a few damaged bytes: then reading it names the damage."""
    try:
        content.decode()
    except UnicodeDecodeError:
        text = content.decode(errors="replace")
        damaged = text.count("\ufffd")
        wide = sum(1 for character in text[: SAMPLE * 4] if character > "\x7f")
        return wide > 20 and damaged * 20 < wide
    return True


def _is_chinese(content: bytes) -> bool:
    """Return whether the bytes decode as GB18030 in the way Chinese text does, not by chance as Latin letters do."""
    try:
        text = content.decode("gb18030")
    except UnicodeDecodeError as error:
        text = content[: error.start].decode("gb18030")
        if len(content) - error.start > 64:  # damaged in the middle: only clear Chinese text counts
            text = text if len(text) > 200 else ""
    wide = [character.encode("gb18030") for character in text[: SAMPLE * 4] if character > "\x7f"]
    paired = sum(1 for code in wide if len(code) == 4 or code[1] >= 0xA1)  # four bytes: high, digit, high, digit
    return bool(wide) and paired >= PAIRED * len(wide)
