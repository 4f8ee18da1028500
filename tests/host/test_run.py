"""`make run` that cannot start: what it says fits the cause, and only data that was there is suspected."""

import socket
import subprocess
import sys
from pathlib import Path

from local.layout import BusKind, Ports, StoreKind, made_of, stack_secrets
from local.stack import ROOT

SUSPECTS_DATA = "Is another Tessera using"


def refused(data: Path, *arguments: str, port: int = 0) -> str:
    """What it says as it gives up; on free ports, unless on this one and those after it."""
    ports = Ports.free()
    first = str(port or ports.host)
    command = [sys.executable, "-m", "local.run", "--no-seed", "--data", str(data), "--port", first, *arguments]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 1, done.stderr
    assert "Tessera cannot start: " in done.stderr
    return done.stderr


def test_a_taken_port_is_told_with_another_port_as_the_way_out_and_touches_no_data(tmp_path: Path) -> None:
    ports = Ports.free()
    number = ports.host
    with socket.create_server(("127.0.0.1", number)):
        told = refused(tmp_path / "data", port=number)

    assert f"port {number} (host) is taken" in told
    assert "PORT=" in told
    assert "DATA=" not in told
    assert SUSPECTS_DATA not in told
    assert not (tmp_path / "data").exists()


def test_a_folder_that_cannot_be_written_is_told_with_another_folder_as_the_way_out(tmp_path: Path) -> None:
    (tmp_path / "file").touch()

    told = refused(tmp_path / "file" / "data")

    assert f"the data folder {tmp_path / 'file' / 'data'} cannot be written" in told
    assert "DATA=" in told
    assert SUSPECTS_DATA not in told


def test_only_data_that_was_there_before_is_suspected(tmp_path: Path) -> None:
    (tmp_path / "entra").touch()  # where a part wants a folder of its own, so that it does not start

    fresh = refused(tmp_path)
    stack_secrets(tmp_path)
    with_data = refused(tmp_path)

    assert "entra did not start" in fresh
    assert SUSPECTS_DATA not in fresh
    assert SUSPECTS_DATA in with_data


def test_data_that_was_made_on_another_store_is_not_started_on_this_one(tmp_path: Path) -> None:
    """What was sold there would not be seen here, and a payment for it would find no order."""
    made_of(tmp_path, StoreKind.COSMOS, BusKind.SERVICEBUS)
    stack_secrets(tmp_path)

    told = refused(tmp_path)
    half = refused(tmp_path, "--store", "cosmos")

    for each in (told, half):
        assert "was made with STORE=cosmos BUS=servicebus" in each
        assert "DATA=" in each
        assert SUSPECTS_DATA not in each


def test_data_of_before_stores_could_be_chosen_is_embedded(tmp_path: Path) -> None:
    (tmp_path / "store.db").touch()

    assert "was made with STORE=embedded BUS=embedded" in refused(tmp_path, "--store", "cosmos")
