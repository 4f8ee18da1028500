"""The embedded store's change feed: leases with an owner and a position in the one sequence of changes."""

import sqlite3

import orjson

from shared.store.embedded_file import EmbeddedFile
from shared.store.port import PAGE_MAX, FeedBatch, LeaseLost, Position

_HELD = "SELECT owner, held_until FROM leases WHERE container = ? AND lease = ?"
_ACQUIRE = """
INSERT INTO leases (container, lease, owner, held_until, position) VALUES (?, ?, ?, ?, 0)
ON CONFLICT DO UPDATE SET owner = excluded.owner, held_until = excluded.held_until
WHERE leases.owner = excluded.owner OR leases.held_until <= ?
"""
_POSITION = "SELECT position FROM leases WHERE container = ? AND lease = ? AND owner = ? AND held_until > ?"
_CHANGES = (
    "SELECT id, body, seq, changed_at FROM documents WHERE container = ? AND seq > ? "
    "AND (expires_at IS NULL OR expires_at > ?) ORDER BY seq LIMIT ?"
)
_ADVANCE = (
    "UPDATE leases SET position = max(position, ?) WHERE container = ? AND lease = ? AND owner = ? AND held_until > ?"
)
_RELEASE = "UPDATE leases SET held_until = 0 WHERE container = ? AND lease = ? AND owner = ?"


class EmbeddedFeed(EmbeddedFile):
    """The `ChangeFeed` half of `EmbeddedStore`."""

    async def acquire(self, container: str, lease: str, *, owner: str, seconds: float) -> bool:
        """Take or renew the lease for `seconds`; False while another live owner holds it.

        Costs a write only when less than half of `seconds` is left, so it may be called as often as one likes.
        """
        self._partition_key(container)
        now = self._timestamp()
        held = self._select(_HELD, (container, lease))
        if held and held[0][1] > now:
            holder, until = held[0]
            if holder != owner:
                return False
            if until - now > seconds / 2:
                return True

        def work(writer: sqlite3.Connection) -> bool:
            now = self._timestamp()
            return writer.execute(_ACQUIRE, (container, lease, owner, now + seconds, now)).rowcount == 1

        return await self._write(work)

    async def changes(self, container: str, lease: str, *, owner: str, limit: int) -> FeedBatch | None:
        """The next changes after the lease's position, or None when there are none. Does not move the lease.

        :raises LeaseLost: `owner` no longer holds it
        """
        self._partition_key(container)
        if not 1 <= limit <= PAGE_MAX:
            raise ValueError(f"A batch has 1 to {PAGE_MAX} documents, not {limit}.")
        now = self._timestamp()
        position = self._select(_POSITION, (container, lease, owner, now))
        if not position:
            raise LeaseLost(f"{owner!r} does not hold {lease!r} on {container!r}.")
        rows = self._select(_CHANGES, (container, position[0][0], now, limit))
        if not rows:
            return None
        return FeedBatch(f"[{','.join(_document(*row) for row in rows)}]", rows[-1][2])

    async def advance(self, container: str, lease: str, *, owner: str, position: Position) -> None:
        """Move the lease on, durably; it never moves back.

        :raises LeaseLost: `owner` no longer holds it; the batch will be seen again
        """

        def work(writer: sqlite3.Connection) -> None:
            if writer.execute(_ADVANCE, (position, container, lease, owner, self._timestamp())).rowcount == 0:
                raise LeaseLost(f"{owner!r} does not hold {lease!r} on {container!r}.")

        await self._write(work)

    async def release(self, container: str, lease: str, *, owner: str) -> None:
        """Give the lease up, so that another process need not wait for it to lapse."""
        await self._write(lambda writer: writer.execute(_RELEASE, (container, lease, owner)).rowcount)


def _document(id_: str, body: str, seq: int, changed_at: float) -> str:
    """The stored JSON with its system properties in front: it need not be read to be handed on."""
    rest = "" if body == "{}" else f",{body[1:-1]}"
    return f'{{"id":{orjson.dumps(id_).decode()},"_etag":"{seq}","_ts":{int(changed_at)},"_lsn":{seq}{rest}}}'
