"""The directory behind all doors: what is kept, and who is registered."""

from dataclasses import dataclass
from pathlib import Path

from local.emulators.database import Database
from local.emulators.entra import directory, families, grants, graph, keys, links, post, secrets, sessions
from local.emulators.entra.applications import Application, Applications
from local.emulators.entra.clock import Clock
from local.emulators.entra.faults import Fault
from local.emulators.entra.throttle import Throttle
from local.emulators.rules import Rules

_PARTS = (secrets, keys, directory, grants, families, sessions, links, post, graph)


@dataclass(frozen=True)
class Registered:
    """What the provider is started with.

    :param tenant: the directory's id
    :param audience: the API that people's access tokens are for
    :param client_id: the application that tokens made for tests name
    :param smtp: the mail server, `host:port`, if there is one
    """

    tenant: str
    audience: str
    client_id: str
    applications: tuple[Application, ...]
    smtp: str | None = None


class Tenant:
    """Everything the doors share."""

    def __init__(self, data: Path, registered: Registered, password: str | None) -> None:
        """Open the state in `data`.

        :raises DirectoryTaken: another emulator works there
        """
        self.database = Database(data / "entra.sqlite", "".join(part.SCHEMA for part in _PARTS))
        self.registered = registered
        self.clock = Clock()
        self.applications = Applications(registered.applications)
        self.secret = secrets.OwnSecret(self.database)
        self.directory = directory.Directory(self.database, data / "people.json", password, self.clock)
        self.users = self.directory.users
        self.keys = keys.KeyRing(self.database, self.clock)
        self.grants = grants.Grants(self.database)
        self.families = families.Families(self.database, self.secret)
        self.sessions = sessions.Sessions(self.database, self.users)
        self.throttle = Throttle(self.database)
        self.links = links.Links(self.database)
        self.post = post.Post(self.database, self.users, self.links, self.clock, registered.smtp)
        self.faults: Rules[Fault] = Rules()
