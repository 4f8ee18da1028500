"""The commands as somebody at a terminal calls them, and what they ask `az`."""

import os
import subprocess
from pathlib import Path

import pytest

from local.package import ROOT
from tests.infra.cloud import APPS, DEPLOYMENT, OUTPUTS, Cloud, outputs
from tests.infra.delivery.support import NOW, packed
from tests.support.api import soon
from tools.delivery.azure import Azure, AzureFailed
from tools.delivery.deployment import Deployment, NotDeployed, found
from tools.delivery.history import Mark
from tools.delivery.publishing import Publishing
from tools.plan import EXAMPLES


def test_what_ends_waiting_for_az_ends_all_that_az_started(tmp_path: Path) -> None:
    """As az does: a script that starts another program, longer than our patience, and keeps waiting for it."""
    program = tmp_path / "az"
    program.write_text(f'#!/bin/sh\nsleep 600 & echo $! > "{tmp_path}/child"\nwait\n')
    program.chmod(0o700)

    child = tmp_path / "child"
    for seconds in (1, 2, 4, 8, 16, 32):  # until it was quick enough to start the other one
        with pytest.raises(AzureFailed, match=f"az account took longer than {seconds} s"):
            Azure(program=str(program)).ask("account", seconds=seconds)
        if child.exists() and child.read_text().endswith("\n"):
            break

    process = int(child.read_text())
    assert soon(lambda: ended(process) or None, "the end of what az started")


def ended(process: int) -> bool:
    """Also one that nobody has asked for its exit code, where there is a way to tell."""
    try:
        os.kill(process, 0)
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except ProcessLookupError:
        return True
    except FileNotFoundError:  # it ended just now, or there is no /proc
        return False


def test_an_output_that_is_missing_is_named(cloud: Cloud) -> None:
    few = {name: value for name, value in OUTPUTS.items() if name != "releaseS_ACCOUNT"}
    cloud.write("deployments", {DEPLOYMENT: outputs(few)})

    with pytest.raises(NotDeployed, match="its outputs lack RELEASES_ACCOUNT"):
        found(cloud.azure, DEPLOYMENT)
    with pytest.raises(AzureFailed, match="DeploymentNotFound"):
        found(cloud.azure, "tessera-prod")


def test_in_azds_hooks_the_environment_tells(monkeypatch: pytest.MonkeyPatch, cloud: Cloud) -> None:
    for name, value in OUTPUTS.items():
        monkeypatch.setenv(name.upper(), value)

    assert found(cloud.azure, "") == found(cloud.azure, DEPLOYMENT)
    assert Deployment.from_environment().function_apps == APPS


def test_commands_publish_list_and_go_back(cloud: Cloud, publishing: Publishing, tmp_path: Path) -> None:
    """By hand: nothing lies in dist/, and the environment's name is enough."""
    (one, first), (two, second) = packed(tmp_path, "one"), packed(tmp_path, "two")

    code, text = cloud.command("publish", "--environment", "dev", "--package", str(one))
    assert (code, f"Mind: {first.version} was made of another commit" in text) == (0, True)
    publishing.releases.mark(first.version, Mark.PASSED, NOW)
    assert cloud.command("publish", "--deployment", DEPLOYMENT, "--package", str(two))[0] == 0
    code, text = cloud.command("rollback", "--environment", "dev")
    listed = cloud.command("releases", "--environment", "dev")[1]

    assert (code, f"{first.version} runs again; {second.version} does not, and is marked as bad" in text) == (0, True)
    assert cloud.published() == dict.fromkeys(APPS, one.read_bytes())
    [of_first, of_second] = [" ".join(line.split()) for line in listed.splitlines()]
    assert of_first == f"{first.version} 20260501T120000.000000Z runs"
    assert of_second.startswith(f"{second.version} never passed bad since 2")
    assert cloud.command("mark", second.version, "--good", "--environment", "dev")[0] == 0
    assert publishing.releases.history().versions[second.version].bad_since == ""
    code, text = cloud.command("mark", "nonsense", "--bad", "--environment", "dev")
    assert (code, "is not kept here" in text) == (1, True)


def test_what_a_deployment_put_out_is_printed_for_a_shell(cloud: Cloud) -> None:
    told = outputs({**OUTPUTS, "sitE_URL": "https://it's.example/a b"})
    cloud.write("deployments", {DEPLOYMENT: told})

    code, text = cloud.command("outputs", "--environment", "dev")
    script = f'{text}\nprintf "%s|%s" "$SITE_URL" "$KEY_VAULT_NAME"'
    read = subprocess.run(["bash", "-euc", script], check=True, capture_output=True, text=True, timeout=60)

    assert code == 0, text
    assert read.stdout == "https://it's.example/a b|kv-tessera-dev"
    code, text = cloud.command("outputs")
    assert (code, "Say --environment" in text) == (1, True)


def test_what_cannot_be_is_refused_before_azure_is_asked(cloud: Cloud) -> None:
    words = ["infrastructure", "--environment", "dev", "--location", "westeurope"]

    code, text = cloud.command(*words, **{**EXAMPLES, "TESSERA_BUDGET_FROM": "yesterday"})

    assert (code, "TESSERA_BUDGET_FROM: " in text) == (1, True)
    assert cloud.commands() == []


def test_what_would_change_is_written_to_a_file_and_nothing_is_deployed(cloud: Cloud, tmp_path: Path) -> None:
    words = ["infrastructure", "--environment", "dev", "--location", "westeurope"]

    code, _ = cloud.command(*words, "--what-if", str(tmp_path / "out" / "what-if.txt"), **EXAMPLES)
    assert (code, cloud.read("created")) == (0, {})
    assert "1 to create in westeurope" in (tmp_path / "out" / "what-if.txt").read_text()

    assert cloud.command(*words, **EXAMPLES) == (0, "Deployed as tessera-dev.\n")
    made = cloud.read("created")[DEPLOYMENT]
    assert made["parameters"] == [str(ROOT / "infra" / "main.bicepparam")]
    place = {"AZURE_ENV_NAME": "dev", "AZURE_LOCATION": "westeurope", "TESSERA_INSTALLATION": "tessera"}
    assert {name: made["told"].get(name) for name in place} == place
