"""The change feed in latest-version mode (https://learn.microsoft.com/azure/cosmos-db/change-feed-modes)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from local.emulators.cosmos.account import Account
from local.emulators.cosmos.documents import COLUMNS, Stored
from local.emulators.cosmos.errors import Refused, unsupported
from local.emulators.cosmos.requests import moment_in
from local.emulators.cosmos.scopes import Scope

NEWEST = "*"
_POSITION_DIGITS_MAX = 18  # what a column of the database holds


@dataclass(frozen=True, slots=True)
class Changes:
    """Documents in the order of their last change.

    :param position: transaction up to which the feed has been read
    """

    documents: Sequence[Stored]
    position: int


def changes(account: Account, scope: Scope, headers: Mapping[str, str], limit: int) -> Changes:
    """The next changes after `If-None-Match`, from the beginning without it.

    A transaction is never cut in two, so there may be more than `limit`
    (https://learn.microsoft.com/azure/cosmos-db/nosql/change-feed-processor, "transactions").

    :raises Refused: 400, a position that is none of ours; 501, the mode with deletes
    """
    if headers["a-im"].lower() != "incremental feed":
        raise unsupported(f"the change feed mode {headers['a-im']!r}")
    latest = _latest(account, scope)
    asked = headers.get("if-none-match")
    if asked == NEWEST:
        return Changes([], latest)
    after, since = position_in(asked), _since(headers.get("if-modified-since"))
    where, parameters = scope.sql()
    sql = (
        f"SELECT {COLUMNS} FROM documents WHERE {where} AND lsn > ? AND ts >= ? "  # noqa: S608 - our own text
        "AND (expires_at IS NULL OR expires_at > ?) ORDER BY lsn, step LIMIT ?"
    )
    now = account.timestamp()
    found = [Stored(*row) for row in account.select(sql, (*parameters, after, since, now, limit + 1))]
    if len(found) <= limit:
        return Changes(found, max(latest, after))
    last = found[limit - 1].lsn
    if found[limit].lsn == last:
        rest = sql.replace("lsn > ?", "lsn = ?")
        whole = [Stored(*row) for row in account.select(rest, (*parameters, last, since, now, -1))]
        found = [stored for stored in found if stored.lsn < last] + whole
        return Changes(found, last)
    return Changes(found[:limit], last)


def position_in(etag: str | None) -> int:
    """The position an etag of the feed stands for.

    :raises Refused: 400
    """
    if etag is None:
        return 0
    text = etag.strip('"')
    if not text.isdecimal() or len(text) > _POSITION_DIGITS_MAX:
        raise Refused(400, f"If-None-Match {etag} is not a position in the change feed.")
    return int(text)


def _latest(account: Account, scope: Scope) -> int:
    rows = account.select("SELECT lsn FROM containers WHERE number = ?", (scope.container.number,))
    return int(rows[0][0]) if rows else 0


def _since(header: str | None) -> int:
    if header is None:
        return 0
    try:
        return int(moment_in(header).timestamp())
    except ValueError:
        raise Refused(400, f"If-Modified-Since {header!r} is not a date.") from None
