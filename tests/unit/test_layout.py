"""Free ports: whoever asks for some has them to themselves, from the choice until their servers listen and after."""

import socket
import subprocess
import sys
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Final

import pytest

from local import layout
from local.layout import Ports
from tests.support.api import soon

ROOT: Final = Path(__file__).parents[2]
# Twelve ports each, beyond those that are given to anybody else, and below those of outgoing connections.
DOZENS: Final = [range(first, first + 12) for first in range(32_012, 32_700, 12)]
OTHER_PROCESS: Final = """
from local import layout
layout._FREE_FROM, layout._FREE_UNTIL, layout._TRIES_MAX = {first}, {first} + 12, 50
try:
    layout.Ports.free()
except OSError as error:
    print(error)
"""


def in_another_process(first: int) -> str:
    """What another process is told that wants ten ports of the twelve from there on."""
    line = [sys.executable, "-c", OTHER_PROCESS.format(first=first)]
    done = subprocess.run(line, cwd=ROOT, check=True, capture_output=True, text=True, timeout=60)
    return done.stdout


def ten_of_a_dozen(monkeypatch: pytest.MonkeyPatch) -> tuple[Ports, int]:
    """Ports of the first dozen that nobody uses, and where it begins: a service may be there, or this very test."""
    monkeypatch.setattr(layout, "_TRIES_MAX", 50)
    for dozen in DOZENS:
        monkeypatch.setattr(layout, "_FREE_FROM", dozen.start)
        monkeypatch.setattr(layout, "_FREE_UNTIL", dozen.stop)
        with suppress(OSError):
            return Ports.free(), dozen.start
    raise AssertionError("every port of this test is in use")


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere ports are only looked for, and not kept")
def test_ports_are_kept_from_the_choice_on_for_whoever_has_their_numbers(monkeypatch: pytest.MonkeyPatch) -> None:
    ports, first = ten_of_a_dozen(monkeypatch)

    assert [*asdict(ports).values()] == [*range(ports.host, ports.host + 10)]
    assert "No 10 free ports in a row" in in_another_process(first)
    for _ in range(2):  # as often as a server is killed and comes back
        with socket.create_server(("127.0.0.1", ports.entra)), socket.create_connection(("127.0.0.1", ports.entra)):
            pass
    assert "No 10 free ports in a row" in in_another_process(first)
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", ports.host))
    del ports
    assert soon(lambda: in_another_process(first) == "" or None, "ports for somebody else")
