"""An audit's report as one file that loads nothing: HTML in English and Chinese, or JSON."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from hdex.node.durable import write_atomic
from hdex.node.errors import ConfigInvalid
from hdex.node.web.auditor_words import LANGUAGES, AuditWords
from hdex.node.web.page_templates import render, style_sheet


def write_report(path: Path, document: Mapping[str, Any]) -> None:
    """Write a report document, by the file's ending. Raises ConfigInvalid for another than .html or .json."""
    if path.suffix == ".html":
        content = render_report(document)
    elif path.suffix == ".json":
        content = json.dumps(document, indent=1, ensure_ascii=False) + "\n"
    else:
        raise ConfigInvalid(f"a report is .html or .json, not {path.suffix or 'without an ending'}")
    write_atomic(path, content.encode(), mode=0o644)


def render_report(document: Mapping[str, Any]) -> str:
    """Return the report as one page that holds both languages; a style sheet switches, no script."""
    voices = [AuditWords(lang) for lang in LANGUAGES]
    return render("auditor_report_file.html", voices[0], report=document, voices=voices, style=style_sheet())
