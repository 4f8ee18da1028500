"""The end of the smoke test: is the sale found in Application Insights, and was each step of it done by this version?

Functions that read queues run on instances of their own, which nobody can ask over HTTP: what they are shows here.
"""

import json
from typing import Final

from tools.delivery.insights import Insights, Row
from tools.delivery.outcome import CheckFailed
from tools.delivery.versions import UNTOLD

STEPS: Final = frozenset({"POST /api/orders", "move_stock"})  # over HTTP, and from a queue


def trace(
    insights: Insights, order_id: str, *, seconds: float, poll: float, version: str, whole: bool
) -> tuple[str, str]:
    """The operation of an order, and what there is to say of it.

    It is found by its business event, which is told of every order, whatever share of the traces is collected.

    :param seconds: how long telemetry may take
    :param version: which has to have done it; empty: any
    :param whole: whether every span is collected
    :raises NotFoundYet: it did not come in time
    :raises CheckFailed: another version did some of it
    """
    event = (
        f'customEvents | where name == "OrderPaid" and tostring(customDimensions.order_id) == "{order_id}" '
        "| project operation_Id, cloud_RoleName, application_Version | take 1"
    )
    [paid] = insights.soon(event, seconds=seconds, poll_seconds=poll, until=bool)
    _by(version, [paid])
    operation = str(paid["operation_Id"])
    if not whole:
        return operation, f"operation {operation}; its spans are collected for a share of the traces only"
    steps = (
        f'requests | where operation_Id == "{operation}" '
        "| project name, cloud_RoleName, application_Version, customDimensions | take 50"
    )
    rows = insights.soon(
        steps, seconds=seconds, poll_seconds=poll, until=lambda rows: {row["name"] for row in rows} >= STEPS
    )
    _by(version, [row for row in rows if _ours(row)])
    return operation, f"operation {operation}: {', '.join(sorted({row['name'] for row in rows}))}"


def _by(version: str, rows: list[Row]) -> None:
    others = {
        f"{row['cloud_RoleName']}: {row['application_Version'] or UNTOLD}"
        for row in rows
        if row["application_Version"] != version
    }
    if version and others:
        raise CheckFailed(f"{version} did not do all of it, but {'; '.join(sorted(others))}")


def _ours(row: Row) -> bool:
    """The Functions host tells of failed functions too, and not which version of ours they were."""
    told = row["customDimensions"]
    return "outcome" in (json.loads(told) if isinstance(told, str) else told)
