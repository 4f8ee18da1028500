"""The emulator put together."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import datetime
from pathlib import Path

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.routing import Mount

from local.emulators.cosmos.account import Account
from local.emulators.cosmos.api import Api
from local.emulators.cosmos.containers import Json, checked
from local.emulators.cosmos.controls import Controls
from local.emulators.cosmos.faults import Faults
from local.emulators.cosmos.signatures import Gate
from local.emulators.cosmos.usage import Usage
from local.emulators.database import Claim
from local.emulators.replies import refuse_control
from shared.kernel.clock import utc_now
from shared.topology import Container, Topology

_PURGE_EVERY_SECONDS = 5.0
TTL_ON = -1  # items may have a time to live, and have none by default


def build(
    path: Path, gate: Gate, *, topology: Topology | None = None, now: Callable[[], datetime] = utc_now
) -> Starlette:
    """The application over the state in the file `path`.

    :param topology: its database and containers are made at the start, as a deployment would
    :param now: the clock of `_ts` and of times to live
    :raises DirectoryTaken: another emulator works there
    """
    claim = Claim(path)
    account = Account(path, now=now)

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        if topology is not None:
            await deploy(account, topology)
        purging = asyncio.create_task(_purge(account))
        yield
        purging.cancel()
        ended = await asyncio.gather(purging, return_exceptions=True)
        account.close()
        claim.release()
        for result in ended:
            if isinstance(result, Exception):
                raise result

    faults, usage = Faults(), Usage()
    controls = Mount("/_emulator", routes=Controls(faults, usage).routes())
    routes = [controls, Mount("/", app=Api(account, gate, faults, usage))]
    return Starlette(routes=routes, lifespan=lifespan, exception_handlers={HTTPException: refuse_control})


async def deploy(account: Account, topology: Topology) -> None:
    """Make the database and the containers that are missing."""
    names = {database.id for database in account.databases()}
    if topology.database not in names:
        await account.create_database(topology.database)
    database = account.database(topology.database)
    present = {container.id for container in account.containers(database)}
    lacking = [container for container in topology.containers if container.name not in present]
    await asyncio.gather(*(account.create_container(database, checked(definition_of(one))) for one in lacking))


def definition_of(container: Container) -> Json:
    """A container of the topology as Cosmos DB is asked for it."""
    return {
        "id": container.name,
        "partitionKey": {"paths": [f"/{container.partition_key}"], "kind": "Hash", "version": 2},
        "defaultTtl": TTL_ON,
        "indexingPolicy": {
            "includedPaths": [{"path": f"/{path}/?"} for path in container.indexed_paths],
            "excludedPaths": [{"path": "/*"}],
            "compositeIndexes": [
                [{"path": f"/{path}", "order": "ascending"}, {"path": "/id", "order": "ascending"}]
                for path in container.ordered_by
            ],
        },
    }


async def _purge(account: Account) -> None:
    while True:
        await account.purge_expired()
        await asyncio.sleep(_PURGE_EVERY_SECONDS)
