"""Publishing and going back, through the double of `az`: what runs after each is what is said to run."""

import json
import subprocess
import zipfile
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from local.package import ROOT
from shared.settings import SERVICES
from tests.infra.cloud import APPS, DEPLOYMENT, OUTPUTS, Cloud, outputs
from tests.support.api import soon
from tools.delivery.azure import Azure, AzureFailed
from tools.delivery.deployment import Deployment, NotDeployed, found
from tools.delivery.history import Mark, NothingToGoBackTo, NotRunning, Version
from tools.delivery.package import Manifest, PackageDamaged, Unfit, manifest_beside, misgivings
from tools.delivery.publishing import Overtaken, Publishing
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


def at(hour: int, minute: int = 0) -> datetime:
    return NOW.replace(hour=hour, minute=minute)


def delivered(publishing: Publishing, package: tuple[Path, Manifest], hour: int, *, passes: bool = True) -> str:
    """As a pipeline does it."""
    publishing.publish(*package, at(hour))
    if passes:
        publishing.releases.mark(package[1].version, Mark.PASSED, at(hour, 30))
    return package[1].version


def runs(publishing: Publishing) -> str:
    running = publishing.releases.history().running()
    return running.version if running and running.whole else ""


def test_a_package_is_kept_and_published_to_every_app_with_azures_own_build(
    cloud: Cloud, publishing: Publishing, tmp_path: Path
) -> None:
    package, manifest = packed(tmp_path, "one")

    publishing.publish(package, manifest, NOW)

    assert cloud.published() == dict.fromkeys(APPS, package.read_bytes())
    [first, _] = [words for words in cloud.commands() if "config-zip" in words]
    assert first[first.index("--build-remote") + 1] == "true"
    [kept] = publishing.releases.history().all()
    assert (kept.name, kept.trusted, runs(publishing)) == (manifest.version, False, manifest.version)


def test_going_back_publishes_the_version_that_passed_last_and_marks_the_one_that_ran(
    cloud: Cloud, publishing: Publishing, tmp_path: Path
) -> None:
    made = [packed(tmp_path, name) for name in ("one", "two", "three", "four")]
    for hour, package in enumerate(made):
        delivered(publishing, package, hour, passes=hour < 2)  # three was never tested, and four fails

    assert publishing.go_back(tmp_path, at(5)) == (made[3][1].version, made[1][1].version)

    assert cloud.published() == dict.fromkeys(APPS, made[1][0].read_bytes())
    history = publishing.releases.history()
    assert [each.name for each in history.all() if each.bad_since] == [made[3][1].version]


def test_going_back_twice_never_comes_to_a_version_that_turned_bad(publishing: Publishing, tmp_path: Path) -> None:
    """Each passed when it was new: the smoke test did not see what was wrong."""
    one, two, three = [delivered(publishing, packed(tmp_path, name), n) for n, name in enumerate(("a", "b", "c"))]

    assert publishing.go_back(tmp_path, at(5)) == (three, two)
    assert publishing.go_back(tmp_path, at(6)) == (two, one)
    with pytest.raises(NothingToGoBackTo, match="each that did is marked as bad"):
        publishing.go_back(tmp_path, at(7))
    assert runs(publishing) == one


def test_what_runs_decides_and_not_what_somebody_thinks_does(
    cloud: Cloud, publishing: Publishing, tmp_path: Path
) -> None:
    one, two = [delivered(publishing, packed(tmp_path, name), n) for n, name in enumerate(("a", "b"))]
    before = cloud.published()

    for wrong in (one, "b-typo"):
        with pytest.raises(NotRunning, match=f"{wrong} does not run; {two} does. Nothing was changed."):
            publishing.go_back(tmp_path, at(5), failed=wrong)
    assert (cloud.published(), publishing.releases.history().versions[two].bad_since) == (before, "")
    assert publishing.go_back(tmp_path, at(6), failed=two) == (two, one)


def test_a_version_is_asked_for_by_name_tested_or_not(publishing: Publishing, tmp_path: Path) -> None:
    one, two, three = [
        delivered(publishing, packed(tmp_path, name), n, passes=n > 0) for n, name in enumerate(("a", "b", "c"))
    ]

    assert publishing.go_back(tmp_path, at(5), to=one) == (three, one)
    with pytest.raises(NotRunning, match=f"{one} runs already"):
        publishing.go_back(tmp_path, at(6), to=one)
    with pytest.raises(NotRunning, match="d is not kept here"):
        publishing.go_back(tmp_path, at(6), to="d")
    assert publishing.go_back(tmp_path, at(7)) == (one, two)


def test_a_way_back_that_was_interrupted_is_gone_to_its_end(
    cloud: Cloud, publishing: Publishing, tmp_path: Path
) -> None:
    made = [packed(tmp_path, name) for name in ("a", "b", "c")]
    _, two, three = [delivered(publishing, package, n) for n, package in enumerate(made)]
    cloud.write("faults", {"apps": [APPS[1]]})
    with pytest.raises(AzureFailed):
        publishing.go_back(tmp_path, at(5))
    cloud.write("faults", {})
    half = runs(publishing)

    assert publishing.go_back(tmp_path, at(6)) == ("", two)

    assert (half, runs(publishing)) == ("", two)
    assert cloud.published() == dict.fromkeys(APPS, made[1][0].read_bytes())
    assert [each.name for each in publishing.releases.history().all() if each.bad_since] == [three]


def said(**marks: str) -> Version:
    """A version with marks at these hours."""
    return Version("v", True, {name: tuple(hours) for name, hours in marks.items()})


@pytest.mark.parametrize(
    ("version", "trusted"),
    [
        (said(passed="1"), True),
        (said(), False),
        (said(bad="1", passed="2"), True),  # its first test failed, for whatever reason, and the next one did not
        (said(passed="1", bad="2"), False),
        (said(passed="13", bad="2"), False),  # what the test did not see then it does not see now
        (said(passed="1", bad="2", good="3"), True),
        (said(passed="1", bad="24", good="3"), False),
        (replace(said(passed="1"), kept=False), False),
    ],
)
def test_a_version_that_turned_bad_after_it_had_passed_is_bad_until_somebody_says_otherwise(
    version: Version, trusted: bool
) -> None:
    assert version.trusted is trusted


def test_two_publications_at_once_are_told_of(cloud: Cloud, publishing: Publishing, tmp_path: Path) -> None:
    """The second one begins while the first one waits for its first app."""
    one, two = packed(tmp_path, "one"), packed(tmp_path, "two")
    other = replace(publishing, tell=lambda _: None)

    def meanwhile(said: str) -> None:
        if said.startswith(APPS[0]):
            other.publish(*two, at(13))

    with pytest.raises(Overtaken, match=f"{two[1].version} was published meanwhile"):
        replace(publishing, tell=meanwhile).publish(*one, NOW)

    assert set(cloud.published().values()) == {one[0].read_bytes()}  # and that is why it is an error
    assert one[1].version != runs(publishing)


def test_a_version_that_passed_again_counts_by_the_last_time(publishing: Publishing, tmp_path: Path) -> None:
    one, two, three = packed(tmp_path, "one"), packed(tmp_path, "two"), packed(tmp_path, "three")
    for hour, package in enumerate((one, two, one)):
        delivered(publishing, package, hour)
    delivered(publishing, three, 4, passes=False)

    assert publishing.releases.history().target("", "").name == one[1].version


def test_where_no_other_version_ever_passed_nothing_is_changed(
    cloud: Cloud, publishing: Publishing, tmp_path: Path
) -> None:
    version = delivered(publishing, packed(tmp_path, "one"), 1)
    publishing.releases.keep(*packed(tmp_path, "untested"))
    before = cloud.published()

    with pytest.raises(NothingToGoBackTo, match="has passed its smoke test here"):
        publishing.go_back(tmp_path, at(2))

    assert (cloud.published(), publishing.releases.history().versions[version].bad_since) == (before, "")


def test_where_nobody_knows_what_runs_a_version_has_to_be_named(publishing: Publishing, tmp_path: Path) -> None:
    package, manifest = packed(tmp_path, "one")
    publishing.releases.keep(package, manifest)
    publishing.releases.mark(manifest.version, Mark.PASSED, NOW)

    with pytest.raises(NothingToGoBackTo, match="say --to <version>"):
        publishing.go_back(tmp_path, at(13))
    assert publishing.go_back(tmp_path, at(13), to=manifest.version) == ("", manifest.version)


def kept_as(cloud: Cloud, manifest: Manifest) -> Path:
    return cloud.home / "blobs" / "streleases" / "releases" / manifest.version


def test_an_upload_that_was_interrupted_goes_on_where_it_was(
    cloud: Cloud, publishing: Publishing, tmp_path: Path
) -> None:
    package, manifest = packed(tmp_path, "one")
    publishing.releases.keep(package, manifest)
    (kept_as(cloud, manifest) / "tessera.json").unlink()
    assert publishing.releases.history().all() == []

    publishing.publish(package, manifest, NOW)

    assert runs(publishing) == manifest.version
    assert [each.name for each in publishing.releases.history().all()] == [manifest.version]


def test_another_package_under_the_same_version_is_not_taken_for_it(
    cloud: Cloud, publishing: Publishing, tmp_path: Path
) -> None:
    package, manifest = packed(tmp_path, "one")
    publishing.releases.keep(package, manifest)
    (kept_as(cloud, manifest) / "tessera.json").unlink()
    (kept_as(cloud, manifest) / "tessera.zip").write_bytes(b"another")

    with pytest.raises(PackageDamaged):
        publishing.publish(package, manifest, NOW)

    assert cloud.published() == {}


def test_a_version_that_was_not_kept_whole_is_not_gone_back_to(
    cloud: Cloud, publishing: Publishing, tmp_path: Path
) -> None:
    one = packed(tmp_path, "one")
    delivered(publishing, one, 1)
    delivered(publishing, packed(tmp_path, "two"), 2)
    (kept_as(cloud, one[1]) / "tessera.json").unlink()

    with pytest.raises(NothingToGoBackTo):
        publishing.go_back(tmp_path, at(3))


def test_a_kept_package_that_was_changed_is_not_published(cloud: Cloud, publishing: Publishing, tmp_path: Path) -> None:
    one = packed(tmp_path, "one")
    delivered(publishing, one, 1)
    two = delivered(publishing, packed(tmp_path, "two"), 2)
    (kept_as(cloud, one[1]) / "tessera.zip").write_bytes(b"another")

    with pytest.raises(PackageDamaged, match=f"is not what was made as version {one[1].version}"):
        publishing.go_back(tmp_path, at(3))

    assert (runs(publishing), publishing.releases.history().versions[two].bad_since) == (two, "")


def test_a_package_that_is_not_its_manifests_is_refused_before_anything(
    cloud: Cloud, publishing: Publishing, tmp_path: Path
) -> None:
    package, manifest = packed(tmp_path, "one")

    with pytest.raises(PackageDamaged):
        publishing.publish(package, manifest.model_copy(update={"sha256": "0" * 64}), NOW)

    assert (cloud.published(), publishing.releases.history().all()) == ({}, [])


@pytest.mark.parametrize("app", APPS)
def test_an_app_that_takes_no_package_is_named_and_the_others_have_it(
    cloud: Cloud, publishing: Publishing, tmp_path: Path, app: str
) -> None:
    cloud.write("faults", {"apps": [app]})

    with pytest.raises(AzureFailed, match=rf"{app}: az functionapp deployment source config-zip: .*unsuccessful"):
        publishing.publish(*packed(tmp_path, "one"), NOW)

    assert [*cloud.published()] == [each for each in APPS if each != app]
    assert runs(publishing) == ""


def test_what_ends_waiting_for_az_ends_all_that_az_started(tmp_path: Path) -> None:
    """As az does: a script that starts another program, and keeps waiting for it."""
    program = tmp_path / "az"
    program.write_text(f'#!/bin/sh\nsleep 60 & echo $! > "{tmp_path}/child"\nwait\n')
    program.chmod(0o700)

    with pytest.raises(AzureFailed, match=r"az account took longer than 1 s"):
        Azure(program=str(program)).ask("account", seconds=1.0)

    child = int((tmp_path / "child").read_text())
    assert soon(lambda: ended(child) or None, "the end of what az started")


def ended(process: int) -> bool:
    """Also one that nobody has asked for its exit code."""
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except FileNotFoundError:
        return True


def test_manifests_of_other_versions_are_read(tmp_path: Path) -> None:
    """A way back reads what was written by another commit than the one that is checked out."""
    told = json.loads((Path(__file__).parent / "manifest_of_2026_11.json").read_text())
    path = tmp_path / "tessera.json"
    path.write_text(json.dumps({**told, "made_by": "a later version"}))

    assert Manifest.read(path).version == told["version"]
    path.write_text("{}")
    with pytest.raises(PackageDamaged, match="is no manifest"):
        Manifest.read(path)


def test_publishing_the_same_again_is_no_second_release(publishing: Publishing, tmp_path: Path) -> None:
    package = packed(tmp_path, "one")
    delivered(publishing, package, 1)
    delivered(publishing, package, 2)

    assert len(publishing.releases.history().all()) == 1


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


@pytest.mark.parametrize(("mark", "goes_back"), [(None, True), (Mark.PASSED, False), (Mark.UNDECIDED, False)])
def test_a_pipeline_goes_back_only_from_what_it_published_and_found_wrong(
    cloud: Cloud, publishing: Publishing, tmp_path: Path, mark: Mark | None, goes_back: bool
) -> None:
    one, two = packed(tmp_path, "one"), packed(tmp_path, "two")
    delivered(publishing, one, 1)
    publishing.publish(*two, at(2))
    if mark is not None:
        publishing.releases.mark(two[1].version, mark, at(2, 30))
    before = publishing.releases.history()

    code, text = cloud.command("rollback", "--environment", "dev", "--package", str(two[0]))

    assert (code, runs(publishing)) == (0, one[1].version if goes_back else two[1].version), text
    if not goes_back:
        assert publishing.releases.history() == before
    code, text = cloud.command("rollback", "--environment", "dev", "--package", str(packed(tmp_path, "three")[0]))
    assert (code, "does not run here" in text) == (0, True)  # the stage ended before it published anything


def test_what_is_not_committed_or_stale_is_not_published_to_people() -> None:
    functions = dict.fromkeys(SERVICES, ("live",))

    def made_of(commit: str) -> Manifest:
        return Manifest(version=f"{commit}-00000000", sha256="0" * 64, functions=functions)

    assert misgivings(made_of("abc"), "abc", strict=True) == []
    assert misgivings(made_of("abc"), "", strict=True) == []
    [said] = misgivings(made_of("abc-dirty"), "abc", strict=False)
    assert "files that are not committed" in said
    for unfit in ("abc-dirty", "def"):
        with pytest.raises(Unfit, match="Nothing was changed"):
            misgivings(made_of(unfit), "abc", strict=True)


def test_prod_refuses_what_dev_is_only_told_of(cloud: Cloud, tmp_path: Path) -> None:
    prod = outputs({**OUTPUTS, "azurE_RESOURCE_GROUP": "rg-tessera-prod"})
    cloud.write("deployments", {"tickets-prod": prod})
    package, _ = packed(tmp_path, "one")

    words = ["publish", "--environment", "prod", "--package", str(package)]
    code, text = cloud.command(*words, TESSERA_INSTALLATION="tickets")

    assert (code, cloud.published()) == (1, {})
    assert "was made of another commit than" in text


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


def test_releases_of_other_deployments_are_not_seen(cloud: Cloud, publishing: Publishing, tmp_path: Path) -> None:
    publishing.publish(*packed(tmp_path, "one"), NOW)
    other = replace(publishing, deployed=publishing.deployed.model_copy(update={"releases_account": "stother"}))

    assert other.releases.history().all() == []
