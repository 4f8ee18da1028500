"""NCRONTAB: when a timer is due, in UTC.

Six fields, seconds first; `cronsim` reads them. One rule differs: with both a day of the month and a day of the week
given, cron takes either, NCRONTAB wants both (https://github.com/atifaziz/NCrontab/wiki/Crontab-Expression).
"""

from datetime import UTC, datetime, timedelta

from cronsim import CronSim, CronSimError

_SEARCH_OCCURRENCES_MAX = 5_000


class ScheduleRefused(Exception):
    """The text is no NCRONTAB expression, or one that is never due."""


class Schedule:
    """A parsed NCRONTAB expression.

    :param expression: six fields, or five, which means second 0
    :raises ScheduleRefused: it cannot be read, or is never due
    """

    def __init__(self, expression: str) -> None:
        self.expression = expression
        fields = expression.split()
        if len(fields) == 1 and ":" in expression:
            raise ScheduleRefused(f"the schedule `{expression}` is a time span; those need an App Service plan")
        if len(fields) == 5:
            fields = ["0", *fields]
        self._weekdays: frozenset[int] | None = None
        try:
            if len(fields) == 6 and not fields[3].startswith("*") and not fields[5].startswith("*"):
                parsed = CronSim(" ".join(["0", "0", "0", "*", "*", fields[5]]), datetime.now(UTC))
                self._weekdays = frozenset(day % 7 for day in parsed.weekdays if isinstance(day, int))
                fields[5] = "*"
            self._fields = " ".join(fields)
            self.next_after(datetime.now(UTC))
        except (CronSimError, StopIteration) as error:
            raise ScheduleRefused(f"`{expression}` is not an NCRONTAB schedule: {error}") from None

    def next_after(self, moment: datetime) -> datetime:
        """The first occurrence later than `moment`.

        :raises ScheduleRefused: none within the search bound (an impossible date)
        """
        return self._first(CronSim(self._fields, moment.astimezone(UTC)))

    def last_before(self, moment: datetime) -> datetime:
        """The last occurrence earlier than `moment`.

        :raises ScheduleRefused: none within the search bound (an impossible date)
        """
        return self._first(CronSim(self._fields, moment.astimezone(UTC), reverse=True))

    def _first(self, occurrences: CronSim) -> datetime:
        for _ in range(_SEARCH_OCCURRENCES_MAX):
            occurrence = next(occurrences)
            if self._weekdays is None or occurrence.isoweekday() % 7 in self._weekdays:
                return occurrence
        raise ScheduleRefused(f"`{self.expression}` is never due")

    def interval_seconds(self, moment: datetime) -> float:
        """Between the next two occurrences after `moment`."""
        first = self.next_after(moment)
        return (self.next_after(first) - first) / timedelta(seconds=1)
