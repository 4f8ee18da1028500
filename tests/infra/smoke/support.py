"""How the smoke test is run here, and what came out."""

import subprocess
import sys
from typing import Any, Final

from rich.console import Console

from local.package import ROOT
from tests.infra.cloud import ACCOUNT, DEPLOYMENT, Cloud
from tests.support.api import Api, Json, Organiser
from tools.delivery.history import Version
from tools.delivery.outcome import Report
from tools.delivery.releases import Releases
from tools.delivery.smoke import EXPECTED, Patience, Target, smoke

SHORT: Final = Patience(ready=0.0, moved=60.0, telemetry=60.0, poll=0.1)
NO_PATIENCE: Final = Patience(ready=0.0, moved=0.0, telemetry=0.0, poll=0.0)
NOBODY: Final = "http://127.0.0.1:9"
EVERYTHING: Final = [
    "answers", "version", "what it stands on answers", "functions", "knows the operator", "the event is on sale",
    "sells at the desk", "refunds", "stock is as before", "its trace is found",
    "done by this version",
]  # fmt: skip


def outcome_of(target: Target, patience: Patience) -> Report:
    report = Report(Console(quiet=True), EXPECTED)
    smoke(target, report, patience)
    return report


def failures(report: Report) -> dict[str, str]:
    return {each.name: each.said for each in report.outcomes if not each.passed}


def sold(report: Report) -> str:
    """The order that the test placed."""
    [said] = [each.said for each in report.outcomes if each.name == "sells at the desk"]
    return said.split()[1].rstrip(",")


def orders(api: Api, event: Json) -> list[Any]:
    return [api.person("admin").get(f"events/{event['event_id']}").json()["available"]]


def command(*options: str) -> tuple[int, str]:
    line = [sys.executable, "-m", "tools.delivery", "smoke", *options]
    done = subprocess.run(line, cwd=ROOT, check=False, capture_output=True, text=True, timeout=120)
    return done.returncode, done.stdout + done.stderr


def deployed(cloud: Cloud, api: Api, shop: Organiser, event: Json, *options: str) -> tuple[int, str]:
    """The command, as a pipeline calls it."""
    return cloud.command(
        "smoke", "--package", str(cloud.home / "tessera.zip"), "--deployment", DEPLOYMENT, *options,
        TESSERA_SMOKE_TOKEN=shop.operator.token, TESSERA_SMOKE_EVENT=event["event_id"],
    )  # fmt: skip


def version_of(cloud: Cloud) -> Version:
    [version] = Releases(cloud.azure, ACCOUNT).history().all()
    return version
