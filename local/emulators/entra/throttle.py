"""How often somebody may try something."""

from dataclasses import dataclass

from local.emulators.database import Database

SCHEMA = """
DROP TABLE IF EXISTS tries;
CREATE TABLE IF NOT EXISTS attempts (id INTEGER PRIMARY KEY, key TEXT NOT NULL, at REAL NOT NULL);
CREATE INDEX IF NOT EXISTS attempts_by_key ON attempts (key, at);
CREATE INDEX IF NOT EXISTS attempts_by_age ON attempts (at);
"""


class Throttled(Exception):
    """Too many attempts; `seconds` is after how long it is worth another."""

    def __init__(self, seconds: float) -> None:
        super().__init__(f"again in {seconds:.0f} s")
        self.seconds = seconds


@dataclass(frozen=True, slots=True)
class Limit:
    """At most `attempts` within `window_seconds`, for each key of a `kind`."""

    kind: str
    attempts: int
    window_seconds: int


WRONG_PASSWORDS_OF_ACCOUNT = Limit("password-of-account", 5, 60)
WRONG_PASSWORDS_FROM_ADDRESS = Limit("password-from-address", 50, 60)
MAILS_TO_ADDRESS = Limit("mails-to", 3, 600)
MAILS_FROM_ADDRESS = Limit("mails-from", 30, 600)
_WINDOW_SECONDS_MAX = 600


class Throttle:
    """Counted attempts. They are counted before the work they allow, so that parallel ones count too."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def spend(self, *wanted: tuple[Limit, str], now: float) -> list[int]:
        """Count an attempt against each of `wanted` (a limit and a key), or against none; their ids.

        :raises Throttled: one of the limits is reached
        """
        with self._database.transaction():
            self._database.change("DELETE FROM attempts WHERE at < ?", now - _WINDOW_SECONDS_MAX)
            for limit, key in wanted:
                self._refuse_beyond(limit, f"{limit.kind}:{key}", now)
            return [self._count(f"{limit.kind}:{key}", now) for limit, key in wanted]

    def take_back(self, attempts: list[int]) -> None:
        """Not count attempts that went well."""
        for attempt in attempts:
            self._database.change("DELETE FROM attempts WHERE id = ?", attempt)

    def forget(self, limit: Limit, key: str) -> None:
        """Not count any attempt of a key."""
        self._database.change("DELETE FROM attempts WHERE key = ?", f"{limit.kind}:{key}")

    def _count(self, key: str, now: float) -> int:
        row = self._database.one("INSERT INTO attempts (key, at) VALUES (?, ?) RETURNING id", key, now)
        assert row is not None
        return int(row["id"])

    def _refuse_beyond(self, limit: Limit, key: str, now: float) -> None:
        since = now - limit.window_seconds
        rows = self._database.all("SELECT at FROM attempts WHERE key = ? AND at > ? ORDER BY at", key, since)
        if len(rows) >= limit.attempts:
            raise Throttled(rows[-limit.attempts]["at"] - since)
