"""What works while a deployment has no outputs, for whom a role was given, and what says what to do."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import pytest

from local.package import ROOT
from tests.infra.cloud import ACCOUNT, APPS, DEPLOYMENT, Cloud
from tests.infra.delivery.support import delivered, packed, runs
from tools.delivery.publishing import Publishing

FAILED: Final[Mapping[str, Any]] = {DEPLOYMENT: {}}  # as one that was cancelled, or still runs
DEPLOY: Final = (ROOT / "docs" / "deploy.md").read_text()


def test_packages_are_published_and_gone_back_from_while_a_deployment_has_no_outputs(
    cloud: Cloud, publishing: Publishing, tmp_path: Path
) -> None:
    (one, first), (two, second) = packed(tmp_path, "one"), packed(tmp_path, "two")
    delivered(publishing, (one, first), 1)
    cloud.write("deployments", {**cloud.made(), **FAILED})

    assert cloud.command("in-order", "--environment", "dev", "--package", str(two))[0] == 0
    code, text = cloud.command("publish", "--environment", "dev", "--package", str(two))
    assert (code, cloud.published()) == (0, dict.fromkeys(APPS, two.read_bytes())), text
    assert f"{second.version} never passed runs" in re.sub(
        " +", " ", cloud.command("releases", "--environment", "dev")[1]
    )
    assert cloud.command("mark", second.version, "--bad", "--environment", "dev")[0] == 0
    code, text = cloud.command("rollback", "--environment", "dev", "--package", str(two))

    assert (code, cloud.published()) == (0, dict.fromkeys(APPS, one.read_bytes())), text
    assert runs(publishing) == first.version


@pytest.mark.parametrize("command", ["smoke", "outputs", "refresh"])
def test_what_needs_all_outputs_says_what_to_do(cloud: Cloud, command: str) -> None:
    cloud.write("deployments", {**cloud.made(), **FAILED})

    code, text = cloud.command(command, "--environment", "dev")

    told = "tessera-dev put out nothing, as one that failed, was cancelled or still runs"
    assert (code, told in text, "run `infrastructure` again" in text) == (1, True, True), text


def test_a_first_deployment_that_failed_is_gone_on_with(cloud: Cloud, tmp_path: Path) -> None:
    """It made no app, so there is nothing to publish to, and nothing that would be replaced."""
    package = ["--environment", "dev", "--package", str(packed(tmp_path, "one")[0])]
    cloud.write("deployments", {**cloud.made(), **FAILED})
    cloud.write("settings", {})

    assert cloud.command("in-order", *package)[0] == 0
    code, text = cloud.command("publish", *package)

    assert (code, "rg-tessera-dev has no function app yet" in text) == (1, True), text


def test_where_nothing_tells_of_the_account_the_step_that_does_is_named(cloud: Cloud, tmp_path: Path) -> None:
    package = packed(tmp_path, "one")[0]
    cloud.write("deployments", {**FAILED, f"{DEPLOYMENT}-vault": {}})

    code, text = cloud.command("in-order", "--environment", "dev", "--package", str(package))

    assert (code, "tessera-dev-vault has not those it needs either: `vault`" in text) == (1, True), text


def given(identity: str) -> str:
    """The role on kept packages that docs/deploy.md gives to an identity."""
    [role] = re.findall(rf'^may \${identity} "([^"]+)" \S+/\$RELEASES_ACCOUNT\b', DEPLOY, re.MULTILINE)
    return str(role)


def test_each_identity_of_a_pipeline_may_do_with_packages_what_its_job_does(
    cloud: Cloud, publishing: Publishing, tmp_path: Path
) -> None:
    made = [packed(tmp_path, name) for name in ("one", "two")]
    delivered(publishing, made[0], 1)
    oid = cloud.read("claims")["oid"]
    package = ["--environment", "dev", "--package", str(made[1][0])]

    cloud.write("roles", {ACCOUNT: {}})
    code, text = cloud.command("in-order", *package)
    assert (code, "do not have the required permissions" in text) == (1, True), text
    cloud.write("roles", {ACCOUNT: {oid: given("DEPLOYS")}})
    assert cloud.command("in-order", *package)[0] == 0
    assert cloud.command("publish", *package)[0] == 1, "that is not what it is for"
    cloud.write("roles", {ACCOUNT: {oid: given("PUBLISHES")}})
    for command in ("publish", "rollback"):
        code, text = cloud.command(command, *package)
        assert code == 0, text
    assert runs(publishing) == made[0][1].version
