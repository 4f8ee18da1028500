"""`python -m local.run`: Tessera on this machine, with one command. What `make run` calls."""

import signal
import socket
import sys
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryFile
from typing import Annotated, Final

import typer

from local.host.process import HostFailed
from local.layout import BusKind, Ports, StoreKind, kinds_of
from local.seed.seed import Seeder, SeedRefused
from local.stack import Stack, StackFailed
from shared.kernel.clock import utc_now


def main(
    data: Annotated[Path, typer.Option(help="Where everything durable lies; delete it to start afresh.")] = Path(
        ".tessera"
    ),
    port: Annotated[
        int, typer.Option(min=1, max=65_000, help="The API's port; the doubles take those after it.")
    ] = 7071,
    workers: Annotated[int, typer.Option(min=1, max=16, help="Host processes over the one database.")] = 1,
    store: Annotated[
        StoreKind, typer.Option(help="Where documents are kept: a file, or Cosmos DB's double through its SDK.")
    ] = StoreKind.EMBEDDED,
    bus: Annotated[
        BusKind, typer.Option(help="Where messages are sent: a file, or Service Bus' double through its SDK.")
    ] = BusKind.EMBEDDED,
    telemetry: Annotated[bool, typer.Option(help="Collect traces and metrics, and show them on a page.")] = False,
    seed: Annotated[bool, typer.Option(help="Create the demo's organisers and events.")] = True,
    anonymous_browsing: Annotated[bool, typer.Option(help="Let people look at events before they sign in.")] = False,
) -> None:
    """Start the functions, the sign-in, payment and mail doubles, and fill in the demo; end with Ctrl-C."""
    stopping = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda *_: stopping.set())
    ports = Ports.counted_from(port)
    settings = {"TESSERA_ANONYMOUS_BROWSING": str(anonymous_browsing).lower()}
    stack = Stack(data.resolve(), ports, workers=workers, store=store, bus=bus, telemetry=telemetry, settings=settings)
    had_data = (stack.data / "secrets.json").exists()
    try:
        _run(stack, stopping, seed=seed)
    except _Ended as error:
        print(f"\nTessera stopped: {error}\nNothing was lost; run it again.", file=sys.stderr)
        raise typer.Exit(1) from None
    except (_CannotRunHere, StackFailed, HostFailed, SeedRefused, OSError) as error:
        print(f"\nTessera cannot start: {error}", file=sys.stderr)
        if had_data and not isinstance(error, _CannotRunHere):
            print(_OF_OLD_DATA.format(data=data), file=sys.stderr)
        raise typer.Exit(1) from None
    finally:
        stack.stop()
    print("Tessera stopped; everything is kept in", data)


def _run(stack: Stack, stopping: threading.Event, *, seed: bool) -> None:
    """Start, fill in the demo, say where to look, and watch until somebody asks for the end."""
    started = time.monotonic()
    _refuse_taken_ports(stack.ports_used())
    _refuse_unwritable(stack.data)
    _refuse_other_kinds(stack)
    stack.start()
    if seed:
        Seeder(stack.url, stack.entra_url).seed(utc_now())
    _say_where(stack, time.monotonic() - started)
    _watch(stack, stopping)


_OF_OLD_DATA: Final = (
    "Is another Tessera using {data}? Give this one its own: `make run DATA=… PORT=…`. Only if its data is from an "
    "older version and not needed: delete that folder."
)


class _CannotRunHere(Exception):
    """A port is taken or the folder cannot be written: the message says what to choose instead."""


class _Ended(Exception):
    """A part of a running Tessera ended by itself."""


def _refuse_taken_ports(ports: Mapping[str, int]) -> None:
    for name, number in ports.items():
        try:
            socket.create_server(("127.0.0.1", number)).close()
        except OSError:
            others = ", ".join(str(each) for each in ports.values())
            raise _CannotRunHere(
                f"port {number} ({name}) is taken; Tessera uses {others}. Try another PORT=…"
            ) from None


def _refuse_other_kinds(stack: Stack) -> None:
    """Not start on another store than the data's: its orders would be stranded, and payments for them not be seen."""
    made = kinds_of(stack.data)
    if made is not None and made != (stack.store, stack.bus):
        store, bus = made
        raise _CannotRunHere(
            f"{stack.data} was made with STORE={store} BUS={bus}, and what was sold there is not in "
            f"STORE={stack.store} BUS={stack.bus}. Say the former, or choose another folder: DATA=…"
        )


def _refuse_unwritable(data: Path) -> None:
    try:
        data.mkdir(parents=True, exist_ok=True)
        TemporaryFile(dir=data).close()
    except OSError as error:
        reason = f"the data folder {data} cannot be written ({error.strerror})"
        raise _CannotRunHere(f"{reason}. Choose another: DATA=…") from None


def _watch(stack: Stack, stopping: threading.Event) -> None:
    while not stopping.wait(0.5):
        ended = stack.ended()
        if ended:
            raise _Ended(f"its part “{ended}” ended by itself, or was killed; see {stack.data / ended}.log.")


def _say_where(stack: Stack, seconds: float) -> None:
    from rich.console import Console
    from rich.table import Table

    console = Console()
    table = Table(title="Demo people", title_justify="left", box=None, pad_edge=False)
    for column in ("mail address", "role", "password"):
        table.add_column(column)
    for person in stack.people():
        table.add_row(person["email"], person["role"], person["password"])
    console.print(f"\n[bold]Tessera runs[/bold] (started in {seconds:.1f} s). Look at")
    for name, url in (
        ("front door", stack.url),
        ("API docs", f"{stack.url}/api/docs"),
        ("mailbox", stack.mailbox_url),
        ("payments", stack.stripe_url),
        ("sign-in", stack.entra_url),
        *([("store", f"Cosmos DB's double, {stack.ports.cosmos}")] if stack.store is StoreKind.COSMOS else []),
        *([("bus", f"Service Bus' double, {stack.ports.servicebus}")] if stack.bus is BusKind.SERVICEBUS else []),
        *([("telemetry", stack.telemetry_url)] if stack.telemetry else []),
    ):
        console.print(f"  {name:<11} {url}", highlight=False)
    console.print()
    console.print(table, highlight=False)
    console.print("\nTheir tokens, and the insights key, for trying things out by hand: see README, “By hand”.")
    console.print(f"\nLogs and data: {stack.data}. Ctrl-C ends it.\n")


if __name__ == "__main__":
    typer.run(main)
