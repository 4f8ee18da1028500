"""`python -m local.host`: run a function app on this machine, without a cloud."""

import argparse
import asyncio
import os
import socket
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from local.host import logs
from local.host.errors import EXIT_REFUSED, StartRefused
from local.host.settings import (
    BODY_BYTES_MAX,
    HostJson,
    Options,
    load_local_settings,
    read_host_json,
    warn_of_unknown_extensions,
)
from local.host.summary import summary
from local.host.supervisor import Supervisor
from local.host.triggers import Functions
from local.host.worker import Worker, run_worker

_ROOT = Path(__file__).resolve().parent.parent.parent
_BACKLOG = 2048

_EPILOG = """\
The app folder needs function_app.py and host.json; local.settings.json is read when there is one and overrides
nothing. Queues, containers and lock times come from its infra/topology.json, or the repository's. The policies of
the gateway come from its infra/policies; an app without them has no gateway.

Exit codes: 0 ended by SIGTERM or SIGINT, everything finished; 3 the app cannot be run (the message says why);
130 a second signal forced the end. Logs are JSON lines on stderr.

Examples:
  python -m local.host
  python -m local.host --workers 2 --port 8080 --data /tmp/shop
  python -m local.host --app tests/host/apps/http --port 0
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the host; returns its exit code."""
    given = sys.argv[1:] if arguments is None else list(arguments)
    parsed = _parser().parse_args(given)
    options = Options(
        app=parsed.app.resolve(),
        data=parsed.data.resolve(),
        port=parsed.port,
        workers=parsed.workers,
        quiet=parsed.quiet,
        pages=parsed.pages,
        body_bytes_max=parsed.body_limit,
        gateway=not parsed.no_gateway,
    )
    try:
        host_json = read_host_json(options.app)
        logs.configure(host_json.logging.level)
        _prepare_environment(options)
        if parsed.socket_fd is not None:
            return _run_as_child(options, host_json, parsed)
        warn_of_unknown_extensions(options.app)
        return _run_as_parent(options, host_json, given)
    except StartRefused as error:
        print(f"Cannot start: {error}", file=sys.stderr, flush=True)
        return EXIT_REFUSED


def _run_as_parent(options: Options, host_json: HostJson, arguments: Sequence[str]) -> int:
    started_at = datetime.now(UTC)
    with _listen(options.port) as listener:
        if options.workers == 1:
            worker = Worker(options, host_json, listener, started_at)
            return run_worker(worker, announce=lambda functions: _announce(worker, functions))
        return asyncio.run(_supervise(listener, options.workers, arguments, started_at))


async def _supervise(listener: socket.socket, count: int, arguments: Sequence[str], started_at: datetime) -> int:
    return await Supervisor(listener, count, arguments, started_at=started_at.isoformat()).run()


def _run_as_child(options: Options, host_json: HostJson, parsed: argparse.Namespace) -> int:
    worker = Worker(
        options,
        host_json,
        socket.socket(fileno=parsed.socket_fd),
        datetime.fromisoformat(parsed.started_at),
        index=parsed.worker_index,
        parent_pipe=parsed.parent_pipe,
    )
    return run_worker(worker, announce=lambda functions: _announce(worker, functions))


def _announce(worker: Worker, functions: Functions) -> None:
    if worker.index == 0 and not worker.options.quiet:
        url = f"http://127.0.0.1:{worker.listener.getsockname()[1]}"
        prefix = worker.host_json.extensions.http.route_prefix
        print(summary(functions, url=url, prefix=prefix, workers=worker.options.workers), flush=True)


def _listen(port: int) -> socket.socket:
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind(("127.0.0.1", port))
    except OSError as error:
        listener.close()
        raise StartRefused(
            f"port {port} on 127.0.0.1 is not free ({error.strerror}); choose another with --port"
        ) from None
    listener.listen(_BACKLOG)
    return listener


def _prepare_environment(options: Options) -> None:
    load_local_settings(options.app)
    options.data.mkdir(parents=True, exist_ok=True)
    os.environ["TESSERA_DATA"] = str(options.data)  # the app's composition opens the same files
    os.environ.setdefault("AZURE_FUNCTIONS_ENVIRONMENT", "Development")
    os.environ.setdefault("FUNCTIONS_WORKER_RUNTIME", "python")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m local.host",
        description="Run an Azure Functions app (Python, v2 model) on 127.0.0.1: HTTP, Service Bus queues, the Cosmos "
        "change feed and timers, on an embedded store and bus, through the runtime library Azure uses.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("--port", type=_port, default=7071, help="TCP port on 127.0.0.1; 0 takes any free one (default: 7071)")
    add("--workers", type=_positive, default=1, metavar="N", help="processes behind that port (default: 1)")
    add("--app", type=Path, default=_ROOT, metavar="DIR", help="folder of function_app.py (default: the repository)")
    add(
        "--data",
        type=Path,
        default=Path(os.environ.get("TESSERA_DATA", ".tessera")),
        metavar="DIR",
        help="where store.db, bus.db and host.db lie (default: $TESSERA_DATA or .tessera)",
    )
    add("--pages", metavar="MODULE:NAME", help="a Starlette application with pages to serve beside the functions")
    add("--body-limit", type=_positive, default=BODY_BYTES_MAX, metavar="BYTES", help="largest request body (100 MiB)")
    add(
        "--no-gateway",
        action="store_true",
        help="leave out the gateway, as who reaches the functions' own address does",
    )
    add("--quiet", action="store_true", help="print no summary of the functions at start")
    for name, kind in (("worker-index", int), ("socket-fd", int), ("parent-pipe", int), ("started-at", str)):
        add(f"--{name}", type=kind, default=None, help=argparse.SUPPRESS)
    return parser


def _positive(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError("must be at least 1")
    return value


def _port(text: str) -> int:
    value = int(text)
    if not 0 <= value <= 65_535:
        raise argparse.ArgumentTypeError("must be 0 to 65535")
    return value


if __name__ == "__main__":
    sys.exit(main())
