"""The directory behind all doors: what is kept, and who is registered."""

from dataclasses import dataclass
from pathlib import Path

from local.emulators.database import Database
from local.emulators.entra import directory, grants, graph, keys
from local.emulators.entra.applications import Application, Applications


@dataclass(frozen=True)
class Registered:
    """What the provider is started with.

    :param tenant: the directory's id
    :param audience: the API that people's access tokens are for
    :param client_id: the application that tokens made for tests name
    """

    tenant: str
    audience: str
    client_id: str
    applications: tuple[Application, ...]


class Tenant:
    """Everything the doors share."""

    def __init__(self, data: Path, registered: Registered, password: str | None) -> None:
        """Open the state in `data`.

        :raises DirectoryTaken: another emulator works there
        """
        schema = keys.SCHEMA + directory.SCHEMA + grants.SCHEMA + graph.SCHEMA
        self.database = Database(data / "entra.sqlite", schema)
        self.registered = registered
        self.applications = Applications(registered.applications)
        self.directory = directory.Directory(self.database, data / "people.json", password)
        self.users = self.directory.users
        self.keys = keys.KeyRing(self.database)
        self.grants = grants.Grants(self.database)
