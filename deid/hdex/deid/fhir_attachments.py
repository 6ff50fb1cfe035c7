"""Bytes inside resources: text is read, anything else is recognised by its content and does not leave."""

from __future__ import annotations

import base64
import binascii

from hdex.deid.content import recognise
from hdex.deid.errors import ContentRefused

_TEXT = ("text/plain", "text/markdown")


def read_attachment(data: str, content_type: object, *, refuse: bool) -> tuple[str | None, str]:
    """Return (text to redact or None, what to count it as).

    data: base64. refuse: raise ContentRefused for genome, picture, document or archive instead of dropping it.
    """
    try:
        content = base64.b64decode("".join(data.split()), validate=True)
    except (binascii.Error, ValueError):
        return None, "damaged, dropped"
    found = recognise(content)
    if found and refuse:
        raise ContentRefused("an attachment", kind=found.kind, level=found.level, reason=found.reason)
    if found is None and isinstance(content_type, str) and content_type.startswith(_TEXT):
        try:
            text = content.decode("utf-8")
        except UnicodeDecodeError:
            return None, "not UTF-8, dropped"
        return (text, "text redacted") if text.strip() else (None, "empty, dropped")
    return None, f"{found.kind if found else 'other'} dropped"
