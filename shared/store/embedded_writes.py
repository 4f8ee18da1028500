"""The four kinds of write as SQL, run inside the writer's transaction."""

import sqlite3
from collections.abc import Sequence

import orjson

from shared.store.conditions import holds
from shared.store.documents import check_size, dumps, patched
from shared.store.port import (
    AlreadyExists,
    CommitRefused,
    ConditionFailed,
    Create,
    Delete,
    NotFound,
    Patch,
    Replace,
    StaleWrite,
    Write,
)

_NUMBERS = "UPDATE sequence SET value = value + ? RETURNING value"
_CREATE = """
INSERT INTO documents (container, partition, id, body, seq, created_at, changed_at, ttl_seconds, expires_at)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)
ON CONFLICT DO UPDATE SET body = excluded.body, seq = excluded.seq, created_at = excluded.created_at,
  changed_at = excluded.changed_at, ttl_seconds = excluded.ttl_seconds, expires_at = excluded.expires_at
WHERE documents.expires_at <= excluded.changed_at
"""
_REPLACE = """
UPDATE documents SET body = ?, seq = ?, changed_at = ?, ttl_seconds = ?, expires_at = ?
WHERE container = ? AND partition = ? AND id = ? AND (expires_at IS NULL OR expires_at > ?) AND seq = ?
"""
_PATCH_READ = """
SELECT body, ttl_seconds FROM documents
WHERE container = ? AND partition = ? AND id = ? AND (expires_at IS NULL OR expires_at > ?)
"""
_PATCH_WRITE = """
UPDATE documents SET body = ?, seq = ?, changed_at = ?, expires_at = ?
WHERE container = ? AND partition = ? AND id = ?
"""
_DELETE = """
DELETE FROM documents
WHERE container = ? AND partition = ? AND id = ? AND (expires_at IS NULL OR expires_at > ?) AND (? IS NULL OR seq = ?)
"""
_EXISTS = """
SELECT 1 FROM documents WHERE container = ? AND partition = ? AND id = ? AND (expires_at IS NULL OR expires_at > ?)
"""


def apply(
    writer: sqlite3.Connection,
    container: str,
    partition: str,
    writes: Sequence[Write],
    bodies: Sequence[str],
    now: float,
) -> list[str]:
    """Apply a commit's writes in order; the new etags.

    :param bodies: for each `Create` and `Replace` its JSON, for the others anything
    :param now: seconds since the epoch
    :raises CommitRefused: a write refused; the caller rolls back
    """
    (last,) = writer.execute(_NUMBERS, (len(writes),)).fetchone()
    seq = last - len(writes)
    etags = []
    for index, write in enumerate(writes):
        seq += 1
        key = (container, partition, write.id)
        try:
            match write:
                case Create():
                    _create(writer, key, write, bodies[index], seq, now)
                case Replace():
                    _replace(writer, key, write, bodies[index], seq, now)
                case Patch():
                    _patch(writer, key, write, seq, now)
                case Delete():
                    _delete(writer, key, write, now)
        except CommitRefused as refusal:
            refusal.index = index
            raise
        etags.append("" if isinstance(write, Delete) else str(seq))
    return etags


type _Key = tuple[str, str, str]


def _create(writer: sqlite3.Connection, key: _Key, write: Create, body: str, seq: int, now: float) -> None:
    ttl = write.ttl_seconds
    row = (*key, body, seq, now, now, ttl, None if ttl is None else now + ttl)
    if writer.execute(_CREATE, row).rowcount == 0:
        raise AlreadyExists(f"{write.id!r} exists in {key[0]}/{key[1]}.")


def _replace(writer: sqlite3.Connection, key: _Key, write: Replace, body: str, seq: int, now: float) -> None:
    ttl = write.ttl_seconds
    row = (body, seq, now, ttl, None if ttl is None else now + ttl, *key, now, _version(write.etag))
    if writer.execute(_REPLACE, row).rowcount == 0:
        raise _stale_or_gone(writer, key, now)


def _patch(writer: sqlite3.Connection, key: _Key, write: Patch, seq: int, now: float) -> None:
    found = writer.execute(_PATCH_READ, (*key, now)).fetchone()
    if found is None:
        raise NotFound(f"No {write.id!r} in {key[0]}/{key[1]}.")
    value = orjson.loads(found[0])
    for condition in write.conditions:
        if not holds(value, condition):
            raise ConditionFailed(
                f"{write.id!r}: {condition.path} {condition.operator} {condition.value!r} does not hold."
            )
    body = dumps(patched(value, write))
    check_size([body])
    ttl = found[1]
    writer.execute(_PATCH_WRITE, (body, seq, now, None if ttl is None else now + ttl, *key))


def _delete(writer: sqlite3.Connection, key: _Key, write: Delete, now: float) -> None:
    version = None if write.etag is None else _version(write.etag)
    gone = writer.execute(_DELETE, (*key, now, version, version)).rowcount
    if gone == 0:
        raise _stale_or_gone(writer, key, now)


def _stale_or_gone(writer: sqlite3.Connection, key: _Key, now: float) -> CommitRefused:
    if writer.execute(_EXISTS, (*key, now)).fetchone() is None:
        return NotFound(f"No {key[2]!r} in {key[0]}/{key[1]}.")
    return StaleWrite(f"{key[2]!r} in {key[0]}/{key[1]} changed since it was read.")


def _version(etag: str) -> int:
    """The sequence number behind an etag; one that is not ours matches no document."""
    return int(etag) if etag.isdecimal() and len(etag) < 19 else -1
