"""Publishing a package to the function apps of a deployment, and going back to the one before.

Flex Consumption has no slots: a package replaces the one before, and going back is publishing that one again.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from tools.delivery.azure import Azure, AzureFailed
from tools.delivery.commits import leads_to
from tools.delivery.deployment import Target
from tools.delivery.history import Mark, moment_of
from tools.delivery.lease import WAIT_SECONDS, Lease, LeaseLost
from tools.delivery.package import Manifest, refuse_older
from tools.delivery.pushing import Pushing
from tools.delivery.releases import Releases

type Tell = Callable[[str], None]


class Overtaken(Exception):
    """Somebody published without taking turns: the message names the other version."""


def check_order(releases: Releases, manifest: Manifest) -> None:
    """Ask whether a package is as new as what runs.

    :raises Older: it is not
    :raises AzureFailed: Azure does not tell
    """
    history = releases.history()
    runs = history.running()
    if runs is not None and history.versions[runs.version].kept:
        refuse_older(manifest, releases.manifest(runs.version), leads_to)


@dataclass(frozen=True, slots=True)
class Publishing:
    """Brings packages to apps, one publication at a time.

    :param tell: is told of each step
    :param wait_seconds: how long somebody else who publishes is waited for
    """

    azure: Azure
    deployed: Target
    tell: Tell
    wait_seconds: float = WAIT_SECONDS

    @property
    def releases(self) -> Releases:
        """The packages that are kept."""
        return Releases(self.azure, self.deployed.releases_account)

    def publish(self, package: Path, manifest: Manifest, now: datetime, *, older: bool = False) -> None:
        """Keep the package, then publish it to every app, one after the other.

        What is published is written down before the first app has it, and again once all do.

        :param older: whether it may be of an older commit than what runs
        :raises PackageDamaged: it is not the one its manifest tells of; nothing was changed
        :raises Older: it is, and may not be; nothing was changed
        :raises Occupied: somebody else publishes; nothing was changed
        :raises AzureFailed: Azure refused; the apps that it does not name have the new package
        :raises LeaseLost: somebody broke our turn; apps may have either version
        :raises Overtaken: somebody published without taking turns
        """
        manifest.check(package)
        with self.releases.alone(self.tell, self.wait_seconds) as turn:
            if not older:
                check_order(self.releases, manifest)
            self._publish(package, manifest, now, turn)

    def go_back(self, folder: Path, now: datetime, *, failed: str = "", to: str = "") -> tuple[str, str]:
        """Publish another version instead of the one that runs, which is marked as bad.

        Both versions, the bad one first; empty, if it is not known or was wanted itself.

        :param folder: where its package may be put
        :param failed: the version that should not run; empty: whichever does
        :param to: the version wanted; empty: the one that passed last and did not turn bad
        :raises NotRunning: `failed` does not run, or `to` is not kept; nothing was changed
        :raises NothingToGoBackTo: no other may be trusted; nothing was changed
        :raises Occupied: somebody else publishes; nothing was changed
        :raises PackageDamaged: what was kept is not what was published
        :raises AzureFailed: Azure refused
        :raises LeaseLost: somebody broke our turn; apps may have either version
        """
        with self.releases.alone(self.tell, self.wait_seconds) as turn:
            history = self.releases.history()
            target, runs = history.target(failed, to), history.running()
            package, manifest = self.releases.fetch(target.name, folder)
            bad = runs.version if runs and runs.version != target.name else ""
            if bad:
                self.releases.mark(bad, Mark.BAD, history.after(now, bad))
            self.tell(f"from {bad or 'what runs'} to {target.name}, passed at {target.last(Mark.PASSED) or 'no time'}")
            self._publish(package, manifest, now, turn)
        return bad, target.name

    def _publish(self, package: Path, manifest: Manifest, now: datetime, turn: Lease) -> None:
        new = self.releases.keep(package, manifest)
        self.tell(f"{manifest.version}: {'kept' if new else 'was kept before'} in {self.deployed.releases_account}")
        now = self.releases.history().after(now, manifest.version)
        self.releases.mark(manifest.version, Mark.PUBLISHING, now)
        failed: list[str] = []
        for app in self.deployed.function_apps:
            try:
                turn.held()
            except LeaseLost as error:
                raise LeaseLost("; ".join([str(error), *failed])) from None
            if why := self._pushed(app, package, manifest):
                failed.append(why)  # the others have it: a way back that stopped here would leave all on what failed
        if failed:
            raise AzureFailed("; ".join(failed))
        runs = self.releases.history().running()
        if runs is None or (runs.version, runs.moment) != (manifest.version, moment_of(now)):
            other = runs.version if runs else "another version"
            raise Overtaken(f"{other} was published meanwhile, so apps may have either: publish one of them again.")
        self.releases.mark(manifest.version, Mark.PUBLISHED, now)

    def _pushed(self, app: str, package: Path, manifest: Manifest) -> str:
        """Publish to an app; why that failed, or nothing."""
        self.tell(f"{app}: publishing {manifest.version} …")
        try:
            Pushing(self.azure, self.deployed, self.tell).push(app, package, manifest)
        except AzureFailed as error:
            return f"{app}: {error}"
        return ""
