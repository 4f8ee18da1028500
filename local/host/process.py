"""A host as a child process: started, waited for, stopped or killed. For tests, benches and the launcher.

with HostProcess.start(app=APP, data=tmp_path, workers=2) as host:
    httpx.get(f"{host.url}/api/hello")
"""

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

_ROOT = Path(__file__).resolve().parent.parent.parent
_POLL_SECONDS = 0.02
READY_SECONDS = 60.0  # a second or two, but on a machine that has a lot to do
STOP_SECONDS = 60.0
PATIENCE_SECONDS = 60.0


class HostFailed(Exception):
    """The host ended, or did not get ready in time; the message holds the end of its output."""


@dataclass(slots=True)
class HostProcess:
    """A running host.

    :param log_path: its stdout and stderr
    :param url: where it answers, without a trailing slash
    :param asked: whether it was asked to stop
    """

    process: subprocess.Popen[bytes]
    log_path: Path
    url: str = ""
    asked: bool = False

    @classmethod
    def start(
        cls,
        *,
        app: Path,
        data: Path,
        port: int = 0,
        workers: int = 1,
        environment: Mapping[str, str] | None = None,
        arguments: Sequence[str] = (),
        log_path: Path | None = None,
        ready_seconds: float = READY_SECONDS,
    ) -> Self:
        """Start a host and return once every worker serves.

        :param port: 0 takes a free one
        :param environment: settings beside this process's own
        :param log_path: default: `host.log` in `data`; appended to
        :raises HostFailed: it ended or was not ready after `ready_seconds`
        """
        data.mkdir(parents=True, exist_ok=True)
        log_path = log_path or data / "host.log"
        command = [sys.executable, "-m", "local.host", "--app", str(app), "--data", str(data), "--port", str(port)]
        with log_path.open("ab") as output:
            seen = output.tell()
            process = subprocess.Popen(
                [*command, "--workers", str(workers), "--quiet", *arguments],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                env=_environment(environment or {}),
                start_new_session=True,  # Ctrl-C in a terminal is for the launcher, which ends its children in order
            )
        host = cls(process, log_path)
        try:
            ready = host.wait_for_log("Worker ready", count=workers, seconds=ready_seconds, offset=seen)
        except BaseException:
            host.kill()
            raise
        host.url = f"http://127.0.0.1:{ready[0]['port']}"
        return host

    def log_entries(self, offset: int = 0) -> list[dict[str, Any]]:
        """The structured log lines from `offset` bytes on; lines that are no JSON object are left out."""
        with self.log_path.open("rb") as file:
            file.seek(offset)
            lines = file.read().splitlines()
        entries = []
        for line in lines:
            with contextlib.suppress(ValueError):
                entry = json.loads(line)
                if isinstance(entry, dict):
                    entries.append(entry)
        return entries

    def wait_for_log(
        self, message: str, *, count: int = 1, seconds: float = PATIENCE_SECONDS, offset: int = 0
    ) -> list[dict[str, Any]]:
        """The first `count` log lines whose message contains `message`, as soon as they are there.

        :raises HostFailed: the host ended first, or they are not there after `seconds`
        """
        found: list[dict[str, Any]] = []

        def there() -> bool:
            found[:] = [entry for entry in self.log_entries(offset) if message in entry.get("message", "")]
            return len(found) >= count

        self.wait_until(there, f"{count} x {message!r} in the log", seconds=seconds)
        return found[:count]

    def wait_until(self, condition: Callable[[], bool], what: str, *, seconds: float = PATIENCE_SECONDS) -> None:
        """Return once `condition` holds.

        :raises HostFailed: the host ended first, or it does not hold after `seconds`
        """
        deadline = time.monotonic() + seconds
        while not condition():
            if self.process.poll() is not None and not condition():
                raise HostFailed(f"The host ended with {self.process.returncode}\n{self._tail()}")
            if time.monotonic() > deadline:
                raise HostFailed(f"Not after {seconds} s: {what}\n{self._tail()}")
            time.sleep(_POLL_SECONDS)

    def worker_pids(self) -> list[int]:
        """The process ids of the workers, in the order they got ready, with those that ended since."""
        return [entry["pid"] for entry in self.log_entries() if entry.get("message") == "Worker ready"]

    def ask_to_stop(self) -> None:
        """Send SIGTERM, once, and return at once; a second one would force the end."""
        if not self.asked and self.process.poll() is None:
            self.asked = True
            self.process.send_signal(signal.SIGTERM)

    def stop(self, seconds: float = STOP_SECONDS) -> int:
        """End in order; returns the exit code. Killed when it takes longer than `seconds`."""
        self.ask_to_stop()
        try:
            return self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            self.kill()
            raise HostFailed(f"Not stopped after {seconds} s\n{self._tail()}") from None

    def kill(self) -> None:
        """`kill -9`, as a power failure would; with several workers, those end by themselves soon after."""
        self.process.kill()
        self.process.wait()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.process.poll() is None:
            self.stop()

    def _tail(self) -> str:
        return self.log_path.read_text(errors="replace")[-4_000:]


def _environment(extra: Mapping[str, str]) -> dict[str, str]:
    path = os.pathsep.join(filter(None, [str(_ROOT), os.environ.get("PYTHONPATH")]))
    return {**os.environ, **extra, "PYTHONPATH": path}
