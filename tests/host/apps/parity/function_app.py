"""One function per trigger kind; each tells all it was given, so that two ways of calling it can be compared."""

import typing

import azure.functions as func

app = func.FunctionApp(http_auth_level=func.AuthLevel.ANONYMOUS)
seen: list[typing.Any] = []

_FIELDS = (
    "message_id", "delivery_count", "sequence_number", "enqueued_time_utc", "expires_at_utc", "lock_token",
    "correlation_id", "content_type", "subject", "label", "application_properties", "user_properties",
)  # fmt: skip


def _message(msg: func.ServiceBusMessage) -> dict[str, typing.Any]:
    return {"body": msg.get_body(), **{name: getattr(msg, name) for name in _FIELDS}}


@app.route(route="things/{thingId}")
async def http(req: func.HttpRequest, context: func.Context) -> func.HttpResponse:
    seen.append(
        (req.method, req.url, dict(req.headers), dict(req.params), dict(req.route_params), req.get_body(),
         context.function_name, context.trace_context.trace_parent)
    )  # fmt: skip
    if req.params.get("fail"):
        raise RuntimeError("asked to")
    return func.HttpResponse(b"\x00made", status_code=201, headers={"x-one": "1"}, mimetype="application/x-thing")


@app.service_bus_queue_trigger(arg_name="msg", queue_name="payments", connection="S")
async def one(msg: func.ServiceBusMessage) -> None:
    seen.append(_message(msg))


@app.service_bus_queue_trigger(arg_name="msgs", queue_name="stock", connection="S", cardinality=func.Cardinality.MANY)
async def many(msgs: typing.List[func.ServiceBusMessage]) -> None:  # noqa: UP006 - the runtime refuses `list[...]`
    seen.append([_message(msg) for msg in msgs])


@app.cosmos_db_trigger(arg_name="docs", container_name="orders", database_name="d", connection="C")
async def feed(docs: func.DocumentList) -> None:
    seen.append([dict(doc) for doc in docs])


@app.timer_trigger(arg_name="timer", schedule="0 */5 * * * *")
def timer(timer: func.TimerRequest) -> None:
    given: typing.Any = timer  # the abstract class lacks both schedules
    seen.append((given.past_due, given.schedule, given.schedule_status))
