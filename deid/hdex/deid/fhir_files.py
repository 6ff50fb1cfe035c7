"""Files of FHIR resources in, de-identified ones out: NDJSON, JSON, a folder of both. All or nothing."""

from __future__ import annotations

import gzip
import json
import re
import shutil
import zlib
from collections import deque
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import date
from decimal import Decimal
from io import TextIOWrapper
from pathlib import Path
from secrets import token_hex
from tempfile import mkdtemp
from typing import IO, cast

from hdex.deid.content import require_readable
from hdex.deid.errors import ArgumentInvalid, InputInvalid
from hdex.deid.fhir import FhirPolicy, ResourceReport, index_resources, treat_each
from hdex.deid.fhir_index import Resource
from hdex.deid.fhir_schema import load_schema
from hdex.deid.nested import require_shallow
from hdex.deid.ports import Detector
from hdex.deid.resource_keys import ResourceKeys

ENDINGS = (".ndjson", ".jsonl", ".json")
_EXACT = token_hex(8)  # marks a number that must be written as it was read; random, so that no text can look like it
_MARKED = re.compile(rf'"{_EXACT}([^"]*)"')


def deidentify_files(
    source: Path,
    *,
    out: Path,
    key: bytes | ResourceKeys,
    detector: Detector,
    policy: FhirPolicy | None = None,
    today: date | None = None,
) -> dict[str, object]:
    """Write what `source` holds, de-identified, and return {files, left_out, resources, dropped, by_rule}.

    source: .ndjson, .jsonl or .json, also .gz, or a folder of them and of folders. out: a file for a file, a new or
    empty folder for a folder; names of files that are no resource types become part-00001. Reads twice, holds an
    index and one batch in memory. A failed run leaves nothing. Raises ArgumentInvalid, ContentRefused, InputInvalid
    (file and line, never content) and what `deidentify_resources` raises.
    """
    files, left_out = resource_files(source)
    for file in files:
        require_readable(file)
    index = index_resources((one for file in files for one in read_resources(file)), key=key, policy=policy)
    origins: deque[int] = deque()

    def taken() -> Iterator[Resource]:
        for number, file in enumerate(files):
            for resource in read_resources(file):
                origins.append(number)
                yield resource

    report = ResourceReport()
    done = treat_each(taken(), index, key=key, detector=detector, policy=policy, report=report, today=today)
    folder = _place(out, is_folder=source.is_dir())
    part = Path(mkdtemp(prefix=f".{out.name}.", dir=folder))
    try:
        names = _names(files, source, out)
        with ExitStack() as stack:
            opened = [stack.enter_context(_writer(part / name)) for name in names]
            for made in done:
                number = origins.popleft()
                if made is not None:
                    opened[number].write(dumped(made, pretty=_is_json(files[number])) + "\n")
        _move(part, out, is_folder=source.is_dir())
    finally:
        shutil.rmtree(part, ignore_errors=True)
    return {"files": len(files), "left_out": left_out} | report.to_dict()


def resource_files(source: Path) -> tuple[list[Path], int]:
    """Return the files that hold resources by their ending, and how many others a folder has."""
    if not source.exists():
        raise InputInvalid(f"{source.name}: no such file or folder")
    if source.is_file():
        return [source], 0
    every = sorted(file for file in source.rglob("*") if file.is_file() and not file.name.startswith("."))
    taken = [file for file in every if file.name.removesuffix(".gz").endswith(ENDINGS)]
    if not taken:
        raise InputInvalid(f"{source.name} has no file that ends in {', '.join(ENDINGS)}")
    return taken, len(every) - len(taken)


def read_resources(file: Path) -> Iterator[Resource]:
    """Yield the resources of one file; numbers with a point stay as exact as they are written."""
    if not _is_json(file):
        yield from _lines(file)
        return
    with _reader(file) as stream:
        text = stream.read()
    try:
        document = json.loads(require_shallow(text), parse_float=Decimal)
    except RecursionError as error:
        raise InputInvalid(f"{file.name} is {error}") from error
    except json.JSONDecodeError as error:
        if error.msg != "Extra data":
            raise InputInvalid(f"{file.name} line {error.lineno} is not JSON") from error
        yield from _lines(file)  # lines under the ending .json
        return
    yield _resource(document, file.name)


def dumped(resource: Resource, *, pretty: bool = False) -> str:
    """Return the resource as JSON; a decimal is written as it was read (FHIR: precision is part of the value)."""
    text = json.dumps(resource, ensure_ascii=False, default=_marked, indent=2 if pretty else None)
    return _MARKED.sub(r"\1", text)


def _marked(value: object) -> str:
    if not isinstance(value, Decimal):
        raise InputInvalid(f"a {type(value).__name__} has no place in a resource")
    return f"{_EXACT}{value}"


def _lines(file: Path) -> Iterator[Resource]:
    with _reader(file) as stream:
        for number, line in enumerate(stream, 1):
            if not line.strip():
                continue
            try:
                document = json.loads(require_shallow(line), parse_float=Decimal)
            except (json.JSONDecodeError, RecursionError) as error:
                raise InputInvalid(f"{file.name} line {number} is not JSON") from error
            yield _resource(document, f"{file.name} line {number}")


def _resource(document: object, where: str) -> Resource:
    if not isinstance(document, dict) or not isinstance(document.get("resourceType"), str):
        raise InputInvalid(f"{where} is no FHIR resource: it has no resourceType")
    return cast("Resource", document)


@contextmanager
def _reader(file: Path) -> Iterator[IO[str]]:
    """Open a text file, gzip or not by its content; damage is told by the file's name."""
    with file.open("rb") as raw, ExitStack() as stack:
        packed = raw.read(2) == b"\x1f\x8b"
        raw.seek(0)
        content = cast("IO[bytes]", stack.enter_context(gzip.open(raw))) if packed else raw
        try:
            yield TextIOWrapper(content, encoding="utf-8-sig")
        except UnicodeDecodeError as error:
            raise InputInvalid(f"{file.name} is not UTF-8 text") from error
        except (EOFError, gzip.BadGzipFile, zlib.error) as error:
            raise InputInvalid(f"{file.name}: the gzip stream is damaged or cut off") from error


def _writer(file: Path) -> IO[str]:
    file.parent.mkdir(parents=True, exist_ok=True)
    if file.name.endswith(".gz"):
        return cast("IO[str]", gzip.open(file, "wt", encoding="utf-8"))
    return file.open("w", encoding="utf-8")


def _is_json(file: Path) -> bool:
    return file.name.removesuffix(".gz").endswith(".json")


def _names(files: list[Path], source: Path, out: Path) -> list[str]:
    """Return the names to write: a resource type's name stays, any other could name a patient."""
    if source.is_file():
        return [out.name]
    names: list[str] = []
    for number, file in enumerate(files, 1):
        stem, ending = file.name.split(".", 1)[0], "." + file.name.split(".", 1)[-1]
        ending = next(one for one in ENDINGS if one in ending) + (".gz" if file.name.endswith(".gz") else "")
        known = stem in load_schema().resources and f"{stem}{ending}" not in names
        names.append(f"{stem}{ending}" if known else f"part-{number:05d}{ending}")
    return names


def _place(out: Path, *, is_folder: bool) -> Path:
    """Return the folder to work in. Raises ArgumentInvalid for a place that is not there or not empty."""
    if not out.parent.is_dir():
        raise ArgumentInvalid(f"folder {out.parent} is not there")
    if is_folder and out.exists() and (out.is_file() or any(out.iterdir())):
        raise ArgumentInvalid(f"{out} is there and not an empty folder")
    if not is_folder and out.is_dir():
        raise ArgumentInvalid(f"{out} is a folder, asked is a file")
    return out.parent


def _move(part: Path, out: Path, *, is_folder: bool) -> None:
    if is_folder:
        part.chmod(0o755)
        part.replace(out)
    else:
        (part / out.name).replace(out)
