"""The emulator put together."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from starlette.applications import Starlette
from starlette.exceptions import HTTPException

from local.emulators.applicationinsights.ingestion import Ingestion
from local.emulators.applicationinsights.queries import Queries
from local.emulators.applicationinsights.store import SCHEMA, Items
from local.emulators.applicationinsights.web import Web
from local.emulators.database import Database
from local.emulators.replies import refuse_control


def build(*, data: Path, bearer: str) -> Starlette:
    """The application over the state in `data`.

    :param bearer: the access token a sender must bear; empty: none is asked for
    :raises DirectoryTaken: another emulator works there
    """
    database = Database(data / "applicationinsights.sqlite", SCHEMA)
    items = Items(database)

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        yield
        database.close()

    ingestion = Ingestion(items, bearer)
    routes = [*ingestion.routes(), *Queries(items, ingestion.is_known).routes(), *Web(items).routes()]
    return Starlette(routes=routes, lifespan=lifespan, exception_handlers={HTTPException: refuse_control})
