"""Identity's queue: people to be forgotten."""

from datetime import datetime

import azure.functions as func

from functions.identity.erasing import ERASURES, Erasing
from shared.bus.port import Bus
from shared.events.identity import ErasePerson
from shared.web.triggers import queue_consumer


def consumer(erasing: Erasing, bus: Bus) -> func.Blueprint:
    """The queue trigger of identity."""

    async def erase_person(command: ErasePerson, now: datetime) -> None:
        await erasing.carry_out(command.person_id, now=now)

    return queue_consumer(erase_person, queue=ERASURES, message=ErasePerson, bus=bus)
