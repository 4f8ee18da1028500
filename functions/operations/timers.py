"""Operations' timers: the relay's second pair of eyes, and a look at the dead letters."""

from collections.abc import Sequence
from datetime import datetime

import azure.functions as func

from functions.operations.relay import Relay
from functions.operations.watch import DeadLetterWatch
from shared.web.triggers import timer


def timers(relay: Relay, watch: DeadLetterWatch) -> Sequence[func.Blueprint]:
    """The repair timer of the outbox, and the one that logs a change in the number of dead letters."""

    async def resend_outbox(now: datetime) -> None:
        await relay.resend_overdue(now)

    async def watch_dead_letters(now: datetime) -> None:
        await watch.tell_changes(now)

    return [timer(resend_outbox, schedule="30 * * * * *"), timer(watch_dead_letters, schedule="45 * * * * *")]
