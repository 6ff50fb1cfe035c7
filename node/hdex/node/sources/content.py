"""A file whose bytes are no table is refused before a reader sees it: genome, pictures, documents, archives."""

from pathlib import Path

from hdex.deid.content import require_readable


def refuse_other_content(path: Path) -> None:
    """Raise hdex.deid.errors.ContentRefused, with kind, level and reason, for an export that holds such a file."""
    for file in sorted(path.iterdir()) if path.is_dir() else [path]:
        if file.is_file():
            require_readable(file)
