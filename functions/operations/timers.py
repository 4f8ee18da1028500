"""Operations' timers: the relay's second pair of eyes."""

from datetime import datetime

import azure.functions as func

from functions.operations.relay import Relay
from shared.web.triggers import timer


def timers(relay: Relay) -> func.Blueprint:
    """The repair timer of the outbox."""

    async def resend_outbox(now: datetime) -> None:
        await relay.resend_overdue(now)

    return timer(resend_outbox, schedule="30 * * * * *")
