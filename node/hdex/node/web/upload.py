"""A form with one file, as a browser sends it: multipart/form-data (RFC 7578), read strictly and bounded. Pure.

A browser's parts have a name and, for the file, a file name; of that nothing is kept: the file's bytes are all we take.
"""

import re
from collections.abc import Iterator

from fastapi import Request

from hdex.node.errors import RequestInvalid
from hdex.node.web.desk_door import LARGEST_FORM, MOST_FIELDS, read_body

LARGEST_FILE = 2 << 20  # bytes: what a hospital takes as an ethics paper at most, unless it asks for less
BOUNDARY = re.compile(r"""[0-9A-Za-z'()+_,./:=?-]{1,70}""", re.ASCII)
NAMED = re.compile(rb'form-data; name="([a-z_]{1,40})"(; filename="[^"\r\n]*"(; filename\*=[^;\r\n]*)?)?')
CUT = "the form cannot be read"


async def read_upload(request: Request) -> tuple[dict[str, str], bytes]:
    """Return a form's fields, each once, and the bytes of its file, empty where none was chosen.

    Raises RequestInvalid for another body, a second file, or one too large.
    """
    kind, _, rest = request.headers.get("content-type", "").partition(";")
    boundary = re.search(r'boundary="?([^";]+)"?\s*$', rest)
    if kind.strip().lower() != "multipart/form-data" or boundary is None or not BOUNDARY.fullmatch(boundary[1]):
        raise RequestInvalid("a form with a file is sent as multipart/form-data")
    return sorted_out(await read_body(request, LARGEST_FILE + LARGEST_FORM), boundary[1].encode())


def sorted_out(body: bytes, boundary: bytes) -> tuple[dict[str, str], bytes]:
    """Return (fields, file) of a body. Raises RequestInvalid."""
    fields, files = dict[str, str](), list[bytes]()
    for name, is_file, content in parts(body, boundary):
        if is_file:
            files.append(content)
        elif name in fields:
            raise RequestInvalid("a field of the form is there twice")
        else:
            fields[name] = text(content)
    if len(files) > 1 or any(len(one) > LARGEST_FILE for one in files):
        raise RequestInvalid(f"one file of at most {LARGEST_FILE} bytes is asked")
    if sum(map(len, fields.values())) > LARGEST_FORM:
        raise RequestInvalid(f"the fields of a form have at most {LARGEST_FORM} bytes")
    return fields, files[0] if files else b""


def parts(body: bytes, boundary: bytes) -> Iterator[tuple[str, bool, bytes]]:
    """Yield (name, whether it is the file, content) of each part. Raises RequestInvalid."""
    first, *found = (b"\r\n" + body).split(b"\r\n--" + boundary)
    if first or not found or found[-1] not in (b"--", b"--\r\n") or len(found) - 1 > MOST_FIELDS:
        raise RequestInvalid(CUT)
    for part in found[:-1]:
        head, gap, content = part.partition(b"\r\n\r\n")
        named = NAMED.fullmatch(disposition(head))
        if not gap or named is None:
            raise RequestInvalid(CUT)
        yield named[1].decode(), named[2] is not None, content


def disposition(head: bytes) -> bytes:
    """Return what a part's Content-Disposition says. Raises RequestInvalid where it says it not once."""
    said = [line.partition(b":") for line in head.split(b"\r\n")[1:]]
    found = [value.strip() for name, _, value in said if name.strip().lower() == b"content-disposition"]
    if len(found) != 1:
        raise RequestInvalid(CUT)
    return found[0]


def text(content: bytes) -> str:
    """Return a field's text. Raises RequestInvalid."""
    try:
        return content.decode()
    except UnicodeDecodeError as error:
        raise RequestInvalid(CUT) from error
