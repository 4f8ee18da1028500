"""`python -m local.importer FILE`: what `make import FILE=…` calls."""

import ipaddress
import os
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Final
from urllib.parse import urlsplit

import typer
from rich.console import Console
from rich.progress import Progress

from local.importer.client import Client, Unreachable, minted_token, wrong_with_token, wrong_with_url
from local.importer.documents import Mistake, Placed, Reading, read
from local.importer.sending import Outcome, Result, Sender

SHOWN_MAX: Final = 100
DONE, NOT_ALL, NOTHING_SENT, UNREACHABLE = 0, 1, 2, 3


def main(
    file: Annotated[Path, typer.Argument(help="Event documents: JSON, or JSON Lines (.jsonl, .ndjson).")],
    url: Annotated[str, typer.Option(help="The Tessera to import into.")] = "http://127.0.0.1:7071",
    sign_in: Annotated[
        str, typer.Option(help="The local sign-in double, which gives a token.")
    ] = "http://127.0.0.1:7073",
    email: Annotated[str, typer.Option("--as", help="Whose token to ask the double for.")] = "clara@tessera.example",
    token: Annotated[
        str, typer.Option(envvar="TESSERA_TOKEN", help="An access token instead, for any other Tessera.")
    ] = "",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Check the file, send nothing.")] = False,
    keep_going: Annotated[
        bool, typer.Option("--keep-going", help="Import what is right though something is wrong.")
    ] = False,
) -> None:
    """Import event documents; doing it again changes nothing.

    The whole file is checked first, and unless --keep-going is given nothing is sent when anything is wrong. Ends with
    0 when all is in place; 1 when some documents are not; 2 when nothing was sent; 3 when Tessera cannot be reached.
    """
    _check_options(url, sign_in, token)
    reading = _read(file)
    _show(reading.mistakes)
    if reading.mistakes and not (keep_going and reading.documents):
        print(f"{file}: {len(reading.mistakes)} mistakes; nothing was sent.", file=sys.stderr)
        raise typer.Exit(NOTHING_SENT)
    if dry_run:
        print(f"{file}: {len(reading.documents)} documents are right; nothing was sent.")
        raise typer.Exit(NOT_ALL if reading.mistakes else DONE)
    bearer = _bearer(url, sign_in, email, token)
    try:
        outcomes = _import(url, bearer, reading.documents)
    except Unreachable as trouble:
        print(f"{trouble}\nWhat was imported stays; the same command goes on from there.", file=sys.stderr)
        raise typer.Exit(UNREACHABLE) from None
    number = Counter(outcome.result for outcome in outcomes)
    print(f"{file}: " + ", ".join(f"{number[result]} {result}" for result in Result if number[result]) + ".")
    raise typer.Exit(NOT_ALL if number[Result.REFUSED] or reading.mistakes else DONE)


def _check_options(url: str, sign_in: str, token: str) -> None:
    wrong = {"--url": wrong_with_url(url), "--sign-in": wrong_with_url(sign_in), "--token": wrong_with_token(token)}
    for option, what in wrong.items():
        if what:
            print(f"{option}: {what}", file=sys.stderr)
    if any(wrong.values()):
        raise typer.Exit(NOTHING_SENT)


def _read(file: Path) -> Reading:
    try:
        return read(file)
    except OSError as error:
        print(f"{file} cannot be read: {error.strerror}", file=sys.stderr)
        raise typer.Exit(NOTHING_SENT) from None


def _show(mistakes: list[Mistake]) -> None:
    for mistake in mistakes[:SHOWN_MAX]:
        print(mistake, file=sys.stderr)
    if len(mistakes) > SHOWN_MAX:
        print(f"… and {len(mistakes) - SHOWN_MAX} more", file=sys.stderr)


def _bearer(url: str, sign_in: str, email: str, token: str) -> Callable[[], str]:
    """What gives tokens; a stranger's Tessera is never shown one of the local double."""
    if token:
        return lambda: token
    if not _is_here(url):
        print("For a Tessera that is not on this machine give --token or TESSERA_TOKEN.", file=sys.stderr)
        raise typer.Exit(NOTHING_SENT)
    return lambda: minted_token(sign_in, email)


def _is_here(url: str) -> bool:
    host = urlsplit(url).hostname or ""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _import(url: str, bearer: Callable[[], str], documents: list[Placed]) -> list[Outcome]:
    console = Console(stderr=True)
    client = Client(url, bearer)
    sender, outcomes = Sender(client), []
    try:
        with Progress(console=console, transient=True, disable=not os.isatty(2)) as progress:
            task = progress.add_task("importing", total=len(documents))
            for placed in documents:
                outcome = sender.send(placed.document)
                outcomes.append(outcome)
                if told := _told(outcome):
                    progress.console.print(
                        f"{placed.where}: {placed.document.external_id}: {told}",
                        markup=False,
                        highlight=False,
                        soft_wrap=True,
                    )
                progress.advance(task)
    finally:
        client.close()
    return outcomes


def _told(outcome: Outcome) -> str:
    """What its owner should know of a document beyond how many went the same way."""
    if outcome.overwrote:
        return f"the draft was different and is now as the file has it: {', '.join(outcome.overwrote)}"
    return outcome.why


if __name__ == "__main__":
    typer.run(main)
