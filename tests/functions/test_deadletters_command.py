"""`make deadletters`, as somebody at a terminal uses it."""

import asyncio
import re
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
import typer

from local.deadletters import main
from local.layout import Ports
from local.stack import ROOT, Stack
from tests.functions.test_dead_letters import bury, dead
from tests.support.api import Api
from tests.support.fault_proxy import Fault, proxied


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    """A Tessera of its own; its ports are in a row, as `make run` has them."""
    with (
        Stack(tmp_path_factory.mktemp("command"), Ports.free()) as stack,
        httpx.Client(base_url=stack.url, timeout=30) as http,
    ):
        yield Api(stack, http)


def command(*options: str) -> tuple[int, str]:
    """Its exit code, and what it printed."""
    line = [sys.executable, "-m", "local.deadletters", *options]
    done = subprocess.run(line, cwd=ROOT, check=False, capture_output=True, text=True, timeout=60)
    return done.returncode, done.stdout + done.stderr


def test_letters_are_counted_listed_planned_replayed_and_discarded(api: Api) -> None:
    here = ["--data", str(api.stack.data), "--port", str(api.stack.ports.host)]
    admin = api.person("admin")
    first, second = bury(api, "stock", "OrderPaid"), bury(api, "stock", "OrderExpired", reason="Unreadable")

    counted = command(*here)
    listed = command(*here, "--queue", "stock", "--reason", "Unreadable")
    shown = command(*here, "--queue", "stock", "--show", str(first))
    planned = command(*here, "--queue", "stock", "--replay", "--all", "--dry-run")
    silent = command(*here, "--queue", "stock", "--discard", "--number", str(first))
    assert dead(admin, "stock") == [first, second]
    discarded = command(*here, "--queue", "stock", "--discard", "--number", str(first), "--why", "broken on purpose")

    assert counted[0] == 0
    assert next(line.split() for line in counted[1].splitlines() if "stock" in line) == ["stock", "2"]
    assert f"cor-{second}-of-test" in listed[1]
    assert f"cor-{first}-of-test" not in listed[1]
    assert '"body": "{"' in shown[1]
    assert "2 would be replayed; nothing was changed." in planned[1]
    assert (silent[0], "why: say it, for the audit trail" in silent[1]) == (1, True)
    assert (discarded[0], "1 discarded; audit id aud_" in discarded[1]) == (0, True)
    assert dead(admin, "stock") == [second]


async def test_what_was_given_up_is_finished_by_the_same_command_with_the_key_it_printed(api: Api) -> None:
    admin = api.person("admin")
    number, other = bury(api, "refunds", "OrderRefunding"), bury(api, "refunds", "OrderRefunding")
    telling = ["--token", admin.token, "--queue", "refunds", "--discard", "--number", str(number), "--why", "by hand"]
    async with proxied(api.stack.ports.host) as proxy:
        await proxy.set(Fault.RESET)
        code, text = await asyncio.to_thread(command, "--url", f"http://127.0.0.1:{proxy.port}", *telling)
    assert (code, dead(admin, "refunds")) == (1, [other])  # it happened, and nobody heard
    [key] = re.findall(r"--key (\S+) \(make: KEY=\1\)", text)

    finished = command("--url", api.stack.url, *telling, "--key", key)
    as_another = command("--url", api.stack.url, *telling)

    assert (finished[0], "1 discarded; audit id aud_" in finished[1]) == (0, True)
    assert "No longer" not in finished[1]
    assert ("0 discarded" in as_another[1], f"No longer dead letters: {number}." in as_another[1]) == (True, True)
    assert dead(admin, "refunds") == [other]


@pytest.mark.parametrize(
    ("options", "answer"),
    [
        ({"queue": "stock", "number": [1]}, "--number, --all and --key are for --replay or --discard"),
        ({"queue": "stock", "everything": True}, "--number, --all and --key are for --replay or --discard"),
        ({"queue": "stock", "key": "k"}, "--number, --all and --key are for --replay or --discard"),
        ({"queue": "stock", "show": 1, "discard": True}, "--show shows one letter and goes with nothing else"),
        ({"reason": "Bug"}, "say which --queue"),
        ({"replay": True, "everything": True}, "say which --queue"),
        ({"queue": "stock", "replay": True, "discard": True, "everything": True}, "--replay or --discard, not both"),
    ],
)
def test_options_that_would_not_be_heeded_are_refused(
    options: dict[str, Any], answer: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(typer.Exit) as ended:
        main(url="http://127.0.0.1:9", token="t", **options)

    assert ended.value.exit_code == 1
    assert capsys.readouterr().err.startswith(f"Not done: {answer}")


def test_with_an_address_and_a_token_it_serves_any_tessera(api: Api) -> None:
    elsewhere = ["--url", api.stack.url, "--token"]

    assert "payments" in command(*elsewhere, api.person("admin").token)[1]
    refused = command(*elsewhere, api.person().token)
    assert (refused[0], "needs “operate”" in refused[1]) == (1, True)
    assert command("--url", api.stack.url) == (1, "Not done: --url needs an admin's --token\n")


def test_its_help_says_what_it_does() -> None:
    code, text = command("--help")

    assert code == 0
    assert "--replay" in text
    assert "--dry-run" in text
