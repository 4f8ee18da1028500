"""`make torture`: the fault, misuse and property tests with many more rounds, until one fails or all are through.

Each run of a suite is a pytest of its own with fresh data and a fresh seed; a failure names both, and keeps its data.
"""

import os
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Final

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn
from rich.table import Table

ROOT: Final = Path(__file__).resolve().parent.parent
TAIL_LINES: Final = 60


@dataclass(frozen=True, slots=True)
class Suite:
    """Some tests.

    :param share: how many of `--rounds` rounds it gets, as a fraction; at least one run
    :param chunk: rounds a run of pytest makes (`TORTURE_ROUNDS`); 1 repeats tests that know no rounds
    """

    name: str
    path: str
    share: float
    chunk: int
    what: str

    def runs(self, rounds: int) -> list[int]:
        """The rounds of each run."""
        total = max(1, round(rounds * self.share))
        full, rest = divmod(total, self.chunk)
        return [self.chunk] * full + ([rest] if rest else [])


SUITES: Final = (
    Suite("kill-host", "tests/faults/test_kill_host.py", 1.0, 25, "kill -9 of the host amid an on-sale, reconciled"),
    Suite("workers", "tests/faults/test_workers.py", 0.25, 10, "one of two workers killed amid an on-sale"),
    Suite("relay", "tests/faults/test_relay.py", 0.05, 1, "the outbox relay's faults"),
    Suite("webhooks", "tests/faults/test_webhooks.py", 0.05, 1, "the payment provider's faults"),
    Suite("neighbours", "tests/faults/test_neighbours.py", 0.05, 1, "provider, store and bus failing under a Tessera"),
    Suite("mail", "tests/faults/test_mail.py", 0.05, 1, "the mail server's faults"),
    Suite(
        "store", "tests/faults/test_embedded_store_faults.py", 0.05, 1, "the store's processes killed, its disk full"
    ),
    Suite("bus", "tests/faults/test_embedded_bus_faults.py", 0.05, 1, "the bus's processes killed"),
    Suite(
        "misuse",
        "tests/misuse/test_openapi_cases.py",
        0.25,
        5,
        "2,000 requests a round, drawn from the OpenAPI document",
    ),
    Suite("property", "tests/property", 0.1, 10, "on-sales and lifecycles against an independent oracle"),
)


@dataclass(slots=True)
class Outcome:
    """How a suite went; `failure` is empty when it passed."""

    suite: Suite
    rounds: int = 0
    seconds: float = 0.0
    failure: str = ""


def main(
    rounds: Annotated[int, typer.Option(min=1, help="Kills of the host; the other suites get their share.")] = 200,
    only: Annotated[list[str] | None, typer.Option(help="Only this suite; may be given again.")] = None,
    keep_going: Annotated[bool, typer.Option(help="Run the other suites after a failure.")] = False,
) -> None:
    """Torture Tessera. Ends with 0 if everything held, 1 if something did not, 2 if a suite is unknown."""
    unknown = set(only or ()) - {suite.name for suite in SUITES}
    if unknown:
        names = ", ".join(suite.name for suite in SUITES)
        raise typer.BadParameter(f"no suite {', '.join(sorted(unknown))}; there are {names}", param_hint="--only")
    chosen = [suite for suite in SUITES if not only or suite.name in only]
    console = Console()
    outcomes = _run_all(console, chosen, rounds, keep_going=keep_going)
    _summarise(console, outcomes, left_out=len(chosen) - len(outcomes))
    if any(outcome.failure for outcome in outcomes):
        raise typer.Exit(1)


def _run_all(console: Console, chosen: list[Suite], rounds: int, *, keep_going: bool) -> list[Outcome]:
    columns = (
        TextColumn("{task.description:<10}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("rounds"),
        TimeElapsedColumn(),
        TextColumn("[dim]{task.fields[seed]}"),
    )
    outcomes: list[Outcome] = []
    with Progress(*columns, console=console) as progress:
        bars = [progress.add_task(s.name, total=sum(s.runs(rounds)), seed="", start=False) for s in chosen]
        for suite, bar in zip(chosen, bars, strict=True):
            outcomes.append(_run_suite(suite, rounds, progress, bar))
            if outcomes[-1].failure and not keep_going:
                break
    return outcomes


def _run_suite(suite: Suite, rounds: int, progress: Progress, bar: TaskID) -> Outcome:
    outcome = Outcome(suite)
    progress.start_task(bar)
    began = time.monotonic()
    for chunk in suite.runs(rounds):
        seed = secrets.randbelow(2**31)
        progress.update(bar, seed=f"seed {seed}")
        outcome.failure = _run_once(suite, chunk, seed)
        outcome.seconds = time.monotonic() - began
        if outcome.failure:
            break
        outcome.rounds += chunk
        progress.advance(bar, chunk)
    progress.stop_task(bar)
    return outcome


def _run_once(suite: Suite, chunk: int, seed: int) -> str:
    """One pytest; empty if it passed, else its last words and how to repeat it. Data are kept only of a failure."""
    data = tempfile.mkdtemp(prefix=f"tessera-torture-{suite.name}-")
    command = [sys.executable, "-m", "pytest", "-q", "-x", f"--basetemp={data}/data", suite.path]
    environment = {**os.environ, "TORTURE_ROUNDS": str(chunk), "TORTURE_SEED": str(seed)}
    process = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                               text=True)  # fmt: skip
    try:
        output, _ = process.communicate()
    except KeyboardInterrupt:  # Ctrl-C reaches pytest as well, which ends what it started
        process.communicate()
        raise
    if process.returncode == 0:
        shutil.rmtree(data)
        return ""
    again = f"TORTURE_ROUNDS={chunk} TORTURE_SEED={seed} .venv/bin/python -m pytest -q -x -s {suite.path}"
    ended = signal.Signals(-process.returncode).name if process.returncode < 0 else f"exit {process.returncode}"
    return "\n".join([*output.splitlines()[-TAIL_LINES:], f"({ended}; data in {data}; again: {again})"])


def _summarise(console: Console, outcomes: list[Outcome], *, left_out: int) -> None:
    for outcome in outcomes:
        if outcome.failure:
            console.rule(f"{outcome.suite.name} failed")
            console.print(outcome.failure, markup=False, highlight=False)
    table = Table(box=None, pad_edge=False)
    for column in ("suite", "rounds", "minutes", "", "what"):
        table.add_column(column, justify="right" if column in {"rounds", "minutes"} else "left")
    for outcome in outcomes:
        verdict = "[red]failed[/red]" if outcome.failure else "[green]held[/green]"
        minutes = f"{outcome.seconds / 60:.1f}"
        table.add_row(outcome.suite.name, str(outcome.rounds), minutes, verdict, outcome.suite.what)
    console.print()
    console.print(table)
    if left_out:
        console.print(f"{left_out} suites were not run after the failure.")


if __name__ == "__main__":
    typer.run(main)
