"""Change-feed functions; they fail on a document that says so while the file FAILING exists."""

import asyncio
import os
from pathlib import Path
from typing import Any

import azure.functions as func

from tests.host.apps.recording import record

app = func.FunctionApp()
FROM_BEGINNING: Any = True  # the library's annotation says `time | None`, its documentation and the host a bool


def _seen(name: str, docs: func.DocumentList, context: func.Context) -> None:
    record(name, ids=[doc["id"] for doc in docs], attempt=context.retry_context.retry_count)
    if any(doc.get("fail") for doc in docs) and Path(os.environ["FAILING"]).exists():
        raise RuntimeError("as the document asked")


@app.cosmos_db_trigger(
    arg_name="docs",
    container_name="things",
    database_name="x",
    connection="COSMOS",
    start_from_beginning=FROM_BEGINNING,
)
async def plain(docs: func.DocumentList, context: func.Context) -> None:
    _seen("plain", docs, context)


@app.retry(
    strategy="exponential_backoff", max_retry_count="-1", minimum_interval="00:00:00", maximum_interval="00:00:01"
)
@app.cosmos_db_trigger(
    arg_name="docs",
    container_name="things",
    database_name="x",
    connection="COSMOS",
    lease_container_prefix="stubborn",
    start_from_beginning=FROM_BEGINNING,
)
async def stubborn(docs: func.DocumentList, context: func.Context) -> None:
    _seen("stubborn", docs, context)


@app.cosmos_db_trigger(arg_name="docs", container_name="things", database_name="x", connection="COSMOS")
async def from_now(docs: func.DocumentList, context: func.Context) -> None:
    _seen("from_now", docs, context)


@app.cosmos_db_trigger(
    arg_name="docs",
    container_name="things",
    database_name="x",
    connection="COSMOS",
    start_from_beginning=FROM_BEGINNING,
    feed_poll_delay=2_000,
)
async def unhurried(docs: func.DocumentList, context: func.Context) -> None:
    _seen("unhurried", docs, context)


@app.cosmos_db_trigger(
    arg_name="docs",
    container_name="others",
    database_name="x",
    connection="COSMOS",
    start_from_beginning=FROM_BEGINNING,
)
async def slow(docs: func.DocumentList) -> None:
    record("slow begun", ids=[doc["id"] for doc in docs])
    await asyncio.sleep(float(docs[0]["seconds"]))
    record("slow done", ids=[doc["id"] for doc in docs])
