"""Publishing and going back, through the double of `az`: what runs after each is what is said to run."""

import json
import zipfile
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from local.package import ROOT
from shared.settings import SERVICES
from tests.infra.cloud import APPS, DEPLOYMENT, OUTPUTS, Cloud, outputs
from tools.delivery.azure import AzureFailed
from tools.delivery.deployment import Deployment, NotDeployed, found
from tools.delivery.package import Manifest, PackageDamaged, manifest_beside
from tools.delivery.publishing import Publishing
from tools.delivery.releases import NothingToGoBackTo
from tools.plan import EXAMPLES

NOW = datetime(2026, 5, 1, 12, tzinfo=UTC)


@pytest.fixture
def cloud(tmp_path: Path) -> Cloud:
    home = tmp_path / "cloud"
    home.mkdir()
    return Cloud.make(home)


@pytest.fixture
def publishing(cloud: Cloud) -> Publishing:
    return Publishing(cloud.azure, found(cloud.azure, DEPLOYMENT), lambda _: None)


def packed(folder: Path, content: str) -> tuple[Path, Manifest]:
    """A package, with a manifest beside it."""
    path = folder / content / "tessera.zip"
    path.parent.mkdir()
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("function_app.py", content)
    import hashlib

    sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
    functions = {service: (f"{service}_only", "live") for service in SERVICES}
    manifest = Manifest(version=f"{content}-{sha256[:8]}", sha256=sha256, functions=functions)
    path.with_suffix(".json").write_text(manifest.model_dump_json())
    return path, manifest


def test_a_package_is_kept_and_published_to_every_app_with_azures_own_build(
    cloud: Cloud, publishing: Publishing, tmp_path: Path
) -> None:
    package, manifest = packed(tmp_path, "one")

    publishing.publish(package, manifest)

    assert cloud.published() == dict.fromkeys(APPS, package.read_bytes())
    [first, _] = [words for words in cloud.commands() if "config-zip" in words]
    assert first[first.index("--build-remote") + 1] == "true"
    assert [(each.version, each.passed_at) for each in publishing.releases.all()] == [(manifest.version, "")]


def test_going_back_publishes_the_version_that_passed_last(
    cloud: Cloud, publishing: Publishing, tmp_path: Path
) -> None:
    made = [packed(tmp_path, name) for name in ("one", "two", "three", "four")]
    for number, (package, manifest) in enumerate(made):
        publishing.publish(package, manifest)
        if number < 2:  # three was never tested, and four fails
            publishing.releases.passed(manifest.version, NOW.replace(hour=number))

    release = publishing.go_back(made[3][1].version, tmp_path)

    assert release.version == made[1][1].version
    assert cloud.published() == dict.fromkeys(APPS, made[1][0].read_bytes())


def test_a_version_that_passed_again_counts_by_the_last_time(publishing: Publishing, tmp_path: Path) -> None:
    (one, first), (two, second) = packed(tmp_path, "one"), packed(tmp_path, "two")
    for package, manifest, hour in ((one, first, 1), (two, second, 2), (one, first, 3)):
        publishing.publish(package, manifest)
        publishing.releases.passed(manifest.version, NOW.replace(hour=hour))

    assert publishing.releases.to_go_back_to("three").version == first.version
    assert publishing.releases.to_go_back_to(first.version).version == second.version


def test_where_no_other_version_ever_passed_nothing_is_changed(
    cloud: Cloud, publishing: Publishing, tmp_path: Path
) -> None:
    package, manifest = packed(tmp_path, "one")
    publishing.publish(package, manifest)
    publishing.releases.passed(manifest.version, NOW)
    publishing.releases.keep(*packed(tmp_path, "untested"))
    before = cloud.published()

    with pytest.raises(NothingToGoBackTo, match="has passed its smoke test here"):
        publishing.go_back(manifest.version, tmp_path)

    assert cloud.published() == before


def test_a_version_that_was_not_kept_whole_is_not_gone_back_to(
    cloud: Cloud, publishing: Publishing, tmp_path: Path
) -> None:
    package, manifest = packed(tmp_path, "one")
    publishing.publish(package, manifest)
    publishing.releases.passed(manifest.version, NOW)
    (cloud.home / "blobs" / "streleases" / "releases" / manifest.version / "tessera.json").unlink()

    with pytest.raises(NothingToGoBackTo):
        publishing.releases.to_go_back_to("two")


def test_a_kept_package_that_was_changed_is_not_published(cloud: Cloud, publishing: Publishing, tmp_path: Path) -> None:
    package, manifest = packed(tmp_path, "one")
    publishing.publish(package, manifest)
    publishing.releases.passed(manifest.version, NOW)
    (cloud.home / "blobs" / "streleases" / "releases" / manifest.version / "tessera.zip").write_bytes(b"another")

    with pytest.raises(PackageDamaged, match=f"is not what was made as version {manifest.version}"):
        publishing.go_back("two", tmp_path)


def test_a_package_that_is_not_its_manifests_is_refused_before_anything(
    cloud: Cloud, publishing: Publishing, tmp_path: Path
) -> None:
    package, manifest = packed(tmp_path, "one")

    with pytest.raises(PackageDamaged):
        publishing.publish(package, manifest.model_copy(update={"sha256": "0" * 64}))

    assert (cloud.published(), publishing.releases.all()) == ({}, [])


def test_an_app_that_takes_no_package_ends_it_by_name_of_the_command(
    cloud: Cloud, publishing: Publishing, tmp_path: Path
) -> None:
    cloud.write("faults", {"apps": [APPS[1]]})

    with pytest.raises(AzureFailed, match=r"az functionapp deployment source config-zip: .*unsuccessful"):
        publishing.publish(*packed(tmp_path, "one"))

    assert list(cloud.published()) == [APPS[0]]


def test_publishing_the_same_again_is_no_second_release(publishing: Publishing, tmp_path: Path) -> None:
    package, manifest = packed(tmp_path, "one")
    publishing.publish(package, manifest)
    publishing.publish(package, manifest)

    assert len(publishing.releases.all()) == 1


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


def test_an_app_should_have_the_functions_of_its_services(tmp_path: Path) -> None:
    _, manifest = packed(tmp_path, "one")

    assert manifest.wanted(["commerce", "workers"]) == {"commerce_only", "workers_only", "live"}
    assert manifest.wanted(["all"]) == {"live", *(f"{service}_only" for service in SERVICES)}


def test_the_package_of_this_source_has_its_functions_and_a_version_of_its_own(cloud: Cloud, tmp_path: Path) -> None:
    code, text = cloud.command("package", "--output", str(tmp_path / "dist" / "tessera.zip"))

    assert code == 0, text
    manifest = manifest_beside(tmp_path / "dist" / "tessera.zip")
    assert manifest.version in text
    assert manifest.version.endswith(manifest.sha256[:8])
    named = json.loads((ROOT / "infra" / "policies" / "operations.json").read_text())["operations"]
    assert {name for names in named.values() for name in names} <= manifest.wanted(["all"])


def test_commands_publish_list_and_go_back(cloud: Cloud, publishing: Publishing, tmp_path: Path) -> None:
    (one, first), (two, second) = packed(tmp_path, "one"), packed(tmp_path, "two")
    here = ["--deployment", DEPLOYMENT]

    assert cloud.command("publish", *here, "--package", str(one))[0] == 0
    publishing.releases.passed(first.version, NOW)
    assert cloud.command("publish", *here, "--package", str(two))[0] == 0
    listed = cloud.command("releases", *here)[1]
    code, text = cloud.command("rollback", *here, "--package", str(two))

    assert [line.split() for line in listed.splitlines()] == [
        [first.version, "20260501T120000Z"], [second.version, "never", "passed"],
    ]  # fmt: skip
    assert (code, f"{first.version} runs again; {second.version} does not." in text) == (0, True)
    assert cloud.published() == dict.fromkeys(APPS, one.read_bytes())


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


def test_releases_of_other_deployments_are_not_seen(cloud: Cloud, publishing: Publishing, tmp_path: Path) -> None:
    publishing.publish(*packed(tmp_path, "one"))
    other = replace(publishing, deployed=publishing.deployed.model_copy(update={"releases_account": "stother"}))

    assert other.releases.all() == []
