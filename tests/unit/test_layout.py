"""Free ports: whoever asks for some has them to themselves, from the choice until their servers listen and after."""

import socket
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path

import pytest

from local import layout
from local.layout import Ports

ROOT = Path(__file__).parents[2]
FROM = 32_100  # beyond those that are given to anybody else, and below those of outgoing connections
OTHER_PROCESS = f"""
from local import layout
layout._FREE_FROM, layout._FREE_UNTIL, layout._TRIES_MAX = {FROM}, {FROM + 12}, 50
try:
    layout.Ports.free()
except OSError as error:
    print(error)
"""


def in_another_process() -> str:
    """What another process is told that wants ten ports of these twelve."""
    done = subprocess.run([sys.executable, "-c", OTHER_PROCESS], cwd=ROOT, check=True, capture_output=True, text=True)
    return done.stdout


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere ports are only looked for, and not kept")
def test_ports_are_kept_from_the_choice_on_for_whoever_has_their_numbers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(layout, "_FREE_FROM", FROM)
    monkeypatch.setattr(layout, "_FREE_UNTIL", FROM + 12)

    ports = Ports.free()

    assert [*asdict(ports).values()] == [*range(ports.host, ports.host + 10)]
    assert "No 10 free ports in a row" in in_another_process()
    for _ in range(2):  # as often as a server is killed and comes back
        with socket.create_server(("127.0.0.1", ports.entra)), socket.create_connection(("127.0.0.1", ports.entra)):
            pass
    assert "No 10 free ports in a row" in in_another_process()
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", ports.host))
    del ports
    assert in_another_process() == ""
