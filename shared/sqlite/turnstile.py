"""Whose turn it is to write, decided fairly between processes.

SQLite's own write lock is unfair: the process that just released it usually takes it again (measured: one of four
writers took every turn). Two advisory locks make a turnstile. A process first takes the queue lock, then, still holding
it, waits for the writer lock; whoever just wrote finds the queue lock taken by the next in line and has to stand behind
it. The kernel frees both when a process dies, so `kill -9` leaves nothing locked.
"""

import fcntl
import os
from pathlib import Path
from typing import Protocol


class Turn(Protocol):
    """The right to write, held by one process at a time."""

    def try_enter(self) -> bool:
        """Take the turn if that needs no waiting."""
        ...

    def enter(self) -> None:
        """Take the turn, waiting in this thread for as long as it takes."""
        ...

    def leave(self) -> None:
        """Give the turn, and any place in the queue, to the next; harmless when there is none."""
        ...

    def close(self) -> None:
        """Give everything up for good."""
        ...


class Turnstile:
    """A fair, crash-safe `Turn` made of two `flock` files beside the database.

    :param path: the database file; the locks are `{path}.queue` and `{path}.turn`
    """

    def __init__(self, path: Path) -> None:
        self._queue = os.open(f"{path}.queue", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        self._turn = os.open(f"{path}.turn", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        self._queued = False
        self._entered = False

    def try_enter(self) -> bool:
        """Take the turn if that needs no waiting; otherwise a place won in the queue is kept for `enter`."""
        if not self._queued:
            self._queued = _try_lock(self._queue)
        if self._queued and _try_lock(self._turn):
            self._entered = True
            self._leave_queue()
        return self._entered

    def enter(self) -> None:
        """Take the turn, waiting in this thread for as long as it takes."""
        if not self._queued:
            fcntl.flock(self._queue, fcntl.LOCK_EX)
            self._queued = True
        fcntl.flock(self._turn, fcntl.LOCK_EX)
        self._entered = True
        self._leave_queue()

    def leave(self) -> None:
        """Give the turn, and any place in the queue, to the next; harmless when there is none."""
        if self._entered:
            self._entered = False
            fcntl.flock(self._turn, fcntl.LOCK_UN)
        self._leave_queue()

    def close(self) -> None:
        """Give everything up for good."""
        self.leave()
        os.close(self._queue)
        os.close(self._turn)

    def _leave_queue(self) -> None:
        if self._queued:
            self._queued = False
            fcntl.flock(self._queue, fcntl.LOCK_UN)


def _try_lock(file: int) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
