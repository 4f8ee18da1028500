"""How the doubles start, and what they say when they cannot."""

import json
import stat
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import httpx
import pytest

from local.emulators.__main__ import EMULATORS
from local.emulators.serving import bind_loopback
from shared.topology import topology
from tests.emulators.processes import Emulator

FOLDER = Path(__file__).parents[2] / "local" / "emulators"
OPTIONS: dict[str, Sequence[str]] = {
    "applicationinsights": (),
    "cosmos": ("--key", "a2V5"),
    "entra": ("--redirect-uri", "http://127.0.0.1:7071/signed-in", "--tls-port", "0"),
    "mailbox": ("--smtp-port", "0"),
    "servicebus": ("--control-port", "0"),
    "stripe": (),
}


def running(name: str, data: Path) -> Emulator:
    return Emulator(name, data, *OPTIONS[name])


def refusal(name: str, data: Path, *options: str, port: int = 0) -> str:
    """What an emulator says that does not start: one line."""
    command = [sys.executable, "-m", f"local.emulators.{name}", "--data", str(data), "--port", str(port)]
    ended = subprocess.run([*command, *options], capture_output=True, text=True, timeout=120, check=False)
    assert (ended.returncode, ended.stdout) == (1, "")
    [line] = ended.stderr.splitlines()
    return line.removeprefix(f"{name} emulator cannot start: ")


@pytest.mark.parametrize("name", OPTIONS)
def test_a_second_one_on_the_same_folder_is_refused_and_the_first_goes_on(name: str, tmp_path: Path) -> None:
    with running(name, tmp_path) as first:
        said = refusal(name, tmp_path, *OPTIONS[name])
        assert httpx.get(first.url).status_code < 500
        first.kill()
        with running(name, tmp_path):  # a dead one holds nothing
            pass
        first.restart()

    assert said == f"another emulator is using {tmp_path}"


@pytest.mark.parametrize("name", OPTIONS)
def test_a_port_that_is_taken_is_named(name: str, tmp_path: Path) -> None:
    with bind_loopback(0) as taken:
        port = taken.getsockname()[1]
        said = refusal(name, tmp_path, *OPTIONS[name], port=port)

    assert said == f"port {port} on 127.0.0.1: Address already in use"


@pytest.mark.parametrize("name", OPTIONS)
def test_what_a_double_keeps_is_its_owners_to_read(name: str, tmp_path: Path) -> None:
    with running(name, tmp_path):
        files = [file for file in tmp_path.iterdir() if file.is_file()]
        shared = [file.name for file in files if stat.S_IMODE(file.stat().st_mode) & 0o077]

    assert files
    assert shared == []


@pytest.mark.parametrize(
    ("name", "options", "said"),
    [
        ("servicebus", ["--issuer", "https://issuer.example"], "--issuer needs --jwks"),
        ("servicebus", ["--jwks", "keys.json"], "--jwks needs --issuer"),
        ("servicebus", ["--key-file", "key.pem"], "--key-file needs --certificate"),
        ("cosmos", ["--key", "a2V5", "--tls-certificate", "chain.pem"], "--tls-certificate needs --tls-key"),
        ("cosmos", ["--key", "a2V5", "--tls-key", "key.pem"], "--tls-key needs --tls-certificate"),
        ("cosmos", ["--key", "a2V5", "--principal", "an-oid"], "--principal needs --authority"),
        ("stripe", ["--webhook-event", "charge.refunded"], "--webhook-event needs --webhook-url"),
    ],
)
def test_half_of_two_options_is_refused(name: str, options: list[str], said: str, tmp_path: Path) -> None:
    assert refusal(name, tmp_path, *options) == said


@pytest.mark.parametrize("name", ["cosmos", "servicebus"])
def test_a_topology_that_is_missing_or_wrong_is_named_in_one_line(name: str, tmp_path: Path) -> None:
    file = tmp_path / "topology.json"
    options = [*OPTIONS[name], "--topology", str(file)]
    missing = refusal(name, tmp_path, *options)
    file.write_text("{")
    broken = refusal(name, tmp_path, *options)
    file.write_text(json.dumps({"database": "x"}))
    incomplete = refusal(name, tmp_path, *options)
    file.write_text(topology().model_dump_json().replace('"lock_seconds":', '"lock_minutes":', 1))
    misspelt = refusal(name, tmp_path, *options)

    assert missing == f"--topology {file}: No such file or directory"
    assert broken.startswith(f"--topology {file}: the file: Invalid JSON")
    assert incomplete == f"--topology {file}: containers: Field required (and 3 more)"
    assert misspelt == f"--topology {file}: queues.0.lock_seconds: Field required (and 1 more)"


@pytest.mark.parametrize(
    ("name", "option"),
    [
        ("cosmos", "--tls-certificate {file} --tls-key {file} --key a2V5"),
        ("servicebus", "--certificate {file}"),
        ("servicebus", "--jwks {file} --issuer https://issuer.example"),
    ],
)
def test_a_file_that_cannot_be_used_is_named_with_its_option(name: str, option: str, tmp_path: Path) -> None:
    file = tmp_path / "file"
    options = option.format(file=file).split()
    missing = refusal(name, tmp_path, *options)
    file.write_text("nonsense")
    wrong = refusal(name, tmp_path, *options)

    assert missing == f"{options[0]} {file}: No such file or directory"
    assert wrong.startswith(f"{options[0]} {file}: ")
    assert "No such file" not in wrong


def test_what_the_sign_in_double_is_told_wrongly_is_named(tmp_path: Path) -> None:
    file = tmp_path / "applications.json"
    options = [*OPTIONS["entra"], "--applications", str(file)]
    said = []
    for content in (None, "{", '[{"id": "a", "colour": "red"}]', '[{"id": "tessera-web"}]'):
        if content is not None:
            file.write_text(content)
        said.append(refusal("entra", tmp_path, *options))

    assert said[0] == f"--applications {file}: No such file or directory"
    assert said[1].startswith(f"--applications {file}: Expecting property name")
    assert said[2] == f"--applications {file}: 0.colour: Extra inputs are not permitted"
    assert said[3] == "--applications: tessera-web is registered twice"
    for smtp in ("nowhere", "127.0.0.1:", ":25"):
        assert refusal("entra", tmp_path, *OPTIONS["entra"], "--smtp", smtp) == f"--smtp {smtp}: say HOST:PORT"


def test_a_key_that_is_not_base64_is_named_by_its_setting(tmp_path: Path) -> None:
    assert refusal("cosmos", tmp_path, "--key", "no base64!").startswith("COSMOS_KEY, or --key, is not base64: ")


def test_without_a_name_the_doubles_there_are_are_listed() -> None:
    found = {each.parent.name for each in FOLDER.glob("*/__main__.py")}

    ended = subprocess.run(
        [sys.executable, "-m", "local.emulators"], capture_output=True, text=True, timeout=120, check=False
    )

    assert ended.returncode == 2
    listed = [line.split(maxsplit=1) for line in ended.stderr.splitlines()[2:]]
    assert {name for name, _ in listed} == found == set(EMULATORS)
    assert all(does for _, does in listed)
