"""Who is signed in at the provider itself, browser by browser."""

from dataclasses import dataclass

from local.emulators.database import Database
from local.emulators.entra.secrets import digest, random_text
from local.emulators.entra.users import User, Users

SCHEMA = """
CREATE TABLE IF NOT EXISTS sessions (
    hash TEXT PRIMARY KEY,
    line TEXT NOT NULL,
    user_id TEXT NOT NULL,
    began_at REAL NOT NULL,
    seen_at REAL NOT NULL
);
"""
IDLE_SECONDS_MAX = 8 * 3600
LIFE_SECONDS_MAX = 24 * 3600


@dataclass(frozen=True, slots=True)
class Session:
    """A browser that somebody signed in with.

    :param line: what stays the same when the same person signs in again there; refresh families belong to it
    """

    line: str
    user: User
    began_at: float


class Sessions:
    """The sessions; a browser's cookie names one, and only its digest is kept."""

    def __init__(self, database: Database, users: Users) -> None:
        self._database = database
        self._users = users

    def find(self, secret: str | None, *, now: float) -> Session | None:
        """The session of a cookie, while it lasts and its user may be signed in."""
        row = None if not secret else self._database.one("SELECT * FROM sessions WHERE hash = ?", digest(secret))
        if row is None or now - row["seen_at"] > IDLE_SECONDS_MAX or now - row["began_at"] > LIFE_SECONDS_MAX:
            return None
        user = self._users.get(row["user_id"])
        if user is None or not still_valid(user, row["began_at"]):
            return None
        self._database.change("UPDATE sessions SET seen_at = ? WHERE hash = ?", now, row["hash"])
        return Session(row["line"], user, row["began_at"])

    def begin(self, user: User, *, before: Session | None, now: float) -> tuple[str, Session]:
        """A new session under a secret never seen before, whatever the browser had: nobody can have planted it."""
        line = before.line if before is not None and before.user.id == user.id else random_text()
        secret = random_text()
        self._database.change("DELETE FROM sessions WHERE began_at < ?", now - LIFE_SECONDS_MAX)
        self._database.change("INSERT INTO sessions VALUES (?, ?, ?, ?, ?)", digest(secret), line, user.id, now, now)
        return secret, Session(line, user, now)

    def end(self, secret: str | None) -> None:
        """Forget a session."""
        self._database.change("DELETE FROM sessions WHERE hash = ?", digest(secret or ""))


def still_valid(user: User, began_at: float) -> bool:
    """Whether what a user began then has not been ended since."""
    return user.enabled and began_at > user.sessions_valid_from
