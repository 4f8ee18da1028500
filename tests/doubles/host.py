"""The functions host, as far as a queue function is concerned: a message in, one call of the function."""

from datetime import datetime
from typing import Protocol

import azure.functions as func
from azure.functions.servicebus import ServiceBusMessage
from azure_functions_runtime.bindings.context import get_context
from azure_functions_runtime.native_invocation import _InvocShim

from shared.bus.port import Message


class Deliver(Protocol):
    """Hands one message to the function."""

    async def __call__(self, message: Message, *, enqueued_at: datetime | None = None) -> None:
        """Call the function.

        :param enqueued_at: what the host tells of when the message came; nothing by default
        """
        ...


def queue_function(blueprint: func.Blueprint) -> Deliver:
    """Delivers messages to the one function of `blueprint`."""
    app = func.FunctionApp()
    app.register_functions(blueprint)
    [function] = app.get_functions()
    run = function.get_user_function()

    async def deliver(message: Message, *, enqueued_at: datetime | None = None) -> None:
        await run(
            ServiceBusMessage(
                body=message.body,
                message_id=message.id,
                correlation_id=message.correlation_id,
                delivery_count=1,
                enqueued_time_utc=enqueued_at,
                application_properties={"type": message.type, **message.properties},
                user_properties={},
            ),
            context=get_context(_InvocShim("invocation"), function.get_function_name(), "."),
        )

    return deliver
