"""Starting, driving and killing worker processes."""

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]


class Worker:
    """One `worker` process.

    :param module: what it runs
    """

    def __init__(self, task: str, path: Path, name: str, *rest: object, module: str = "tests.faults.worker") -> None:
        command = [sys.executable, "-m", module, task, str(path), name, *map(str, rest)]
        self.process = subprocess.Popen(
            command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1
        )

    def wait_ready(self) -> None:
        """Return once the store is open."""
        assert self.line() == "ready"

    def go(self) -> None:
        """Let it work."""
        self.tell("go")

    def tell(self, line: str) -> None:
        """Write a line to its input."""
        assert self.process.stdin is not None
        self.process.stdin.write(f"{line}\n")
        self.process.stdin.flush()

    def line(self) -> Any:
        """The next value it printed."""
        assert self.process.stdout is not None
        return json.loads(self.process.stdout.readline())

    def kill(self) -> list[Any]:
        """`kill -9`; what it had printed and nobody read yet (a line cut short by the kill is none)."""
        assert self.process.stdout is not None
        self.process.kill()
        rest = self.process.stdout.read()
        self.process.wait()
        return [json.loads(line) for line in rest.split("\n")[:-1]]

    def close(self) -> None:
        """End it, if it has not ended, and release its pipes."""
        if self.process.poll() is None:
            self.process.kill()
        for pipe in (self.process.stdin, self.process.stdout):
            assert pipe is not None
            pipe.close()
        self.process.wait()


@contextmanager
def workers(count: int, task: str, path: Path, *rest: object) -> Iterator[list[Worker]]:
    """`count` processes, ready and told to go at the same moment."""
    started = [Worker(task, path, f"w{n}", *rest) for n in range(count)]
    try:
        for worker in started:
            worker.wait_ready()
        for worker in started:
            worker.go()
        yield started
    finally:
        for worker in started:
            worker.close()
