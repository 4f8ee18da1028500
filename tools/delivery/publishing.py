"""Publishing a package to the function apps of a deployment, and going back to the one before.

Flex Consumption has no slots: a package replaces the one before, and going back is publishing that one again. Python
needs Azure's own build, which installs requirements.txt for the machine the app runs on.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from tools.delivery.azure import PUBLISHING_SECONDS, Azure
from tools.delivery.deployment import Deployment
from tools.delivery.package import Manifest
from tools.delivery.releases import Release, Releases

type Tell = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Publishing:
    """Brings packages to apps.

    :param tell: is told of each step
    """

    azure: Azure
    deployed: Deployment
    tell: Tell

    @property
    def releases(self) -> Releases:
        """The packages that are kept."""
        return Releases(self.azure, self.deployed.releases_account)

    def publish(self, package: Path, manifest: Manifest) -> None:
        """Keep the package, then publish it to every app, one after the other.

        :raises PackageDamaged: it is not the one its manifest tells of; nothing was changed
        :raises AzureFailed: Azure refused; apps before the one it names have the new package
        """
        manifest.check(package)
        new = self.releases.keep(package, manifest)
        self.tell(f"{manifest.version}: {'kept' if new else 'was kept before'} in {self.deployed.releases_account}")
        for app in self.deployed.function_apps:
            self.tell(f"{app}: publishing {manifest.version} …")
            self._push(app, package)

    def go_back(self, failed: str, folder: Path) -> Release:
        """Publish the version that passed its smoke test last, instead of the one that failed.

        :param folder: where its package may be put
        :raises NothingToGoBackTo: no other ever passed
        :raises PackageDamaged: what was kept is not what was published
        :raises AzureFailed: Azure refused
        """
        release = self.releases.to_go_back_to(failed)
        package, manifest = self.releases.fetch(release.version, folder)
        self.tell(f"going back from {failed} to {release.version}, which passed at {release.passed_at}")
        self.publish(package, manifest)
        return release

    def _push(self, app: str, package: Path) -> None:
        self.azure.ask(
            "functionapp", "deployment", "source", "config-zip", "--resource-group", self.deployed.resource_group,
            "--name", app, "--src", str(package), "--build-remote", "true", "--timeout", f"{PUBLISHING_SECONDS:.0f}",
            seconds=PUBLISHING_SECONDS + 60,
        )  # fmt: skip
