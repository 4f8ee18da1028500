"""The emulator put together: API, pages, controls, and the two things that run by themselves."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.routing import Mount, Route

from local.emulators.database import Database
from local.emulators.replies import refuse_control
from local.emulators.stripe import sessions
from local.emulators.stripe.account import Account, public
from local.emulators.stripe.api import Api
from local.emulators.stripe.controls import Controls
from local.emulators.stripe.faults import Faults
from local.emulators.stripe.idempotency import Keys
from local.emulators.stripe.ledger import SCHEMA, Ledger
from local.emulators.stripe.pages import Hosted
from local.emulators.stripe.webhooks import Behaviour, Outbox, Receiver

_EXPIRY_EVERY_SECONDS = 0.5


def build(*, data: Path, public_url: str, api_key: str, receiver: Receiver) -> Starlette:
    """The application over the state in `data`.

    :raises DirectoryTaken: another emulator works there
    """
    database = Database(data / "stripe.sqlite", SCHEMA)
    ledger = Ledger(database)
    outbox = Outbox(database, receiver, Behaviour.model_validate(ledger.recall("webhooks") or {}))
    account = Account(ledger, outbox, public_url)
    keys, faults = Keys(database), Faults()

    def payload_of(event: str) -> dict[str, Any]:
        found = ledger.find("event", event)
        assert found is not None, "a delivery without its event"
        return public(found)

    async def expire() -> None:
        while True:
            with database.transaction():
                sessions.expire_due(account)
            await asyncio.sleep(_EXPIRY_EVERY_SECONDS)

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        keys.forget_old(account.now())
        tasks = [asyncio.create_task(expire()), asyncio.create_task(outbox.run(payload_of))]
        yield
        for task in tasks:
            task.cancel()
        ended = await asyncio.gather(*tasks, return_exceptions=True)
        database.close()
        for result in ended:
            if isinstance(result, Exception):
                raise result

    api = Api(account, database, keys, faults, api_key)
    controls = Mount("/_emulator", routes=Controls(account, database, faults).routes())
    routes: list[Route | Mount] = [*api.routes(), controls, *Hosted(account, database).routes()]
    return Starlette(routes=routes, lifespan=lifespan, exception_handlers={HTTPException: refuse_control})
