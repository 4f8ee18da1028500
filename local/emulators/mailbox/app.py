"""The emulator put together: SMTP in, pages out."""

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from starlette.applications import Starlette
from starlette.exceptions import HTTPException

from local.emulators.database import Database
from local.emulators.mailbox.smtp import Receiving, protocol
from local.emulators.mailbox.store import SCHEMA, Mails
from local.emulators.mailbox.web import Web
from local.emulators.replies import refuse_control


def build(*, data: Path, smtp: socket.socket) -> Starlette:
    """The application over the state in `data`, taking mail on the listening socket `smtp`.

    :raises DirectoryTaken: another emulator works there
    """
    database = Database(data / "mailbox.sqlite", SCHEMA)
    mails = Mails(database)
    receiving = Receiving(mails)

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        server = await asyncio.get_running_loop().create_server(lambda: protocol(receiving), sock=smtp)
        yield
        server.close()
        await _end_conversations()
        database.close()

    return Starlette(
        routes=Web(mails, receiving).routes(), lifespan=lifespan, exception_handlers={HTTPException: refuse_control}
    )


async def _end_conversations() -> None:
    """Cancel the senders' conversations: an unanswered message is theirs to send again."""
    open_ones = [task for task in asyncio.all_tasks() if "SMTP._handle_client" in repr(task.get_coro())]
    for task in open_ones:
        task.cancel()
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(asyncio.gather(*open_ones, return_exceptions=True), 1)
