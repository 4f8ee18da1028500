"""`make demo`: sell a ticket as a client would, from sign-in to the door, and say how long each step took.

Starts a Tessera of its own on free ports in a temporary folder. Ends with 0 only if all of it happened.
"""

import asyncio
import tempfile
import time
import uuid
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Annotated, Any

import httpx
import typer
from rich.console import Console

from local.host.process import HostFailed
from local.layout import BusKind, Ports, StoreKind, stack_secrets
from local.offline import code_is_genuine
from local.oidc_client import SignInRefused, sign_in
from local.seed.catalogue import ORGANISERS
from local.seed.seed import Seeder, SeedRefused
from local.stack import CLIENT_ID, Stack, StackFailed
from shared.kernel.clock import utc_now

PATIENCE_SECONDS = 20.0
CARD = {"card_number": "4242424242424242", "card_expiry": "12/34", "card_cvc": "123", "card_name": "Uma User"}


class StepFailed(Exception):
    """A step of the demo did not happen as it should."""


class Demo:
    """The client's side of one sale."""

    def __init__(self, stack: Stack, http: httpx.AsyncClient, console: Console) -> None:
        self._stack = stack
        self._http = http
        self._console = console
        self._number = 0

    async def run(self) -> None:
        """Every step, in order.

        :raises StepFailed: one did not happen
        """
        uma = await self._step("Uma signs in (authorisation code with PKCE)", lambda: self._sign_in("uma"))
        events = await self._step("lists the events, by date", lambda: self._listed(uma))
        event = await self._step("reads one, with what is left", lambda: self._event(uma, events))
        order = await self._step("orders two places", lambda: self._order(uma, event))
        page = await self._step("opens the checkout", lambda: self._checkout(uma, order))
        await self._step("pays by card on the hosted page", lambda: self._pay(page))
        await self._step("comes back to an order that is paid", lambda: self._paid(uma, order))
        ticket = await self._step("finds the tickets in her wallet", lambda: self._tickets(uma, order))
        await self._step("finds them in her mailbox", lambda: self._mail(order))
        await self._step("the QR code is genuine, checked without network", lambda: self._genuine(ticket))
        oscar = await self._step("Oscar signs in at the door", lambda: self._sign_in("oscar"))
        await self._step("scans the ticket: come in", lambda: self._scan(oscar, ticket, expected=200))
        await self._step("somebody comes with a copy: turned away", lambda: self._scan(oscar, ticket, expected=409))
        await self._step("analytics has the purchase, once", lambda: self._insight(order))

    async def _step[T](self, what: str, do: Callable[[], Awaitable[tuple[T, str]]]) -> T:
        self._number += 1
        started = time.perf_counter()
        try:
            result, said = await do()
        except (StepFailed, httpx.HTTPError, SignInRefused) as error:
            self._console.print(f"{self._number:3}  [red]✗[/red] {what}: {error}", highlight=False)
            raise StepFailed(what) from error
        milliseconds = (time.perf_counter() - started) * 1000
        self._console.print(
            f"{self._number:3}  [green]✓[/green] {what:<48} {milliseconds:8.1f} ms  [dim]{said}[/dim]", highlight=False
        )
        return result

    async def _sign_in(self, who: str) -> tuple[str, str]:
        person = next(p for p in self._stack.people() if p["email"].startswith(f"{who}@"))
        tokens = await sign_in(
            self._stack.authority, CLIENT_ID, self._stack.redirect_uri, person["email"], person["password"]
        )
        return tokens.access_token, person["email"]

    async def _listed(self, token: str) -> tuple[list[Any], str]:
        async def look() -> list[Any] | None:
            items: list[Any] = (await self._get("events", token))["items"]
            return items if len(items) == seeded else None  # the lists follow the change feed, one event after another

        seeded = sum(len(organiser.events) for organiser in ORGANISERS)
        items = await _soon(look, f"{seeded} events in the list")
        if [e["starts_at"] for e in items] != sorted(e["starts_at"] for e in items):
            raise StepFailed("the list is not in the order of dates")
        return items, f"{len(items)} events, first “{items[0]['name']}”"

    async def _event(self, token: str, events: list[Any]) -> tuple[Any, str]:
        wanted = next(e for e in events if e["price_from"]["amount_minor"] > 0)
        event = await self._get(f"events/{wanted['event_id']}", token)
        return event, f"“{event['name']}”, {event['available']} of {event['capacity']} left"

    async def _order(self, token: str, event: Any) -> tuple[Any, str]:
        body = {
            "event_id": event["event_id"],
            "lines": [{"ticket_type_id": event["ticket_types"][0]["ticket_type_id"], "quantity": 2}],
        }
        order = await self._post("orders", token, body, key=str(uuid.uuid4()), expected=201)
        total = order["total"]
        price = f"{total['amount_minor'] / 100:.2f} {total['currency']}"
        return order, f"{order['state']}, {price} until {order['deadline'][11:19]}Z"

    async def _checkout(self, token: str, order: Any) -> tuple[str, str]:
        opened = await self._post(f"orders/{order['order_id']}/checkout", token, {})
        return str(opened["checkout_url"]), "the payment double's page"

    async def _pay(self, page: str) -> tuple[None, str]:
        (await self._http.get(page)).raise_for_status()
        answer = await self._http.post(page, data=CARD)
        if answer.status_code != httpx.codes.SEE_OTHER:
            raise StepFailed(f"the page answered {answer.status_code}")
        return None, "card 4242 4242 4242 4242"

    async def _paid(self, token: str, order: Any) -> tuple[None, str]:
        async def look() -> bool | None:
            found = await self._get(f"orders/{order['order_id']}", token)
            return found["state"] == "paid" or None

        await _soon(look, "a paid order")
        return None, "webhook, queue, tickets"

    async def _tickets(self, token: str, order: Any) -> tuple[Any, str]:
        async def look() -> list[Any] | None:
            items = (await self._get("tickets/mine", token))["items"]
            mine = [ticket for ticket in items if ticket["order_id"] == order["order_id"]]
            return mine if len(mine) == 2 else None

        tickets = await _soon(look, "two tickets")
        picture = await self._http.get(f"{self._stack.url}{tickets[0]['qr_svg']}", headers=_bearer(token))
        if not picture.text.startswith("<svg"):
            raise StepFailed("the QR code is no picture")
        return tickets[0], ", ".join(ticket["number"] for ticket in tickets)

    async def _mail(self, order: Any) -> tuple[None, str]:
        async def look() -> Any | None:
            url = f"{self._stack.mailbox_url}/api/messages"
            found = (
                await self._http.get(url, params={"message_id": f"<confirmation.{order['order_id']}@tessera.example>"})
            ).json()["messages"]
            return found[0] if len(found) == 1 else None

        mail = await _soon(look, "one mail")
        return None, f"“{mail['subject']}” for {', '.join(mail['to'])}"

    async def _genuine(self, ticket: Any) -> tuple[None, str]:
        keys = (await self._http.get(f"{self._stack.url}/api/ticket-keys")).json()["keys"]
        forged = (
            ticket["code"].replace(".1.", ".2.") if ".1." in ticket["code"] else ticket["code"].replace(".2.", ".1.")
        )
        if not code_is_genuine(ticket["code"], keys) or code_is_genuine(forged, keys):
            raise StepFailed("the signature does not tell genuine from forged")
        return None, "Ed25519; a forged one is told apart"

    async def _scan(self, token: str, ticket: Any, *, expected: int) -> tuple[None, str]:
        body = {"code": ticket["code"], "nonce": str(uuid.uuid4())}
        answer = await self._post("check-ins", token, body, expected=expected)
        if expected == httpx.codes.CONFLICT:
            return None, f"used at {answer['checked_in_at'][11:19]}Z, let in by {answer['checked_in_by']}"
        return None, f"{answer['holder']}, {answer['ticket_type']}"

    async def _insight(self, order: Any) -> tuple[None, str]:
        key = stack_secrets(self._stack.data)["insights_api_key"]
        path = f"insights/events?organiser_id={order['organiser_id']}&name=OrderPaid"

        async def look() -> list[Any] | None:
            items = (await self._get(path, key))["items"]
            mine = [item for item in items if item["payload"]["order_id"] == order["order_id"]]
            return mine or None

        found = await _soon(look, "the purchase event")
        if len(found) != 1:
            raise StepFailed(f"{len(found)} events instead of one")
        return None, f"{found[0]['name']}, {found[0]['payload']['quantity']} places"

    async def _get(self, path: str, token: str) -> Any:
        answer = await self._http.get(f"{self._stack.url}/api/{path}", headers=_bearer(token))
        return _expected(answer, 200)

    async def _post(self, path: str, token: str, body: Any, *, key: str = "", expected: int = 200) -> Any:
        headers = _bearer(token) | ({"idempotency-key": key} if key else {})
        answer = await self._http.post(f"{self._stack.url}/api/{path}", headers=headers, json=body)
        return _expected(answer, expected)


def _expected(answer: httpx.Response, status: int) -> Any:
    if answer.status_code != status:
        raise StepFailed(f"{answer.request.method} {answer.request.url.path}: {answer.status_code} {answer.text}")
    return answer.json()


async def _soon[T](look: Callable[[], Awaitable[T | None]], what: str) -> T:
    """What `look` finds, as soon as it finds something: read models and mails follow a little later."""
    give_up = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < give_up:
        found = await look()
        if found is not None:
            return found
        await asyncio.sleep(0.02)
    raise StepFailed(f"not after {PATIENCE_SECONDS:.0f} s: {what}")


def _bearer(token: str) -> dict[str, str]:
    return {"authorization": f"Bearer {token}"}


async def _sell(stack: Stack, console: Console) -> None:
    async with httpx.AsyncClient(timeout=30) as http:
        await Demo(stack, http, console).run()


def main(
    store: Annotated[StoreKind, typer.Option(help="Where documents are kept.")] = StoreKind.EMBEDDED,
    bus: Annotated[BusKind, typer.Option(help="Where messages are sent.")] = BusKind.EMBEDDED,
) -> None:
    """Sell a ticket from sign-in to the door, step by step, on a Tessera of its own; 0 if all of it worked."""
    console = Console(width=150)
    started = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="tessera-demo-") as folder:
        stack = Stack(Path(folder), Ports.free(), store=store, bus=bus)
        try:
            with stack:
                Seeder(stack.url, stack.entra_url).seed(utc_now())
                console.print(
                    f"\nA Tessera of its own runs at {stack.url} (seeded after {time.monotonic() - started:.1f} s)\n"
                )
                asyncio.run(_sell(stack, console))
        except (StepFailed, StackFailed, HostFailed, SeedRefused) as error:
            console.print(f"\n[red]The demo failed:[/red] {error}", highlight=False)
            raise typer.Exit(1) from None
    console.print("\n[bold green]Sold, delivered, checked in once, counted once.[/bold green]\n")


if __name__ == "__main__":
    typer.run(main)
