"""The end of the smoke test: is the sale found in Application Insights, and which version did each step of it?

Functions that read queues run on instances of their own, which nobody can ask over HTTP: what they are shows here.
Where a share of the traces is collected, only the one that keeps figures is seen, by the business event that it tells.
"""

import json
from typing import Final

from tools.delivery.insights import Insights, Row
from tools.delivery.versions import UNTOLD

STEPS: Final = frozenset({"POST /api/orders", "move_stock"})  # over HTTP, and from a queue


def trace(insights: Insights, order_id: str, *, seconds: float, poll: float, whole: bool) -> tuple[list[Row], str]:
    """What was done for an order, and what there is to say of it.

    It is found by its business event, which is told of every order, whatever share of the traces is collected.

    :param seconds: how long telemetry may take
    :param whole: whether every span is collected
    :raises NotFoundYet: it did not come in time
    """
    event = (
        f'customEvents | where name == "OrderPaid" and tostring(customDimensions.order_id) == "{order_id}" '
        "| project operation_Id, cloud_RoleName, application_Version | take 1"
    )
    [paid] = insights.soon(event, seconds=seconds, poll_seconds=poll, until=bool)
    operation = str(paid["operation_Id"])
    if not whole:
        return [paid], f"operation {operation}; its spans are collected for a share of the traces only"
    steps = (
        f'requests | where operation_Id == "{operation}" '
        "| project name, cloud_RoleName, application_Version, customDimensions | take 50"
    )
    rows = insights.soon(
        steps, seconds=seconds, poll_seconds=poll, until=lambda rows: {row["name"] for row in rows} >= STEPS
    )
    done = [paid, *(row for row in rows if _ours(row))]
    return done, f"operation {operation}: {', '.join(sorted({row['name'] for row in rows}))}"


def others(version: str, done: list[Row]) -> str:
    """Who did some of it as another version; pure."""
    found = {(row["cloud_RoleName"], row["application_Version"] or UNTOLD) for row in done}
    return "; ".join(f"{role}: {told}" for role, told in sorted(found) if told != version)


def _ours(row: Row) -> bool:
    """The Functions host tells of failed functions too, and not which version of ours they were."""
    told = row["customDimensions"] or "{}"  # null and nothing come as well
    found = json.loads(told) if isinstance(told, str) else told
    return "outcome" in (found or {})
