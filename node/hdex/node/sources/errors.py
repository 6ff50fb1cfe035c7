"""What can be wrong with what a hospital exports.

SourceError
├── SourceBroken        a file is damaged; names file and line
├── SourceUnknown       a file or a folder is of no kind we read
├── OverrideInvalid     dialect.toml asks for what does not exist
├── MappingInvalid      a mapping document does not fit the model or the export
├── MappingIncomplete   a field the model needs has no column, a value no translation, too many rows do not fit
├── ViewInvalid         an analysis view is not well declared
├── ViewImpossible      the common model lacks what a view needs
└── ConsentInvalid      a consent row cannot be understood

Messages name files, lines, columns and counts, never a value of a record.
"""


class SourceError(Exception):
    """Something between the export and the analysis view is not as it must be."""


class SourceBroken(SourceError):
    """A file is damaged; nothing of it was taken."""

    def __init__(self, file: str, line: int | None, why: str) -> None:
        self.file = file
        self.line = line
        self.why = why
        place = file if line is None else f"{file}, line {line}"
        super().__init__(f"{place}: {why}")


class SourceUnknown(SourceError):
    """A file or folder is of no kind we read."""


class OverrideInvalid(SourceError):
    """dialect.toml asks for what does not exist."""


class MappingInvalid(SourceError):
    """A mapping document does not fit the model or the export."""


class MappingIncomplete(SourceError):
    """A needed field has no column, a value no translation, or too many rows do not fit."""


class ViewInvalid(SourceError):
    """An analysis view is not well declared."""


class ViewImpossible(SourceError):
    """The common model lacks what the view needs."""


class ConsentInvalid(SourceError):
    """A consent row cannot be understood."""
