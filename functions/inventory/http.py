"""Inventory over HTTP: the audit, for those who run the platform."""

from dataclasses import asdict

from pydantic import BaseModel

from functions.inventory.audit import Audit
from shared.auth.permissions import Permission
from shared.web.endpoint import Admits, Call, Endpoints, Nothing


class AuditView(BaseModel):
    """What the audit saw: for every shard available + held + sold = capacity, each ≥ 0 and as its holds say.

    `moving` shards were being sold from and could not be compared; ask again.
    """

    shards: int
    capacity: int
    available: int
    held: int
    sold: int
    moving: int
    violations: list[str]


def endpoints(audit: Audit, gate: Admits) -> Endpoints:
    """The endpoints of inventory."""
    http = Endpoints("inventory", gate)

    @http("POST", "operations/inventory-audit", needs=Permission.OPERATE, returns=AuditView)
    async def run_audit(call: Call, nothing: Nothing) -> AuditView:
        """Audit the inventory now: every shard and all its holds, which takes a second for some ten thousand orders.

        A timer audits what changed every five minutes.
        """
        return AuditView.model_validate(asdict(await audit.of_everything()))

    return http
