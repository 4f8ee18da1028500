"""Several workers behind one socket: started, watched, started again, ended in order.

A worker is a fresh interpreter that inherits the listening socket, and the read end of a pipe whose write end only the
supervisor has: should the supervisor be killed, the pipe ends and the workers end with it.
"""

import asyncio
import logging
import os
import signal
import socket
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from local.host.errors import EXIT_FORCED, EXIT_REFUSED
from local.host.settings import SHUTDOWN_SECONDS

log = logging.getLogger("local.host")

_BACKOFF_FIRST_SECONDS = 0.1
_BACKOFF_MAX_SECONDS = 5.0
_STEADY_SECONDS = 10.0  # a worker that lived this long starts again without a growing delay
_GRACE_SECONDS = SHUTDOWN_SECONDS + 5.0
_ROOT = Path(__file__).resolve().parent.parent.parent


class Supervisor:
    """Keeps `count` workers alive until a signal.

    :param listener: bound and listening
    :param arguments: the command line of this process, handed on
    """

    def __init__(self, listener: socket.socket, count: int, arguments: Sequence[str], *, started_at: str) -> None:
        self._listener = listener
        self._count = count
        self._arguments = arguments
        self._started_at = started_at
        self._stopping = asyncio.Event()
        self._running: dict[int, asyncio.subprocess.Process] = {}
        self._exit_code = 0

    async def run(self) -> int:
        """Supervise; returns the exit code: 0 after an orderly end, `EXIT_REFUSED` when the app cannot be run."""
        read_end, write_end = os.pipe()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._on_signal, number)
        try:
            await asyncio.gather(*(self._keep(index, read_end) for index in range(self._count)))
        finally:
            os.close(read_end)
            os.close(write_end)
        return self._exit_code

    async def _keep(self, index: int, read_end: int) -> None:
        delay = _BACKOFF_FIRST_SECONDS
        while not self._stopping.is_set():
            began = time.monotonic()
            code = await self._run_worker(index, read_end)
            if self._stopping.is_set():
                return
            if code == EXIT_REFUSED:
                self._exit_code = code
                self._stop_all(signal.SIGTERM)
                return
            if time.monotonic() - began > _STEADY_SECONDS:
                delay = _BACKOFF_FIRST_SECONDS
            log.error("Worker ended, starting it again", extra={"worker": index, "code": code, "delay": delay})
            await self._pause(delay)
            delay = min(_BACKOFF_MAX_SECONDS, delay * 2)

    async def _run_worker(self, index: int, read_end: int) -> int:
        descriptor = self._listener.fileno()
        inner = ["--worker-index", str(index), "--socket-fd", str(descriptor), "--parent-pipe", str(read_end)]
        path = os.pathsep.join(filter(None, [str(_ROOT), os.environ.get("PYTHONPATH")]))
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "local.host",
            *self._arguments,
            *inner,
            "--started-at",
            self._started_at,
            pass_fds=(descriptor, read_end),
            env={**os.environ, "PYTHONPATH": path},
            process_group=0,  # a Ctrl-C in the terminal reaches the supervisor alone, which then asks the workers once
        )
        self._running[index] = process
        if self._stopping.is_set():
            process.terminate()
        try:
            return await process.wait()
        finally:
            del self._running[index]

    async def _pause(self, seconds: float) -> None:
        try:
            async with asyncio.timeout(seconds):
                await self._stopping.wait()
        except TimeoutError:
            return

    def _on_signal(self, number: signal.Signals) -> None:
        if self._stopping.is_set():
            log.warning("Second %s: ending at once", number.name)
            self._kill_all()
            os._exit(EXIT_FORCED)
        self._stop_all(signal.SIGTERM)

    def _stop_all(self, number: signal.Signals) -> None:
        self._stopping.set()
        for process in self._running.values():
            process.send_signal(number)
        asyncio.get_running_loop().call_later(_GRACE_SECONDS, self._kill_all)

    def _kill_all(self) -> None:
        for process in self._running.values():
            log.error("Worker does not end, killing it", extra={"pid": process.pid})
            process.kill()
