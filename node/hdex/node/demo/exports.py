"""The exports named by `--data`: looked at before anything starts, so that a wrong folder leaves nothing behind."""

from collections.abc import Sequence
from pathlib import Path

from hdex.node.demo.setting import HOSPITALS
from hdex.node.errors import ConfigInvalid
from hdex.node.sources.errors import SourceError, SourceUnknown
from hdex.node.sources.read import exported_files


def require_exports(folders: Sequence[Path]) -> dict[str, Path]:
    """Return hospital -> its export, by their order; none for the exports that the product makes itself.

    Raises ConfigInvalid for another number of folders, SourceUnknown for one that is absent or holds nothing we read.
    """
    if not folders:
        return {}
    if len(folders) != len(HOSPITALS):
        raise ConfigInvalid(f"--data names {len(folders)} folders; the story has {len(HOSPITALS)} hospitals, one each")
    for hospital, folder in zip(HOSPITALS, folders, strict=True):
        require_readable(hospital, folder)
    return dict(zip(HOSPITALS, (folder.resolve() for folder in folders), strict=True))


def require_readable(hospital: str, folder: Path) -> None:
    """Raise SourceUnknown unless `folder` is there and every file in it is of a kind that a source reads."""
    if not folder.exists():
        raise SourceUnknown(f"{hospital}: there is no folder {folder}")
    try:
        exported_files(folder)
    except SourceError as error:
        raise SourceUnknown(f"{hospital}, {folder}: {error}") from error
