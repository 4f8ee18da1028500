"""Sales' timers."""

from collections.abc import Sequence
from datetime import datetime

import azure.functions as func

from functions.sales.repair import Repair
from shared.web.triggers import timer

EVERY_MINUTE = "0 * * * * *"


def timers(repair: Repair) -> Sequence[func.Blueprint]:
    """The repair timers."""

    async def repair_orders(now: datetime) -> None:
        await repair.overdue_orders(now)

    async def repair_holds(now: datetime) -> None:
        await repair.forgotten_holds(now)

    return [timer(repair_orders, schedule=EVERY_MINUTE), timer(repair_holds, schedule=EVERY_MINUTE)]
