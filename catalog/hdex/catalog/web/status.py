"""How the exchange stands, for everybody: plain values that the node hands over, and the same as JSON.

It names who cosigned a checkpoint, because the checkpoint itself does; of members it tells counts only.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum

from hdex.catalog.documents import Json


class Trouble(StrEnum):
    """What keeps an exchange from doing all of its work."""

    LOG_FAILED = "log_failed"  # its writer failed: nothing is agreed or released
    UNWITNESSED = "unwitnessed"  # too few cosignatures, or they are of an old head
    CHAIN_AWAY = "chain_away"  # no chain answers, or none is named
    ANCHOR_LATE = "anchor_late"  # an entry has waited long for its anchor
    HOSPITALS_AWAY = "hospitals_away"  # some hospitals hold no line now
    INDEX_AWAY = "index_away"  # the catalogue's index does not answer


class Health(StrEnum):
    """What it comes to."""

    SERVING = "serving"
    DEGRADED = "degraded"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Cosigned:
    """One witness's line under the newest checkpoint."""

    witness: str
    at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class LogShown:
    """The exchange's own log. `checkpoint` is the note as its witnesses signed it; root in hex."""

    origin: str
    size: int
    cosigned_size: int
    root: str
    checkpoint: str
    cosigned: tuple[Cosigned, ...]
    asked: int  # witnesses that are asked to cosign


@dataclass(frozen=True, slots=True, kw_only=True)
class AnchorShown:
    """Where the newest anchored head stands on chain. waited: how long the oldest entry beyond it has."""

    size: int
    block: int | None
    waited: timedelta


@dataclass(frozen=True, slots=True, kw_only=True)
class MembersShown:
    """Participants of one role. `online` is None where nobody holds a line that would tell."""

    role: str
    listed: int
    online: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ExchangeStatus:
    """Everything that the page tells. listed and newest: what the index answers, None where it does not."""

    version: str
    at: datetime
    since: datetime
    log: LogShown
    anchor: AnchorShown | None
    members: tuple[MembersShown, ...]
    listed: int | None
    newest: str | None
    troubles: tuple[Trouble, ...] = ()

    @property
    def health(self) -> Health:
        """Return what the troubles come to."""
        if Trouble.LOG_FAILED in self.troubles or Trouble.INDEX_AWAY in self.troubles:
            return Health.FAILED
        return Health.DEGRADED if self.troubles else Health.SERVING


def status_document(status: ExchangeStatus) -> Json:
    """Return the same as JSON; times in UTC."""
    log, anchor = status.log, status.anchor
    cosigned = [{"witness": one.witness, "at": moment(one.at)} for one in log.cosigned]
    members = [{"role": one.role, "listed": one.listed, "online": one.online} for one in status.members]
    shown_log = {
        "origin": log.origin,
        "size": log.size,
        "cosigned_size": log.cosigned_size,
        "root": log.root,
        "checkpoint": log.checkpoint,
        "cosigned": cosigned,
        "witnesses_asked": log.asked,
    }
    shown_anchor = None
    if anchor is not None:
        waited = round(anchor.waited.total_seconds(), 1)
        shown_anchor = {"size": anchor.size, "block": anchor.block, "waited_s": waited}
    return {
        "health": status.health.value,
        "troubles": [one.value for one in status.troubles],
        "version": status.version,
        "at": moment(status.at),
        "since": moment(status.since),
        "log": shown_log,
        "anchor": shown_anchor,
        "members": members,
        "catalogue": {"listed": status.listed, "newest": status.newest},
    }


def moment(time: datetime) -> str:
    """Return a time as RFC 3339 in UTC, to the second."""
    return f"{time.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"


def age(span: timedelta, units: Sequence[str]) -> str:
    """Return a span in the unit a person would choose; units: day, hour, minute, second in the reader's words."""
    seconds = max(0, int(span.total_seconds()))
    for unit, name in zip((86400, 3600, 60), units, strict=False):
        if seconds >= unit:
            return f"{seconds // unit} {name}"
    return f"{seconds} {units[3]}"
