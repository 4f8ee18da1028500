"""The smoke test as pipelines call it: what is written down of a version, and what is no reason to go back."""

import hashlib
import zipfile
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tests.infra.cloud import ACCOUNT, APPS, DEPLOYMENT, Cloud
from tests.infra.smoke.support import EVERYTHING, NOBODY, deployed, version_of
from tests.support.api import Api, Json, Organiser
from tools.delivery.history import Mark, moment_of
from tools.delivery.package import Manifest
from tools.delivery.releases import Releases


def test_a_deployment_that_works_is_written_down_as_one_to_go_back_to(
    api: Api, shop: Organiser, event: Json, cloud: Cloud, running: str
) -> None:
    """Of one of its apps only a share of the traces is collected: there the business event has to be enough.

    What nobody needs any more is deleted then.
    """
    cloud.once("old", datetime(2025, 5, 1, tzinfo=UTC))
    settings = cloud.read("settings")
    cloud.write("settings", {**settings, APPS[0]: {**settings[APPS[0]], "TESSERA_TRACE_SAMPLING": "0.2"}})

    code, text = deployed(cloud, api, shop, event, "--record", "--insights-api", api.stack.telemetry_url)

    assert (code, text.count("✓"), "✗" in text) == (0, 1 + len(EVERYTHING), False), text
    assert "its spans are collected for a share of the traces only" in text
    assert (version_of(cloud).name, version_of(cloud).trusted) == (running, True)
    assert [*Releases(cloud.azure, ACCOUNT).history().versions] == [running]
    asked = [words for words in cloud.commands() if "get-access-token" in words]
    assert {words[words.index("--scope") + 1] for words in asked} == {"https://api.applicationinsights.io/.default"}


@pytest.mark.usefixtures("running")
def test_a_deployment_that_lacks_a_function_fails_by_name_and_is_not_gone_back_to(
    api: Api, shop: Organiser, event: Json, cloud: Cloud
) -> None:
    functions = cloud.read("functions")
    cloud.write("functions", {**functions, APPS[1]: [name for name in functions[APPS[1]] if name != "relay_orders"]})

    code, text = deployed(cloud, api, shop, event, "--record", "--no-telemetry", "--ready-seconds", "0")

    assert (code, "lacks relay_orders" in text) == (1, True), text
    assert version_of(cloud).marks.keys() == {"publishing", "published"}


def test_a_late_trace_ends_the_stage_and_is_no_reason_to_go_back(
    api: Api, shop: Organiser, event: Json, cloud: Cloud, running: str
) -> None:
    """Also where the clock of whoever published is ahead of the one that tests."""
    kept = cloud.home / "blobs" / ACCOUNT / "releases" / running
    for mark in (Mark.PUBLISHING, Mark.PUBLISHED):
        (kept / mark / moment_of(datetime(2099, 1, 1, tzinfo=UTC))).touch()

    code, text = deployed(cloud, api, shop, event, "--record", "--insights-api", NOBODY, "--trace-seconds", "0")

    assert (code, text.count("✗"), f"Nothing speaks against {running}" in text) == (1, 1, True), text
    assert (version_of(cloud).trusted, bool(version_of(cloud).last(Mark.UNDECIDED))) == (False, True)
    back = cloud.command("rollback", "--environment", "dev", "--package", str(cloud.home / "tessera.zip"))
    assert (back[0], f"{running} stays" in back[1]) == (0, True), back


def test_an_operator_who_cannot_sign_in_is_no_reason_to_go_back(cloud: Cloud, running: str) -> None:
    code, text = cloud.command("smoke", "--deployment", DEPLOYMENT, "--record", "--sale")

    assert (code, text.count("✓"), text.count("✗")) == (1, 5, 1), text
    assert "✗ signs in" in text
    assert Releases(cloud.azure, ACCOUNT).history().stays(running).startswith(f"{running} stays")


def test_a_package_that_does_not_run_is_not_tested_and_nothing_is_written_down(
    api: Api, shop: Organiser, event: Json, cloud: Cloud, running: str, tmp_path: Path
) -> None:
    other = tmp_path / "other" / "tessera.zip"
    other.parent.mkdir()
    with zipfile.ZipFile(other, "w") as archive:
        archive.writestr("version.txt", "other\n")
    told = Manifest.model_validate_json((cloud.home / "tessera.json").read_text())
    sha256 = hashlib.sha256(other.read_bytes()).hexdigest()
    other.with_suffix(".json").write_text(
        told.model_copy(update={"version": "other", "sha256": sha256}).model_dump_json()
    )

    code, text = deployed(cloud, api, shop, event, "--record", "--package", str(other))

    assert (code, text.count("✓"), f"{running} runs, and not other" in text) == (1, 0, True), text
    assert version_of(cloud).marks.keys() == {"publishing", "published"}


def test_before_there_is_an_operator_it_looks_and_counts_and_proves_nothing(cloud: Cloud, running: str) -> None:
    """No package lies here either: what runs is known."""
    code, text = cloud.command("smoke", "--deployment", DEPLOYMENT, "--record")

    assert (code, text.count("✓"), "✗" in text) == (0, 5, False), text
    assert f"Not all was tried, so {running} is not written down" in text
    assert version_of(cloud).marks.keys() == {"publishing", "published"}


@pytest.mark.usefixtures("running")
def test_what_passed_and_cannot_be_written_down_is_no_failure(
    api: Api, shop: Organiser, event: Json, cloud: Cloud
) -> None:
    cloud.write("faults", {"uploads": "/passed/", "deletions": "old/"})
    cloud.once("old", datetime(2025, 5, 1, tzinfo=UTC))

    code, text = deployed(cloud, api, shop, event, "--record", "--insights-api", api.stack.telemetry_url)

    assert (code, text.count("could not be marked as passed")) == (0, 3), text
    assert "Warning: what nobody needs any more was not deleted: az storage blob delete" in text
