"""Timers that tell when they ran."""

import asyncio
from typing import Any

import azure.functions as func

from tests.host.apps.recording import record

app = func.FunctionApp()


@app.timer_trigger(arg_name="timer", schedule="%EVERY_SECOND%")
async def every_second(timer: func.TimerRequest) -> None:
    given: Any = timer  # the abstract class lacks `schedule_status`
    record("every_second", last=given.schedule_status["Last"])


@app.timer_trigger(arg_name="timer", schedule="0 0 0 1 1 *", run_on_startup=True)
async def at_startup(timer: func.TimerRequest) -> None:
    record("at_startup", past_due=timer.past_due)


@app.timer_trigger(arg_name="timer", schedule="*/1 * * * * *")
async def long_one(timer: func.TimerRequest) -> None:
    record("long begun")
    await asyncio.sleep(1.5)
    record("long done")


@app.timer_trigger(arg_name="timer", schedule="0 */5 * * * *")
async def every_five_minutes(timer: func.TimerRequest) -> None:
    record("every_five_minutes", past_due=timer.past_due)


@app.route(route="pid", auth_level=func.AuthLevel.ANONYMOUS)
async def pid(req: func.HttpRequest) -> func.HttpResponse:
    return func.HttpResponse("here")
