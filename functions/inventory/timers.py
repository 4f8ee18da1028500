"""Inventory's timer."""

from datetime import datetime

import azure.functions as func

from functions.inventory.audit import Audit
from shared.web.triggers import timer


def timers(audit: Audit) -> func.Blueprint:
    """The audit's timer."""

    async def audit_inventory(now: datetime) -> None:
        await audit.of_changes()

    return timer(audit_inventory, schedule="15 */5 * * * *")
