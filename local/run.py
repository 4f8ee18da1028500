"""`python -m local.run`: Tessera on this machine, with one command. What `make run` calls."""

import signal
import sys
import threading
import time
from pathlib import Path
from typing import Annotated

import typer

from local.host.process import HostFailed
from local.seed.seed import Seeder, SeedRefused
from local.stack import Ports, Stack, StackFailed
from shared.kernel.clock import utc_now


def main(
    data: Annotated[Path, typer.Option(help="Where everything durable lies; delete it to start afresh.")] = Path(
        ".tessera"
    ),
    port: Annotated[
        int, typer.Option(min=1, max=65_000, help="The API's port; the doubles take those after it.")
    ] = 7071,
    workers: Annotated[int, typer.Option(min=1, max=16, help="Host processes over the one database.")] = 1,
    seed: Annotated[bool, typer.Option(help="Create the demo's organisers and events.")] = True,
    anonymous_browsing: Annotated[bool, typer.Option(help="Let people look at events before they sign in.")] = False,
) -> None:
    """Start the functions, the sign-in, payment and mail doubles, and fill in the demo; end with Ctrl-C."""
    stopping = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stopping.set())
    ports = Ports(port, port + 1, port + 2, port + 3, port + 4)
    settings = {"TESSERA_ANONYMOUS_BROWSING": str(anonymous_browsing).lower()}
    stack = Stack(data.resolve(), ports, workers=workers, settings=settings)
    started = time.monotonic()
    try:
        stack.start()
        if seed:
            Seeder(stack.url, stack.entra_url).seed(utc_now())
        _say_where(stack, time.monotonic() - started)
        _watch(stack, stopping)
    except (StackFailed, HostFailed, SeedRefused) as error:
        print(f"\nTessera cannot run: {error}", file=sys.stderr)
        print(
            "Is a port taken? Try `make run PORT=8071`. Is the data from an older version? Try `make clean-data`.",
            file=sys.stderr,
        )
        raise typer.Exit(1) from None
    finally:
        stack.stop()
    print("Tessera stopped; everything is kept in", data)


def _watch(stack: Stack, stopping: threading.Event) -> None:
    while not stopping.wait(0.5):
        ended = stack.ended()
        if ended:
            raise StackFailed(f"{ended} ended by itself; see {stack.data / ended}.log")


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
    ):
        console.print(f"  {name:<11} {url}", highlight=False)
    console.print()
    console.print(table, highlight=False)
    console.print(f"\nLogs and data: {stack.data}. Try [bold]make demo[/bold] in another terminal. Ctrl-C ends it.\n")


if __name__ == "__main__":
    typer.run(main)
