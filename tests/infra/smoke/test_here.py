"""The smoke test as a command, against this machine."""

from pathlib import Path
from xml.etree import ElementTree as Xml

import pytest

from tests.infra.smoke.support import EVERYTHING, NOBODY, command
from tests.support.api import Api
from tools.delivery.here import NotHere, collected
from tools.delivery.insights import Insights


def test_the_command_tests_this_machine_and_writes_junit(api: Api, tmp_path: Path) -> None:
    from local.seed.seed import Seeder
    from shared.kernel.clock import utc_now

    Seeder(api.stack.url, api.stack.entra_url).seed(utc_now())
    here = ["--here", "--port", str(api.stack.ports.host), "--data", str(api.stack.data)]

    code, text = command(*here, "--no-telemetry", "--junit", str(tmp_path / "smoke.xml"))

    names = EVERYTHING[:-2]
    assert (code, text.count("✓"), "✗" in text) == (0, len(names), False), text
    suite = Xml.fromstring((tmp_path / "smoke.xml").read_text())  # noqa: S314 - our own
    assert (suite.get("tests"), suite.get("failures")) == (str(len(names)), "0")
    assert [case.get("name") for case in suite] == names


def test_a_command_that_cannot_begin_is_a_failure_for_the_pipeline_too(tmp_path: Path) -> None:
    code, text = command("--here", "--data", str(tmp_path), "--junit", str(tmp_path / "smoke.xml"))

    assert (code, "no demo in" in text) == (1, True)
    suite = Xml.fromstring((tmp_path / "smoke.xml").read_text())  # noqa: S314 - our own
    assert (suite.get("tests"), suite.get("failures")) == ("1", "1")


def test_where_nobody_collects_telemetry_it_says_so_at_once(api: Api) -> None:
    collected(Insights(api.stack.telemetry_url, "here", lambda: ""))
    with pytest.raises(NotHere, match="make run TELEMETRY=1"):
        collected(Insights(NOBODY, "here", lambda: ""))


def test_this_machine_is_no_deployment() -> None:
    code, text = command("--here", "--environment", "dev")
    assert (code, "nothing that was deployed" in text) == (2, True), text
