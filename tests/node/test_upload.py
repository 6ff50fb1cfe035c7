"""A form with a file: read strictly, whatever bytes the file holds, and refused where it is not one."""

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hdex.node.errors import RequestInvalid
from hdex.node.web.desk_door import MOST_FIELDS
from hdex.node.web.upload import LARGEST_FILE, sorted_out

BOUNDARY = b"----WebKitFormBoundary7MA4YWxkTrZu0gW"
NAMES = st.from_regex(r"[a-z_]{1,40}", fullmatch=True)


def part(name: str, content: bytes, file: str | None = None) -> bytes:
    named = f'form-data; name="{name}"' + (f'; filename="{file}"' if file is not None else "")
    kind = b"\r\nContent-Type: application/pdf" if file is not None else b""
    return b"--" + BOUNDARY + b"\r\nContent-Disposition: " + named.encode() + kind + b"\r\n\r\n" + content + b"\r\n"


def body(*parts: bytes) -> bytes:
    return b"".join(parts) + b"--" + BOUNDARY + b"--\r\n"


@given(st.dictionaries(NAMES, st.text(st.characters(codec="utf-8"), max_size=40), max_size=5), st.binary(max_size=300))
def test_what_a_browser_sends_is_what_is_read(fields: dict[str, str], file: bytes) -> None:
    sent = [part(name, text.encode()) for name, text in fields.items()]
    assert sorted_out(body(*sent, part("paper", file, "ethik – 伦理.pdf")), BOUNDARY) == (fields, file)


@given(st.binary(max_size=200))
def test_no_body_is_more_than_refused(content: bytes) -> None:
    for sent in (content, body(content), part("a", content)):
        with suppress(RequestInvalid):
            fields, _ = sorted_out(sent, BOUNDARY)
            assert set(fields) <= {"a"}


@pytest.mark.parametrize(
    "sent",
    [
        b"",
        body(),
        body(part("a", b"1"), part("a", b"2")),
        body(part("paper", b"1", "x"), part("other", b"2", "y")),
        body(part("a", b"\xff")),
        body(part("A B", b"1")),
        body(part("a", b"1")).replace(b"Content-Disposition", b"Content-Kind"),
        body(part("a", b"1")).removesuffix(b"--\r\n"),
        b"before" + body(part("a", b"1")),
        body(*(part(f"a{'_' * n}", b"") for n in range(MOST_FIELDS + 1))),
        body(part("paper", b"x" * (LARGEST_FILE + 1), "x")),
    ],
)
def test_another_body_is_refused(sent: bytes) -> None:
    if sent == body():
        assert sorted_out(sent, BOUNDARY) == ({}, b"")
        return
    with pytest.raises(RequestInvalid):
        sorted_out(sent, BOUNDARY)
