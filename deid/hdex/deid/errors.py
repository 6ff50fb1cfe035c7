"""Errors of de-identification.

DeidError
├── InputInvalid          the table or file is not one we can work on (also a ValueError)
│   ├── ArgumentInvalid   the caller asks for what cannot be: a column that is not there, k below 1
│   │   └── DomainTooSmall format-preserving encryption over fewer than 10^6 values
│   └── ReleaseUnreadable the independent verifier cannot read the released file
├── PolicyInvalid         a policy or scheme file says what we do not understand (also a ValueError)
├── HierarchyIncomplete   a generalisation hierarchy misses a value its column holds
├── RiskTooHigh           the release would be above its preset's ceiling; carries found and asked
├── ResidueFound          an identifier of some patient is still in the output; carries the count
├── DetectorTimeout       a recogniser did not finish: the text counts as unread and is not released
├── LinkInvalid           tables cannot be joined to patients
├── ReleaseRefused        the level or role of something does not let it leave
├── TokenInvalid          a reversible pseudonym does not open: altered, or of another key, project or column
├── LinkageRefused        records of two hospitals are not linked on these terms
├── RegisterRefused       with earlier releases of its table a release shows small groups; carries rule and next step
├── CohortRefused         counts of a cohort cannot be told by the dimensions asked
└── ContentRefused        a file or attachment is, by its content, of a kind that is not read; carries kind and level

A message says what was found and what was asked, never a value from a record.
"""

from __future__ import annotations


class DeidError(Exception):
    """Something this room refuses or cannot do."""


class InputInvalid(DeidError, ValueError):
    """The table or file is not one we can work on."""


class ArgumentInvalid(InputInvalid):
    """The caller asks for what cannot be."""


class ReleaseUnreadable(InputInvalid):
    """The independent verifier cannot read the released file."""


class PolicyInvalid(DeidError, ValueError):
    """A policy, preset or scheme says what we do not understand."""


class HierarchyIncomplete(DeidError):
    """A hierarchy misses a value that its column holds."""


class RiskTooHigh(DeidError):
    """The release would be above its ceiling. Nothing is stored.

    measure: the name of the risk measure; found and asked: its value and the ceiling (or floor, for k). because: what
    the message adds.
    """

    def __init__(
        self, measure: str, *, found: float, asked: float, preset: str = "", next_step: str = "", because: str = ""
    ) -> None:
        self.measure = measure
        self.next_step = next_step
        self.found = found
        self.asked = asked
        self.preset = preset
        under = f" under preset {preset}" if preset else ""
        super().__init__(f"{measure} is {found:g}, asked is {asked:g}{under}{': ' if because else ''}{because}")


class ResidueFound(DeidError):
    """An identifier of a patient of this node is still in the output. Nothing is stored."""

    def __init__(self, hits: int, *, where: str = "") -> None:
        self.hits = hits
        self.where = where
        super().__init__(f"{hits} identifier values are left in {where or 'the output'}, 0 are allowed")


class DetectorTimeout(DeidError):
    """A recogniser did not finish in time: the text is not released."""


class LinkInvalid(DeidError):
    """Tables cannot be joined to patients."""


class ReleaseRefused(DeidError):
    """The level or role of an element does not let it leave."""


class CohortRefused(DeidError):
    """Counts of a cohort cannot be told by the dimensions that are asked."""


class ContentRefused(DeidError):
    """What the bytes are, whatever the name says, is not taken: genome, image, document, archive."""

    def __init__(self, where: str, *, kind: str, level: int, reason: str) -> None:
        self.where = where
        self.kind = kind
        self.level = level
        super().__init__(f"{where} is {kind} by its content, level {level}: {reason}")


class DomainTooSmall(ArgumentInvalid):
    """Format-preserving encryption over fewer than 10^6 values: all of them could be tried."""


class TokenInvalid(DeidError):
    """A reversible pseudonym does not open: it was altered, or made under another key, project or column."""


class LinkageRefused(DeidError):
    """Records of two hospitals are not linked on these terms."""


class RegisterRefused(DeidError):
    """Together with earlier releases of the same table, a release would show groups that are too small.

    rule: which comparison failed; found and asked: the smallest group and what it must have; next_step: how to mend it.
    """

    def __init__(self, rule: str, *, found: int, asked: int, where: str, next_step: str) -> None:
        self.rule = rule
        self.found = found
        self.asked = asked
        self.next_step = next_step
        super().__init__(f"{where}: the smallest group has {found} patients, asked are 0 or at least {asked}")
