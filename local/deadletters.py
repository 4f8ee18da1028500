"""`make deadletters`: look at messages nobody could handle, replay or discard them, over the admin API.

On this machine it signs in as the demo's admin; `--url` and `--token` point it at any other Tessera.
"""

import asyncio
import sys
import time
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Final

import httpx
import typer
from rich.console import Console
from rich.table import Table

from local.layout import Ports
from local.oidc_client import SignInRefused, sign_in
from local.stack import CLIENT_ID, Stack

ATTEMPTS_MAX: Final = 5  # of a request that is answered 503 or not at all; it has a key, so nothing happens twice
TIMEOUT_SECONDS: Final = 30.0
PAGES_MAX: Final = 10  # of 100 letters; a queue with more is better looked at by reason
_AGAIN: Final = httpx.codes.SERVICE_UNAVAILABLE


class AskedInVain(Exception):
    """The API refused, or does not answer; the message says why."""


class NoAnswer(AskedInVain):
    """The API does not answer, or fails: what was asked for may or may not have happened."""


@dataclass(frozen=True, slots=True)
class Office:
    """The admin API."""

    http: httpx.Client

    def get(self, path: str, **query: object) -> Any:
        """Ask.

        :raises AskedInVain: refused, or no answer
        """
        given = {name: str(value) for name, value in query.items() if value is not None}
        return self._asked("GET", path, params=given)

    def post(self, path: str, body: dict[str, Any], *, key: str) -> Any:
        """Tell, under one Idempotency-Key however often it takes.

        :raises AskedInVain: refused
        :raises NoAnswer: no answer; telling again under the same key does nothing twice
        """
        return self._asked("POST", path, json=body, headers={"idempotency-key": key})

    def _asked(self, method: str, path: str, **more: Any) -> Any:
        trouble = ""
        for _ in range(ATTEMPTS_MAX):
            try:
                answer = self.http.request(method, f"/api/operations/{path}", **more)
            except httpx.TransportError as error:
                trouble = f"{self.http.base_url} does not answer: {error}"
                time.sleep(1)
                continue
            if answer.is_success:
                return answer.json()
            trouble = _problem(answer)
            if answer.is_client_error:
                raise AskedInVain(trouble)
            if answer.status_code != _AGAIN:
                break
            time.sleep(float(answer.headers.get("retry-after", "1")))
        raise NoAnswer(trouble)


def _problem(answer: httpx.Response) -> str:
    if answer.headers.get("content-type") != "application/problem+json":
        return f"{answer.status_code} {answer.text[:200]}"
    found = answer.json()
    errors = "; ".join(f"{each['field']} {each['reason']}".strip() for each in found.get("errors", []))
    return f"{found['detail']} {errors} (correlation id {found['correlation_id']})"


def main(  # noqa: PLR0913 - one parameter an option
    *,
    queue: Annotated[str, typer.Option(help="Only this queue; without it, every queue's number.")] = "",
    reason: Annotated[str, typer.Option(help="Only letters with exactly this reason.")] = "",
    type_name: Annotated[str, typer.Option("--type", help="Only letters of this type, e.g. OrderPaid.")] = "",
    number: Annotated[list[int] | None, typer.Option(help="Only this letter, by its number; may be repeated.")] = None,
    everything: Annotated[bool, typer.Option("--all", help="Act on every letter of the queue.")] = False,
    show: Annotated[int, typer.Option(help="Show this letter with its body.")] = 0,
    replay: Annotated[bool, typer.Option(help="Send copies of the chosen letters to the queue again.")] = False,
    discard: Annotated[bool, typer.Option(help="Remove the chosen letters for good.")] = False,
    why: Annotated[str, typer.Option(help="For the audit trail; needed for what is not a dry run.")] = "",
    dry_run: Annotated[bool, typer.Option(help="Change nothing, only say what would be done.")] = False,
    per_second: Annotated[int, typer.Option(min=1, max=50, help="How fast to replay.")] = 10,
    key: Annotated[str, typer.Option(help="Finish what was told under this key; a failure prints it.")] = "",
    url: Annotated[str, typer.Option(help="Another Tessera than this machine's; needs --token.")] = "",
    token: Annotated[str, typer.Option(envvar="TESSERA_TOKEN", help="An admin's access token.")] = "",
    data: Annotated[Path, typer.Option(help="This machine's Tessera: its data directory.")] = Path(".tessera"),
    port: Annotated[int, typer.Option(min=1, max=65_000, help="This machine's Tessera: its port.")] = 7071,
) -> None:
    """List dead letters; with --replay or --discard deal with those that are chosen by number, reason or type, or all.

    At most 100 a call; if there are more, it says so: call again.
    """
    chosen = {"sequence_numbers": number or [], "reason": reason or None, "type": type_name or None, "all": everything}
    with _failures_told(url or f"http://127.0.0.1:{port}"):
        _refuse_contradictions(queue, chosen, replay=replay, discard=discard, show=show, key=key)
        with _office(url, token, data=data, port=port) as office:
            console = Console(width=None if sys.stdout.isatty() else 160)
            if replay or discard:
                body = {**chosen, "dry_run": dry_run, "why": why or None} | (
                    {"per_second": per_second} if replay else {}
                )
                _deal(office, console, queue, body, key or str(uuid.uuid4()), replay=replay)
            elif show:
                console.print_json(data=office.get(f"dead-letters/{queue}/{show}"))
            elif queue:
                _list(office, console, queue, reason=reason or None, type_name=type_name or None)
            else:
                _count(office, console)


@contextmanager
def _failures_told(url: str) -> Iterator[None]:
    try:
        yield
    except httpx.ConnectError:
        print(f"Not done: nobody answers at {url}. Is Tessera running there? (PORT=…, or --url)", file=sys.stderr)
        raise typer.Exit(1) from None
    except SignInRefused as error:
        print(f"Not done: {error}. Does the Tessera at {url} use another data folder? (DATA=…)", file=sys.stderr)
        raise typer.Exit(1) from None
    except (AskedInVain, httpx.HTTPError, OSError) as error:
        print(f"Not done: {error}", file=sys.stderr)
        raise typer.Exit(1) from None


def _refuse_contradictions(
    queue: str, chosen: Mapping[str, object], *, replay: bool, discard: bool, show: int, key: str
) -> None:
    acts = replay or discard
    if (acts or show or any(chosen.values())) and not queue:
        raise AskedInVain("say which --queue")
    if replay and discard:
        raise AskedInVain("--replay or --discard, not both")
    if show and (acts or any(chosen.values())):
        raise AskedInVain("--show shows one letter and goes with nothing else")
    if (chosen["sequence_numbers"] or chosen["all"] or key) and not acts:
        raise AskedInVain("--number, --all and --key are for --replay or --discard: say which; --show shows a letter")


@contextmanager
def _office(url: str, token: str, *, data: Path, port: int) -> Iterator[Office]:
    if url and not token:
        raise AskedInVain("--url needs an admin's --token")
    if not url:
        url, token = f"http://127.0.0.1:{port}", token or _admin_token(data.resolve(), port)
    headers = {"authorization": f"Bearer {token}"}
    with httpx.Client(base_url=url.rstrip("/"), headers=headers, timeout=TIMEOUT_SECONDS) as http:
        yield Office(http)


def _admin_token(data: Path, port: int) -> str:
    stack = Stack(data, Ports.counted_from(port))
    try:
        admin = next(each for each in stack.people() if each["role"] == "admin")
    except FileNotFoundError:
        raise AskedInVain(f"no Tessera has run in {data}; give its --data and --port, or --url and --token") from None
    signing_in = sign_in(stack.authority, CLIENT_ID, stack.redirect_uri, admin["email"], admin["password"])
    return asyncio.run(signing_in).access_token


def _count(office: Office, console: Console) -> None:
    table = Table("queue", "dead letters", box=None, pad_edge=False)
    table.columns[1].justify = "right"
    for item in office.get("dead-letters")["items"]:
        table.add_row(item["queue"], str(item["dead_letters"]))
    console.print(table, highlight=False)


def _list(office: Office, console: Console, queue: str, *, reason: str | None, type_name: str | None) -> None:
    table = Table("number", "age", "type", "reason", "tries", "description", "correlation id", box=None, pad_edge=False)
    after: int | None = 0
    for _ in range(PAGES_MAX):
        page = office.get(f"dead-letters/{queue}", reason=reason, type=type_name, after=after, limit=100)
        for item in page["items"]:
            table.add_row(
                str(item["sequence_number"]), _age(item["age_seconds"]), item["type"], item["reason"],
                str(item["delivery_count"]), item["description"], item["correlation_id"],
            )  # fmt: skip
        after = page.get("next_after")
        if after is None:
            break
    console.print(table if table.row_count else f"No such dead letters in {queue}.", highlight=False)
    if after is not None:
        console.print(f"… and more, from number {after + 1}; choose by --reason or --type.", highlight=False)


def _deal(office: Office, console: Console, queue: str, body: dict[str, Any], key: str, *, replay: bool) -> None:
    try:
        done = office.post(f"dead-letters/{queue}/{'replay' if replay else 'discard'}", body, key=key)
    except (NoAnswer, KeyboardInterrupt):
        if not body["dry_run"]:
            print(
                f"What became of it is not known. Finish it by the same command with --key {key} (make: KEY={key}); "
                "nothing happens twice.",
                file=sys.stderr,
            )
        raise
    table = Table("number", "type", "reason", "message id", "copy due at", box=None, pad_edge=False)
    for each in done["letters"]:
        table.add_row(
            str(each["sequence_number"]), each["type"], each["reason"], each["message_id"], each.get("due_at", "")
        )
    if done["letters"]:
        console.print(table, highlight=False)
    word = "replayed" if replay else "discarded"
    if done["dry_run"]:
        console.print(f"{len(done['letters'])} would be {word}; nothing was changed.", highlight=False)
    else:
        console.print(f"{len(done['done'])} {word}; audit id {done['audit_id']}.", highlight=False)
    if done["gone"]:
        console.print(f"No longer dead letters: {', '.join(map(str, done['gone']))}.", highlight=False)
    if done["more"]:
        console.print("There are more: call again, without --key.", highlight=False)


def _age(seconds: int) -> str:
    for size, unit in ((86_400, "d"), (3_600, "h"), (60, "min")):
        if seconds >= size:
            return f"{seconds // size} {unit}"
    return f"{seconds} s"


if __name__ == "__main__":
    typer.run(main)
