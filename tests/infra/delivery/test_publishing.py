"""Publishing, through the double of `az`: what runs afterwards is what is said to run."""

from dataclasses import replace
from pathlib import Path

import pytest

from shared.settings import SERVICES
from tests.infra.cloud import ACCOUNT, APPS, OUTPUTS, Cloud, outputs
from tests.infra.delivery.support import NOW, at, delivered, packed, runs
from tools.delivery.azure import AzureFailed
from tools.delivery.history import Mark
from tools.delivery.lease import LOCK, LeaseLost
from tools.delivery.package import Manifest, PackageDamaged, Unfit, misgivings
from tools.delivery.publishing import Overtaken, Publishing


def test_a_package_is_kept_and_published_to_every_app(cloud: Cloud, publishing: Publishing, tmp_path: Path) -> None:
    package, manifest = packed(tmp_path, "one")

    publishing.publish(package, manifest, NOW)

    assert cloud.published() == dict.fromkeys(APPS, package.read_bytes())
    [first, _] = [words for words in cloud.commands() if "config-zip" in words]
    assert first[first.index("--build-remote") + 1] == "true"
    [kept] = publishing.releases.history().all()
    assert (kept.name, kept.trusted, runs(publishing)) == (manifest.version, False, manifest.version)


def test_a_publication_that_took_no_turn_is_told_of(publishing: Publishing, tmp_path: Path) -> None:
    """As by an older version of these commands, which knew of no lease."""
    one, two = packed(tmp_path, "one"), packed(tmp_path, "two")

    def meanwhile(said: str) -> None:
        if said.startswith(APPS[0]):
            publishing.releases.mark(two[1].version, Mark.PUBLISHING, at(13))

    with pytest.raises(Overtaken, match=f"{two[1].version} was published meanwhile"):
        replace(publishing, tell=meanwhile).publish(*one, NOW)

    assert one[1].version != runs(publishing)


def test_a_clock_that_is_behind_does_not_hide_what_runs(publishing: Publishing, tmp_path: Path) -> None:
    one, two = packed(tmp_path, "one"), packed(tmp_path, "two")

    publishing.publish(*one, at(13))
    publishing.publish(*two, at(12))

    assert runs(publishing) == two[1].version


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


def test_a_turn_that_was_lost_names_the_app_that_had_refused_before(
    cloud: Cloud, publishing: Publishing, tmp_path: Path
) -> None:
    cloud.write("faults", {"apps": [APPS[0]]})

    def meanwhile(said: str) -> None:
        if said.startswith(APPS[0]):
            where = (
                "--account-name",
                ACCOUNT,
                "--container-name",
                "releases",
                "--auth-mode",
                "login",
                "--blob-name",
                LOCK,
            )
            cloud.azure.ask("storage", "blob", "lease", "break", *where, "--lease-break-period", "0")

    with pytest.raises(LeaseLost, match=f"apps may have either.*; {APPS[0]}: az .*unsuccessful"):
        replace(publishing, tell=meanwhile).publish(*packed(tmp_path, "one"), NOW)

    assert cloud.published() == {}


def test_publishing_the_same_again_is_no_second_release(publishing: Publishing, tmp_path: Path) -> None:
    package = packed(tmp_path, "one")
    delivered(publishing, package, 1)
    delivered(publishing, package, 2)

    assert len(publishing.releases.history().all()) == 1


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
