"""The real relay on the real store and a bus that fails or dawdles as told; registered with and without `@retry`."""

import asyncio
import logging
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import azure.functions as func

from functions.operations.relay import Relay
from shared.bus.embedded import EmbeddedBus
from shared.bus.port import BusUnavailable, Message
from shared.store.embedded import EmbeddedStore
from shared.topology import topology
from shared.web.triggers import change_feed

DATA = Path(os.environ["TESSERA_DATA"])
FROM_BEGINNING: Any = True  # the library's annotation says `time | None`, its documentation and the host a bool
STORE = EmbeddedStore.at(DATA / "store.db", topology(), os.environ["TESSERA_SIGNING_SECRET"].encode())
BUS = EmbeddedBus.at(DATA / "bus.db", topology())


class ToldBus:
    """Fails `FAILURES` times; answers `SLOW_SECONDS` after it took the messages."""

    def __init__(self) -> None:
        self._failures = int(os.environ["FAILURES"])

    async def publish(self, entity: str, messages: Sequence[Message]) -> None:
        """As the embedded bus.

        :raises BusUnavailable: as told
        """
        if self._failures > 0:
            self._failures -= 1
            raise BusUnavailable("as told")
        await BUS.publish(entity, messages)
        logging.getLogger("tessera.relay").info("The bus has them")
        await asyncio.sleep(float(os.environ["SLOW_SECONDS"]))


app = func.FunctionApp()
with_retry = Relay(STORE, ToldBus())
without = Relay(STORE, ToldBus())


async def relay_with_retry(documents: func.DocumentList) -> None:
    """As Tessera registers it."""
    await with_retry.send("orders", [dict(document) for document in documents])


app.register_functions(change_feed(relay_with_retry, container="orders", lease="relay"))


@app.cosmos_db_trigger(
    arg_name="documents",
    container_name="events",
    database_name="tessera",
    connection="COSMOS",
    lease_container_prefix="bare",
    start_from_beginning=FROM_BEGINNING,
)
async def relay_without_retry(documents: func.DocumentList) -> None:
    """As it must not be registered."""
    await without.send("events", [dict(document) for document in documents])
