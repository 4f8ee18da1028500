"""References of app settings to secrets: every app fetches them anew, says which it could, and starts again with them.

App Service keeps what it fetched for a day, and a reference that failed as well; a restart does not ask the vault:
https://learn.microsoft.com/azure/app-service/app-service-key-vault-references ("Understand rotation").
"""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Final

from tools.delivery.azure import Azure, AzureFailed
from tools.delivery.deployment import Deployment

VERSION: Final = "2022-03-01"  # of Azure's interface, as its documentation writes it
RESOLVED: Final = "Resolved"
PATIENCE_SECONDS: Final = 120.0  # for all apps together: what was just given to them may be seen some minutes later
POLL_SECONDS: Final = 10.0
PAGES_MAX: Final = 20
_LISTED: Final = "/config/configreferences/appsettings"


class Unresolved(Exception):
    """An app does not get a secret; the message names app, setting, secret and Azure's reason."""


@dataclass(frozen=True, slots=True)
class Reference:
    """A setting that refers to a secret, as an app sees it.

    :param status: `Resolved`, or why not
    :param version: of the secret that the app has; empty: Azure does not tell
    """

    setting: str
    secret: str
    status: str
    details: str
    version: str = ""

    def __str__(self) -> str:
        why = (f", version {self.version}" if self.version else "") if self.status == RESOLVED else f" {self.details}"
        return f"{self.setting} ← {self.secret}: {self.status}{why}".rstrip()


@dataclass(frozen=True, slots=True)
class References:
    """The references of every app of a deployment.

    :param tell: is told of each reference, and of each app
    :param seconds: how long those that fail are asked for again
    :param poll: seconds between two tries
    """

    azure: Azure
    deployed: Deployment
    tell: Callable[[str], None]
    seconds: float = PATIENCE_SECONDS
    poll: float = POLL_SECONDS

    def refresh(self) -> None:
        """Have every app fetch its secrets anew, and start those again that have all of theirs.

        What is fetched may be seen late, so a version that is the same as before is told as that: whether there is a
        newer one only the vault knows, which whoever refreshes may not be allowed to ask.

        :raises Unresolved: an app lacks one; the others have theirs
        :raises AzureFailed: Azure refused
        """
        give_up = time.monotonic() + self.seconds
        where = {app: self._id(app) for app in self.deployed.function_apps}
        before = {app: self._told(each) for app, each in where.items()}
        lacking: dict[str, list[Reference]] = {}
        while where:
            lacking = {}
            for app, each in list(where.items()):
                found = self._fetched(each)
                if missing := [reference for reference in found if reference.status != RESOLVED]:
                    lacking[app] = missing
                    continue
                self._restart(app, found, before[app])
                del where[app]
            if not lacking or time.monotonic() >= give_up:
                break
            self.tell(f"asked again in {self.poll:.0f} s: {_said(lacking)}")
            time.sleep(self.poll)
        if lacking:
            raise Unresolved(
                f"{_said(lacking)}. These apps were not started again. A role that was just given is seen some minutes "
                "later: `refresh` again; a secret that is not there: `secrets`."
            )

    def _fetched(self, app: str) -> list[Reference]:
        self.azure.ask("rest", "--method", "post", "--url", f"{app}{_LISTED}/refresh?api-version={VERSION}")
        return self._told(app)

    def _told(self, app: str) -> list[Reference]:
        return [
            Reference(
                setting=str(each["name"]),
                secret=str(each["properties"].get("secretName") or "no secret's name"),
                status=str(each["properties"].get("status") or "no word of it"),
                details=str(each["properties"].get("details") or ""),
                version=str(each["properties"].get("activeVersion") or ""),
            )
            for each in self._listed(f"{app}{_LISTED}?api-version={VERSION}")
        ]

    def _listed(self, url: str) -> Iterator[dict[str, Any]]:
        for _ in range(PAGES_MAX):
            page = self.azure.ask("rest", "--method", "get", "--url", url)
            yield from page["value"]
            url = page.get("nextLink") or ""
            if not url:
                return
        raise AzureFailed(f"more than {PAGES_MAX} pages of references")

    def _restart(self, app: str, found: list[Reference], before: list[Reference]) -> None:
        for reference in found:
            self.tell(f"{app}: {reference}{', as before' if reference.version and reference in before else ''}")
        self.azure.ask("functionapp", "restart", "--resource-group", self.deployed.resource_group, "--name", app)
        self.tell(f"{app}: starts again with {len(found)} secret{'' if len(found) == 1 else 's'}")

    def _id(self, app: str) -> str:
        words = ("--resource-group", self.deployed.resource_group, "--name", app, "--query", "id")
        found: str = self.azure.ask("functionapp", "show", *words)
        return found


def _said(lacking: dict[str, list[Reference]]) -> str:
    return "; ".join(f"{app}: {reference}" for app, missing in lacking.items() for reference in missing)
