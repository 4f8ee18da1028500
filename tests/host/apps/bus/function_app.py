"""Queue functions that do what their message says."""

import asyncio
import typing

import azure.functions as func

from tests.host.apps.recording import record

app = func.FunctionApp()


@app.service_bus_queue_trigger(arg_name="msg", queue_name="%SINGLES%", connection="SERVICEBUS")
async def single(msg: func.ServiceBusMessage, context: func.Context) -> None:
    told = msg.get_body().decode()
    if told == "traced":
        record("traced", parent=context.trace_context.trace_parent)
    record("single", id=msg.message_id, delivery=msg.delivery_count, body=told)
    if told == "fail":
        raise RuntimeError("as the message asked")
    if told == "fail once" and msg.delivery_count == 1:
        raise RuntimeError("only the first time")
    if told.startswith("slow"):
        await asyncio.sleep(float(told.removeprefix("slow ")))
    record("done", id=msg.message_id, delivery=msg.delivery_count)


@app.service_bus_queue_trigger(
    arg_name="msgs", queue_name="batches", connection="SERVICEBUS", cardinality=func.Cardinality.MANY
)
async def batch(
    msgs: typing.List[func.ServiceBusMessage],  # noqa: UP006 - the runtime refuses `list[...]`
    context: func.Context,
) -> None:
    if msgs[0].get_body() == b"traced":
        record("traced batch", parent=context.trace_context.trace_parent)
    record("batch", ids=[msg.message_id for msg in msgs], deliveries=[msg.delivery_count for msg in msgs])
    if any(msg.get_body() == b"fail" for msg in msgs):
        raise RuntimeError("as one message asked")


@app.route(route="slow", auth_level=func.AuthLevel.ANONYMOUS)
async def slow(req: func.HttpRequest) -> func.HttpResponse:
    record("slow request")
    await asyncio.sleep(float(req.params.get("seconds", "0.8")))
    return func.HttpResponse("slow and done")
