"""JSON or text that a person or a stranger wrote to a file: read whole, or refused with the place to be mended."""

import json
from pathlib import Path

from hdex.ledger.document import load
from hdex.node.documents import Document
from hdex.node.errors import ConfigInvalid

LARGEST = 64 * 2**20  # bytes


def read_object(path: Path) -> Document:
    """Return the JSON object in a file. Raises ConfigInvalid."""
    raw = read_bytes(path)
    try:
        found = load(raw)
    except json.JSONDecodeError as error:
        where = f"line {error.lineno}, column {error.colno}"
        raise ConfigInvalid(f"{path} is not JSON: {error.msg} at {where}; mend it there") from error
    except UnicodeDecodeError as error:
        raise ConfigInvalid(f"{path} is not JSON: it is no text in UTF-8; save it as UTF-8") from error
    except ValueError as error:
        raise ConfigInvalid(f"{path} is not JSON as it is read here: {error}") from error
    if not isinstance(found, dict):
        raise ConfigInvalid(f"{path} holds no JSON object but another value; write {{...}} around named fields")
    return found


def read_text(path: Path) -> str:
    """Return the text of a file. Raises ConfigInvalid."""
    try:
        return read_bytes(path).decode()
    except UnicodeDecodeError as error:
        raise ConfigInvalid(f"{path} is no text in UTF-8; save it as UTF-8") from error


def read_bytes(path: Path) -> bytes:
    """Return the bytes of a file that is not too large to be read whole. Raises ConfigInvalid."""
    try:
        with path.open("rb") as file:
            raw = file.read(LARGEST + 1)
    except OSError as error:
        raise ConfigInvalid(f"{path} cannot be read: {error.strerror}") from error
    if len(raw) > LARGEST:
        raise ConfigInvalid(f"{path} is larger than {LARGEST >> 20} MiB; name the file that was asked for")
    return raw
