"""Emulators as tests use them: real processes on free ports."""

import signal
import subprocess
import sys
from pathlib import Path
from typing import Self

_STOP_SECONDS = 60  # normally well below one: it gives its last requests two seconds


class Emulator:
    """A running emulator; `words` is its announcement, split, and `said` the lines before it."""

    def __init__(self, name: str, data: Path, *options: str, port: int = 0) -> None:
        self._command = [sys.executable, "-m", f"local.emulators.{name}", "--data", str(data), *options]
        self._port = port
        self.words: list[str] = []
        self.said: list[str] = []
        self.process = self._start()

    @property
    def url(self) -> str:
        """Its HTTP address."""
        return next(word for word in self.words if word.startswith("http://"))

    @property
    def last_word(self) -> str:
        """What the announcement ends with: the SMTP address, or the authority."""
        return self.words[-1]

    def kill(self) -> None:
        """`kill -9`, then wait until it is gone."""
        self.process.kill()
        self.process.wait()
        self._close()

    def restart(self) -> None:
        """Start again on the same port with the same state."""
        self._port = int(self.url.rpartition(":")[2])
        self.process = self._start()

    def stop(self) -> int:
        """SIGTERM; answers the exit code."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        code = self.process.wait(timeout=_STOP_SECONDS)
        self._close()
        return code

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        assert self.stop() == 0, "an emulator did not end cleanly"

    def _start(self) -> subprocess.Popen[str]:
        process = subprocess.Popen([*self._command, "--port", str(self._port)], stdout=subprocess.PIPE, text=True)
        assert process.stdout is not None
        self.said = []
        self.words = process.stdout.readline().split()
        while self.words and "listening" not in self.words:
            self.said.append(" ".join(self.words))
            self.words = process.stdout.readline().split()
        assert "listening" in self.words, f"{self._command} did not start"
        return process

    def _close(self) -> None:
        if self.process.stdout is not None:
            self.process.stdout.close()
