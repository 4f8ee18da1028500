"""The examples of docs/emulators.md run as they stand, but for ports and folders."""

import os
import re
import shlex
import signal
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Final

import pytest

from local.layout import Ports

ROOT: Final = Path(__file__).parents[2]
BLOCK: Final = re.compile(r"```python\n# (?P<command>.*local\.emulators\..*)\n(?P<code>(?:.*\n)*?)```\n")
EXAMPLES: Final = {
    re.search(r"local\.emulators\.(\w+)", found["command"])[1]: (found["command"], found["code"])  # type: ignore[index]
    for found in BLOCK.finditer((ROOT / "docs" / "emulators.md").read_text())
}
SAYS: Final = {
    "applicationinsights": "look at it at",
    "cosmos": "A concert",
    "entra": "['user']",
    "mailbox": "read it at",
    "servicebus": "paid",
    "stripe": "5000 http://127.0.0.1:",
}


def on_ports_of_its_own(command: str, code: str, ports: Ports, folder: Path) -> tuple[str, str]:
    """Both with other ports than other tests have, and a folder of the test."""
    for port, free in zip(re.findall(r"port (\d+)", command), asdict(ports).values(), strict=False):
        command, code = command.replace(f"port {port}", f"port {free}"), re.sub(rf"\b{port}\b", str(free), code)
    return re.sub(r"--data \S+", f"--data {folder}", command), code


@pytest.mark.parametrize("name", SAYS)
def test_the_example_of_each_double_runs(name: str, tmp_path: Path) -> None:
    ports = Ports.free()  # kept for as long as this lives
    command, code = on_ports_of_its_own(*EXAMPLES[name], ports, tmp_path)
    words = shlex.split(command)
    setting = dict(word.split("=", 1) for word in words if re.match(r"[A-Z_]+=", word))
    arguments = words[words.index("-m") :]
    double = subprocess.Popen(
        [sys.executable, *arguments], cwd=ROOT, env=os.environ | setting, stdout=subprocess.PIPE, text=True
    )
    assert double.stdout is not None
    try:
        assert "listening" in double.stdout.readline()
        ran = subprocess.run(
            [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=60, check=False
        )
    finally:
        double.send_signal(signal.SIGTERM)
        ended = double.wait(timeout=60)
        double.stdout.close()

    assert (ran.returncode, ended) == (0, 0), ran.stderr
    assert SAYS[name] in ran.stdout


def test_there_is_an_example_of_each_double() -> None:
    doubles = {each.parent.name for each in (ROOT / "local" / "emulators").glob("*/__main__.py")}

    assert set(EXAMPLES) == set(SAYS) == doubles
