"""One worker process: the functions, HTTP in front of them, the pumps beside them, and an orderly end."""

import asyncio
import logging
import os
import secrets
import signal
import socket
import time
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import uvicorn
import uvloop
from starlette.applications import Starlette

from local.host.adapters import Adapters
from local.host.claims import Claims
from local.host.connection import Connection
from local.host.errors import EXIT_FORCED
from local.host.feeds import FeedPump
from local.host.gateway.gateway import POLICIES_FOLDER, Gateway, load_gateway
from local.host.http import Front
from local.host.limits import KEEP_ALIVE_SECONDS, raise_file_limit
from local.host.pages import host_pages, load_pages
from local.host.queues import QueuePump
from local.host.routes import Routes
from local.host.runtime import Runtime, index
from local.host.settings import SHUTDOWN_SECONDS, HostJson, Options
from local.host.stopping import Stop
from local.host.timers import TimerPump
from local.host.triggers import Functions, read_functions
from shared.topology import TOPOLOGY_FILE, Topology, topology

log = logging.getLogger("local.host")

_PURGE_SECONDS = 30.0


@dataclass(frozen=True, slots=True)
class Worker:
    """What one worker is given.

    :param listener: bound and listening; shared with the other workers
    :param started_at: when the host started, the same for all its workers
    :param parent_pipe: read end of a pipe the supervisor holds open: its end means the supervisor is gone
    """

    options: Options
    host_json: HostJson
    listener: socket.socket
    started_at: datetime
    index: int = 0
    parent_pipe: int | None = None


class _Server(uvicorn.Server):
    """uvicorn without its own signal handling: one orderly end covers HTTP and pumps."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


def app_topology(options: Options) -> Topology:
    """The app's own `infra/topology.json` when it has one, else the repository's."""
    own = options.app / "infra" / "topology.json"
    return topology(own if own.is_file() else TOPOLOGY_FILE)


def run_worker(worker: Worker, *, pages: Starlette | None = None, announce: Callable[[Functions], None]) -> int:
    """Load the app and serve until a signal; returns the exit code.

    :param pages: pages beside the functions, with those `--pages` names
    :param announce: told the functions before the first request
    :raises StartRefused: the app cannot be run
    """
    options = worker.options
    raise_file_limit()
    os.chdir(options.app)
    entities = app_topology(options)
    functions = read_functions(index(options.app), entities)
    routes = Routes(functions.http, worker.host_json.extensions.http.route_prefix)
    pages = pages or load_pages(options.pages)
    adapters = Adapters(options.data, entities)
    announce(functions)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(_serve(worker, functions, routes, adapters, pages))


async def _serve(
    worker: Worker, functions: Functions, routes: Routes, adapters: Adapters, pages: Starlette | None
) -> int:
    stop = Stop()
    runtime = Runtime(worker.host_json.function_timeout)
    front = Front(
        routes,
        runtime,
        worker.host_json.extensions.http,
        body_bytes_max=worker.options.body_bytes_max,
        pages=host_pages(functions, pages),
    )
    _watch_signals(stop, worker.parent_pipe)
    try:
        server = _Server(_uvicorn_config(_gateway(worker.options, front, functions) or front))
        pumps = [asyncio.create_task(pump) for pump in _pumps(worker, functions, runtime, adapters, stop)]
        serving = asyncio.create_task(server.serve(sockets=[worker.listener]))
        log.info(
            "Worker ready",
            extra={"worker": worker.index, "pid": os.getpid(), "port": worker.listener.getsockname()[1]},
        )
        in_order = await _until_stopped(stop, serving, pumps)
        server.should_exit = True
        await _finish([serving, *pumps])
    finally:
        await adapters.close()
        runtime.close()
    log.info("Worker stopped", extra={"worker": worker.index, "pid": os.getpid()})
    return 0 if in_order else 1


def _gateway(options: Options, front: Front, functions: Functions) -> Gateway | None:
    """The gateway, for an app that has policies.

    :raises StartRefused: they cannot be executed
    """
    folder = options.app / POLICIES_FOLDER
    if not options.gateway or not folder.is_dir():
        return None
    return load_gateway(folder, front, functions.http, os.environ)


def _uvicorn_config(app: Front | Gateway) -> uvicorn.Config:
    return uvicorn.Config(
        app,
        http=Connection,
        loop="uvloop",
        ws="none",
        lifespan="off",
        access_log=False,
        server_header=False,
        proxy_headers=False,
        log_config=None,
        timeout_keep_alive=KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=int(SHUTDOWN_SECONDS),
    )


def _pumps(
    worker: Worker, functions: Functions, runtime: Runtime, adapters: Adapters, stop: Stop
) -> Iterator[Coroutine[Any, Any, None]]:
    owner = f"{socket.gethostname()}:{os.getpid()}:{secrets.token_hex(4)}"
    claims = Claims(worker.options.data / "host.db")
    limits = worker.host_json.extensions.service_bus
    entities = adapters.topology
    for queue in functions.queues:
        lock_seconds = entities.queue(queue.queue).lock_seconds
        yield QueuePump(queue, adapters.receiver(), runtime, limits, lock_seconds=lock_seconds, stop=stop).run()
    for feed in functions.feeds:
        yield FeedPump(feed, adapters.feed(), runtime, claims, owner=owner, stop=stop).run()
    for timer in functions.timers:
        yield TimerPump(timer, claims, runtime, owner=owner, started_at=worker.started_at, stop=stop).run()
    if worker.index == 0:
        yield _purge_for_ever(adapters, stop)


async def _purge_for_ever(adapters: Adapters, stop: Stop) -> None:
    while not stop.requested:
        try:
            while await adapters.purge():
                await stop.sleep(0.05)
        except Exception:
            log.exception("Expired documents could not be deleted; trying again")
        await stop.sleep(_PURGE_SECONDS)


def _watch_signals(stop: Stop, parent_pipe: int | None) -> None:
    """First signal: end in order. Second: at once. The supervisor's death counts as the first."""
    loop = asyncio.get_running_loop()

    def on_signal(name: str) -> None:
        if stop.requested:
            log.warning("Second %s: ending at once", name)
            os._exit(EXIT_FORCED)
        log.info("%s: finishing what is held", name)
        stop.request()

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, on_signal, number.name)
    if parent_pipe is not None:

        def orphaned() -> None:
            loop.remove_reader(parent_pipe)
            log.warning("The supervisor is gone: finishing what is held")
            stop.request()

        loop.add_reader(parent_pipe, orphaned)


async def _until_stopped(stop: Stop, serving: asyncio.Task[None], pumps: list[asyncio.Task[None]]) -> bool:
    """Wait for a stop; a part that ends by itself is a bug of the host, is told, and ends all of it: False."""
    asked = asyncio.create_task(stop.wait())
    done, _ = await asyncio.wait({asked, serving, *pumps}, return_when=asyncio.FIRST_COMPLETED)
    in_order = stop.requested
    if not in_order:
        for task in done - {asked}:
            log.critical("A part of the host ended by itself", exc_info=task.exception())
    stop.request()
    await asked
    return in_order


async def _finish(tasks: list[asyncio.Task[None]]) -> None:
    started = time.monotonic()
    _, late = await asyncio.wait(tasks, timeout=SHUTDOWN_SECONDS)
    for task in late:
        task.cancel()
    if late:
        log.error("Not finished after %.1f s; abandoned", time.monotonic() - started, extra={"tasks": len(late)})
    for result in await asyncio.gather(*tasks, return_exceptions=True):
        if isinstance(result, Exception):
            log.error("A part of the host failed", exc_info=result)
