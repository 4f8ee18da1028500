"""`make bench`: measure a freshly started Tessera with fsync on, the client on the same cores; median of three."""

import os
import platform
import statistics
import sys
import tempfile
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import orjson
import typer
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from bench import ceilings, figures
from bench.azure import azure
from bench.gateway import UNLIMITED, gateway_overhead_us
from bench.history import DOCUMENTS_PER_ORDER, write_history
from bench.load import CLIENTS, SECONDS
from bench.shop import Shop
from bench.tokens import validation
from local.layout import BusKind, Ports, StoreKind
from local.stack import Stack

# Orders that one figure left unpaid are not to expire while the next is measured on the same store.
# Nor are so few people to reach the limits of the gateway, which all of it passes.
UNHURRIED = {"TESSERA_ORDER_DEADLINE_SECONDS": "82800", **UNLIMITED}
RESULTS = Path(__file__).parent / "results" / "latest.json"
type Measure = Callable[[Shop, float], Awaitable[dict[str, float]]]
MEASURES: dict[str, Measure] = {
    "list": figures.listing,
    "hold": figures.holding,
    "desk": figures.desk,
    "card": figures.card,
    "checkin": figures.checking_in,
    "crowds": figures.crowds,
    "tokens": validation,
    "azure": azure,
}
# Measured through the SDKs of Azure, on the doubles of its services.
THROUGH_SDKS = frozenset({"azure"})
# What we mean to reach on two cores.
_TARGETS = {
    "hold_rps": "≥ 1,000",
    "desk_order_rps": "≥ 500",
    "desk_order_p95_ms": "< 120",
    "cpu_ms_per_desk_order": "≤ 3",
    "card_order_rps": "≥ 120",
    "card_order_p95_ms": "< 600",
    "card_call_p95_ms": "< 300",
    "checkin_rps": "≥ 1,000",
    "list_rps": "≥ 3,000",
    "gateway_overhead_us": "≤ 80",
    "cosmos_ru_per_card_order": "≤ 120",
    "cold_start_ms": "≤ 700",
    "token_validation_us": "≤ 60",
}
_EXACT = ("capacity", "sold", "oversold", "left")


def main(
    seconds: Annotated[float, typer.Option(min=1.0, help="Load time of each figure.")] = SECONDS,
    rounds: Annotated[int, typer.Option(min=1, max=9, help="Rounds; each figure is their median.")] = 3,
    workers: Annotated[int, typer.Option(min=1, max=8, help="Host processes.")] = 1,
    only: Annotated[list[str] | None, typer.Option(help=f"Measure only these of: {', '.join(MEASURES)}.")] = None,
    history: Annotated[int, typer.Option(min=0, help="Old orders in the store before anything is measured.")] = 0,
) -> None:
    """Measure everything, print a table, write bench/results/latest.json. About ten minutes.

    With --history every figure is measured on one store, which is filled first: 5 GB and two minutes for a million.
    """
    import uvloop

    chosen = only or list(MEASURES)
    results = uvloop.run(_measure(chosen, seconds, rounds, workers, history))
    RESULTS.parent.mkdir(parents=True, exist_ok=True)
    RESULTS.write_bytes(orjson.dumps(results, option=orjson.OPT_INDENT_2))
    _show(results)
    if results.get("oversold", 0) or results.get("sold") != results.get("capacity"):
        print("The hot event was not sold out exactly.", file=sys.stderr)
        raise typer.Exit(1)


async def _measure(chosen: list[str], seconds: float, rounds: int, workers: int, history: int) -> dict[str, Any]:
    samples: dict[str, list[float]] = {}
    with Progress(transient=True) as progress, tempfile.TemporaryDirectory(prefix="tessera-bench-") as folder:
        past = await _past(Path(folder), history, progress) if history else None
        task = progress.add_task("measuring", total=rounds * (len(chosen) + 3))
        for number in range(rounds):
            for name, ceiling in (
                ("host_empty_rps", ceilings.host_empty_rps),
                ("client_ceiling_rps", ceilings.client_ceiling_rps),
                ("gateway_overhead_us", gateway_overhead_us),
            ):
                progress.update(task, description=f"round {number + 1}: {name}")
                samples.setdefault(name, []).append(await ceiling(min(seconds, 5.0)))
                progress.advance(task)
            for name in chosen:
                progress.update(task, description=f"round {number + 1}: {name}")
                for figure, value in (await _on(past, name, seconds, workers)).items():
                    samples.setdefault(figure, []).append(value)
                progress.advance(task)
    return {**_results(samples, rounds, seconds, workers), "history": history}


async def _past(folder: Path, orders: int, progress: Progress) -> Path:
    task = progress.add_task("writing history", total=orders * DOCUMENTS_PER_ORDER)
    stack = Stack(folder, Ports.free(), pages=None)
    await write_history(stack, orders, lambda written: progress.update(task, completed=written))
    return folder


async def _on(past: Path | None, name: str, seconds: float, workers: int) -> dict[str, float]:
    """One figure on a freshly started Tessera: a new one, or the one with a past."""
    with tempfile.TemporaryDirectory(prefix="tessera-bench-") as folder:
        if name in THROUGH_SDKS:  # without a past: history is written for the embedded store
            stack = Stack(
                Path(folder),
                Ports.free(),
                workers=workers,
                store=StoreKind.COSMOS,
                bus=BusKind.SERVICEBUS,
                pages=None,
                settings=UNHURRIED,
            )
        else:
            stack = Stack(past or Path(folder), Ports.free(), workers=workers, pages=None, settings=UNHURRIED)
        with stack:
            shop = await Shop.open(stack)
            try:
                return await MEASURES[name](shop, seconds)
            finally:
                await shop.close()


def _results(samples: dict[str, list[float]], rounds: int, seconds: float, workers: int) -> dict[str, Any]:
    figures_ = {
        name: int(values[-1]) if name in _EXACT else round(statistics.median(values), 2)
        for name, values in samples.items()
    }
    if "oversold" in samples:
        figures_["oversold"] = int(max(samples["oversold"]))
    return {
        **figures_,
        "workers": workers,
        "clients": CLIENTS,
        "durability": "fsync: SQLite WAL, synchronous=FULL",
        "spread": {name: [round(min(v), 2), round(max(v), 2)] for name, v in samples.items()},
        "rounds": rounds,
        "seconds": seconds,
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": {
            "cores": os.cpu_count(),
            "platform": platform.platform(),
            "python": platform.python_version(),
        },
    }


def _show(results: dict[str, Any]) -> None:
    table = Table(title=f"Tessera, median of {results['rounds']}, {results['durability']}", title_justify="left")
    for column in ("figure", "median", "lowest", "highest", "target"):
        table.add_column(column, justify="left" if column == "figure" else "right")
    for name, (low, high) in results["spread"].items():
        table.add_row(name, f"{results[name]:,}", f"{low:,}", f"{high:,}", _TARGETS.get(name, ""))
    Console(width=110).print(table)


if __name__ == "__main__":
    typer.run(main)
