"""Deadlines in working days: weekends, public holidays and the days worked instead, from data. Pure.

Days are those of one fixed offset from UTC: a deadline ends with the local day.
"""

from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta, timezone

MOST_DAYS = 366


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkCalendar:
    """Which days count. weekend: 0 is Monday; worked: weekend days that count all the same; settled: the years whose
    holidays are all known.
    """

    utc_offset_hours: float
    weekend: frozenset[int] = frozenset({5, 6})
    holidays: frozenset[date] = frozenset()
    worked: frozenset[date] = frozenset()
    settled: frozenset[int] = frozenset()

    def is_working(self, day: date) -> bool:
        """Return whether a day counts."""
        return day in self.worked or (day.weekday() not in self.weekend and day not in self.holidays)

    def due(self, since: datetime, days: int) -> datetime:
        """Return the end of the `days`-th working day after the day of `since`, UTC; since: with zone, days: from 1."""
        zone = timezone(timedelta(hours=self.utc_offset_hours))
        day = since.astimezone(zone).date()
        for _ in range(min(days, MOST_DAYS)):
            day = self._next(day)
        return datetime.combine(day + timedelta(days=1), time(), zone).astimezone(UTC)

    def unsettled(self, since: datetime, days: int) -> tuple[int, ...]:
        """Return the years that a deadline of `days` working days from `since` reaches and whose holidays are not all
        known.
        """
        reached = range(since.year, self.due(since, days).year + 1)
        return tuple(year for year in reached if year not in self.settled)

    def _next(self, day: date) -> date:
        for _ in range(MOST_DAYS):
            day += timedelta(days=1)
            if self.is_working(day):
                break
        return day
