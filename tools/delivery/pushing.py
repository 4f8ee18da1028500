"""A package to one function app by `az`, and what becomes of it where `az` fails and Azure goes on.

Read in `az` 2.91 (`command_modules/appservice/custom.py`): for Flex Consumption it hands the package over, looks at the
deployment `--timeout` / 2 times, a second and an answer apart, then waits a minute and asks the host for its state 15
times. So it can fail where Azure has the package, or still builds; what it says then is looked into here.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import httpx

from tools.delivery.azure import PUBLISHING_SECONDS, Azure, AzureFailed
from tools.delivery.deployment import NotDeployed, Target, address_of
from tools.delivery.outcome import CheckFailed
from tools.delivery.package import Manifest
from tools.delivery.shop import REQUEST_SECONDS
from tools.delivery.versions import answering

LOOKS: Final = 900  # of `az`; without being told it looks 450 times, which is less than a slow build takes
ATTEMPTS_MAX: Final = 10  # all of them within PUBLISHING_SECONDS
PAUSE_SECONDS: Final = 30.0
LOOK_SECONDS: Final = 300.0  # how long an app that `az` gave up on is asked for its version
POLL_SECONDS: Final = 10.0
# Nothing was taken: another deployment goes on, or the app's deployment site is not there yet.
_AGAIN: Final = ("There may be an ongoing deployment", *(f"Status Code: {code}" for code in (502, 503, 504)))
_GOES_ON: Final = ("operation is still on-going", "Failed to retrieve deployment status", "took longer than")
_TAKEN: Final = ("Deployment was successful but", "Failed to fetch host")


@dataclass(frozen=True, slots=True)
class Pushing:
    """Brings a package to an app.

    :param tell: is told of each step
    :param pause: seconds before another try
    :param look: how long an app is asked for its version, in seconds
    """

    azure: Azure
    deployed: Target
    tell: Callable[[str], None]
    pause: float = PAUSE_SECONDS
    look: float = LOOK_SECONDS

    def push(self, app: str, package: Path, manifest: Manifest) -> None:
        """Hand a package to an app, and wait until the app has it.

        :raises AzureFailed: Azure refused it, or it is not there in time
        """
        try:
            self._handed_over(app, package)
        except AzureFailed as error:
            said = " ".join(str(error).split())
            if any(each in said for each in _TAKEN):
                self.tell(f"{app}: Mind: {said} Azure has the package; whether it works, the smoke test tells.")
            elif any(each in said for each in _GOES_ON) and manifest.tells_version:
                self._seen(app, manifest.version, said)
            else:
                raise

    def _handed_over(self, app: str, package: Path) -> None:
        give_up = time.monotonic() + PUBLISHING_SECONDS
        for attempt in range(1, ATTEMPTS_MAX + 1):
            try:
                self.azure.ask(
                    "functionapp", "deployment", "source", "config-zip",
                    "--resource-group", self.deployed.resource_group, "--name", app, "--src", str(package),
                    "--build-remote", "true", "--timeout", str(2 * LOOKS), seconds=give_up - time.monotonic(),
                )  # fmt: skip
            except AzureFailed as error:
                passes = any(each in str(error) for each in _AGAIN)
                if not passes or attempt == ATTEMPTS_MAX or time.monotonic() + self.pause >= give_up:
                    raise
                self.tell(f"{app}: not taken ({attempt} of {ATTEMPTS_MAX}), again in {self.pause:.0f} s: {error}")
                time.sleep(self.pause)
            else:
                return

    def _seen(self, app: str, version: str, said: str) -> None:
        """Ask the app itself, which knows what it is: Azure tells of its latest deployment, whichever that is."""
        self.tell(f"{app}: {said} The app is asked for its version for up to {self.look:.0f} s …")
        try:
            address = f"{address_of(self.azure, self.deployed, app)}/api/health/live"
            with httpx.Client(timeout=REQUEST_SECONDS) as http:
                told = answering(http, {app: address}, version, seconds=self.look, poll=POLL_SECONDS, tell=self.tell)
        except (CheckFailed, NotDeployed) as error:
            raise AzureFailed(f"{said} And then: {error}") from None
        self.tell(f"{app}: {told} after all")
