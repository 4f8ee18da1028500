"""Rows of the workspace's tables: what Azure makes of the envelopes that we send, and boring ones for tests.

https://learn.microsoft.com/azure/azure-monitor/app/convert-classic-resource: which field becomes which column.
"""

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from tests.infra import kusto
from tests.infra.kusto_expressions import Rows
from tests.infra.kusto_values import Row
from tests.infra.vocabulary import ROOT

QUERIES: Final = ROOT / "infra" / "queries"
COLUMNS: Final[Mapping[str, Mapping[str, str]]] = json.loads(
    (Path(__file__).parent / "workspace_tables.json").read_text()
)
TABLES: Final = kusto.columns_of(COLUMNS)
TABLE_OF: Final = {
    "RequestData": "AppRequests", "RemoteDependencyData": "AppDependencies", "EventData": "AppEvents",
    "MetricData": "AppMetrics", "MessageData": "AppTraces",
}  # fmt: skip
NOW: Final = datetime(2026, 11, 21, 20, 0, tzinfo=UTC)


def asked(name: str, rows: Mapping[str, Rows], *, wanted: str = "") -> list[dict[str, Any]]:
    """What a query of infra/queries gives.

    :param wanted: the id that it is asked for, if it wants one
    """
    text = (QUERIES / f"{name}.kql").read_text().replace('""', f'"{wanted}"')
    return [dict(row) for row in kusto.answer(text, TABLES, rows)]


def rows_of(envelopes: Sequence[Mapping[str, Any]]) -> Mapping[str, Rows]:
    """The rows of each table, from envelopes as the ingestion takes them."""
    found: dict[str, list[Row]] = {table: [] for table in TABLES}
    for envelope in envelopes:
        table = TABLE_OF[envelope["data"]["baseType"]]
        found[table].append(_row(table, envelope))
    return found


def _row(table: str, envelope: Mapping[str, Any]) -> Row:
    data, tags = envelope["data"]["baseData"], envelope.get("tags") or {}
    row = {
        "TimeGenerated": datetime.fromisoformat(envelope["time"]),
        "Type": table,
        "AppRoleName": tags.get("ai.cloud.role"),
        "AppVersion": tags.get("ai.application.ver"),
        "AppRoleInstance": tags.get("ai.cloud.roleInstance"),
        "OperationId": tags.get("ai.operation.id", ""),
        "ParentId": tags.get("ai.operation.parentId", ""),
        "ItemCount": round(100 / (envelope.get("sampleRate") or 100)),
        "Properties": data.get("properties") or {},
        "Measurements": data.get("measurements") or {},
        "Name": data.get("name"),
    }
    if table == "AppMetrics":
        [point] = data["metrics"]
        row |= {"Name": point["name"], "Sum": point["value"], "ItemCount": point["count"]}
    if table in {"AppRequests", "AppDependencies"}:
        row |= {"Success": data["success"], "DurationMs": _milliseconds(data["duration"]), "Id": data["id"]}
        row |= {"ResultCode": data["responseCode" if table == "AppRequests" else "resultCode"]}
    if table == "AppDependencies":
        row |= {"DependencyType": data["type"], "Target": data["target"]}
    return {column: value for column, value in row.items() if column in TABLES[table]}


def _milliseconds(duration: str) -> float:
    """`d.hh:mm:ss.fff`, as .NET writes it."""
    days, _, clock = duration.partition(".")
    hours, minutes, seconds = clock.split(":")
    return (int(days) * 86_400 + int(hours) * 3600 + int(minutes) * 60 + float(seconds)) * 1000


def metric(name: str, total: float = 1.0, number: int = 1, **properties: str) -> Row:
    """A row of AppMetrics."""
    return {"TimeGenerated": NOW, "Name": name, "Sum": total, "ItemCount": number, "Properties": properties}


def request(
    name: str = "POST /api/orders",
    *,
    outcome: str = "ok",
    times: int = 1,
    milliseconds: float = 20.0,
    code: str = "201",
) -> Row:
    """A row of AppRequests.

    :param outcome: empty as for what the Functions host tells of the same request
    """
    properties = {"outcome": outcome, "correlation_id": "cor_x"} if outcome else {"FullName": "Functions.x"}
    return {
        "TimeGenerated": NOW, "Name": name, "Success": outcome != "failed", "DurationMs": milliseconds,
        "ItemCount": times, "ResultCode": code, "OperationId": "op_x", "Properties": properties,
    }  # fmt: skip


def line(event: str, **fields: str) -> Row:
    """A row of AppTraces: a line of our logs, as the host ships it."""
    message = json.dumps({"event": event, "correlation_id": "", **fields})
    return {"TimeGenerated": NOW, "Message": message, "SeverityLevel": 3, "ItemCount": 1, "OperationId": "op_x"}
