"""`az` fails and Azure goes on: what it says is looked into, and what runs is asked. The texts are those of az 2.91."""

from pathlib import Path
from typing import Final

import pytest

from tests.infra.cloud import APPS, DEPLOYMENT, Cloud
from tests.infra.smoke.support import NOBODY
from tools.delivery.azure import AzureFailed
from tools.delivery.deployment import found
from tools.delivery.package import Manifest
from tools.delivery.pushing import ATTEMPTS_MAX, LOOKS, Pushing

APP: Final = APPS[0]
GOES_ON: Final = (
    "Timeout reached by the command, however, the deployment operation\n                       is still on-going. "
    "Navigate to your scm site to check the deployment status"
)
UNHEALTHY: Final = "Deployment was successful but the app appears to be unhealthy. Please check the app logs."
AWAY: Final = "An error occured during deployment. Status Code: 503, Details: The service is unavailable."
OCCUPIED: Final = "There may be an ongoing deployment. Please track your deployment in https://x.scm.example"
FAILED: Final = "Zip deployment failed. {'status': 3}. These are the deployment logs: \n[]"


@pytest.fixture
def manifest(cloud: Cloud) -> Manifest:
    return cloud.pack_as_here()


def pushed(cloud: Cloud, manifest: Manifest, *said: str) -> list[str]:
    """Hand it over to an app of which `az` says this, try after try; what is told."""
    cloud.write("faults", {"says": {APP: said}})
    told: list[str] = []
    pushing = Pushing(cloud.azure, found(cloud.azure, DEPLOYMENT), told.append, pause=0.0, look=0.0)
    pushing.push(APP, package_of(cloud), manifest)
    return told


def package_of(cloud: Cloud) -> Path:
    return cloud.home / "tessera.zip"


def tries(cloud: Cloud) -> int:
    return sum("config-zip" in words for words in cloud.commands())


def test_az_is_told_to_look_for_longer_than_it_does_by_itself(cloud: Cloud, manifest: Manifest) -> None:
    assert pushed(cloud, manifest) == []

    [words] = [each for each in cloud.commands() if "config-zip" in each]
    assert int(words[words.index("--timeout") + 1]) // 2 == LOOKS > 450
    assert cloud.published() == {APP: package_of(cloud).read_bytes()}


def test_a_build_that_goes_on_is_published_once_the_app_answers_as_it(cloud: Cloud, manifest: Manifest) -> None:
    told = pushed(cloud, manifest, GOES_ON)

    assert "is still on-going. Navigate" in told[0]
    assert told[-1] == f"{APP}: {manifest.version} at {APP} after all"


@pytest.mark.parametrize("runs", ["another version", "nobody"])
def test_a_build_that_goes_on_too_long_is_a_failure(cloud: Cloud, manifest: Manifest, runs: str) -> None:
    wanted = manifest.model_copy(update={"version": "next-1"}) if runs == "another version" else manifest
    cloud.write("hosts", {**cloud.read("hosts"), **({APP: NOBODY} if runs == "nobody" else {})})

    with pytest.raises(AzureFailed, match=rf"still on-going.*not {wanted.version} everywhere within 0 s"):
        pushed(cloud, wanted, GOES_ON)


def test_an_app_without_an_address_is_a_failure_of_that_app(cloud: Cloud, manifest: Manifest) -> None:
    cloud.write("hosts", {**cloud.read("hosts"), APP: None})

    with pytest.raises(AzureFailed, match=rf"still on-going.*{APP} has no address"):
        pushed(cloud, manifest, GOES_ON)


def test_a_version_that_cannot_tell_itself_is_not_taken_to_run(cloud: Cloud, manifest: Manifest) -> None:
    with pytest.raises(AzureFailed, match=r"config-zip: .*Timeout reached"):
        pushed(cloud, manifest.model_copy(update={"tells_version": False}), GOES_ON)


def test_what_azure_took_and_az_found_unhealthy_is_for_the_smoke_test_to_judge(
    cloud: Cloud, manifest: Manifest
) -> None:
    cloud.write("hosts", {APP: NOBODY})

    [told] = pushed(cloud, manifest, UNHEALTHY)

    assert told.startswith(f"{APP}: Mind: ")
    assert (tries(cloud), [*cloud.published()]) == (1, [APP])


def test_what_was_not_taken_is_tried_again(cloud: Cloud, manifest: Manifest) -> None:
    told = pushed(cloud, manifest, AWAY, OCCUPIED)

    assert [each.partition(":")[2].partition(",")[0] for each in told] == [
        f" not taken ({attempt} of {ATTEMPTS_MAX})" for attempt in (1, 2)
    ]
    assert (tries(cloud), [*cloud.published()]) == (3, [APP])


def test_a_site_that_stays_away_ends_the_tries(cloud: Cloud, manifest: Manifest) -> None:
    with pytest.raises(AzureFailed, match="Status Code: 503"):
        pushed(cloud, manifest, *[AWAY] * ATTEMPTS_MAX)

    assert (tries(cloud), cloud.published()) == (ATTEMPTS_MAX, {})


def test_a_build_that_failed_is_not_tried_again(cloud: Cloud, manifest: Manifest) -> None:
    with pytest.raises(AzureFailed, match="Zip deployment failed"):
        pushed(cloud, manifest, FAILED)

    assert (tries(cloud), cloud.published()) == (1, {})
