"""The figures, each measured on a shop of its own kind; only successes are counted."""

import asyncio
import time
import uuid
from typing import Any, Final

from bench.load import CLIENTS, SECONDS, Run, drive
from bench.shop import HotEvent, Shop

PLENTY: Final = 900_000
CROWDS: Final = (1, 8, 32, 128, 500)
PAID_POLL_SECONDS: Final = 0.05  # a page that waits asks far less often; this bounds what waiting adds to the figure
PAID_POLLS_MAX: Final = 400
type Figures = dict[str, float]


async def listing(shop: Shop, seconds: float = SECONDS) -> Figures:
    """The public list, a page of twenty of forty events; then searches of which no two are alike."""
    for _ in range(40):
        await shop.event(100)
    for _ in range(100):
        if len((await shop.buyers.get("/api/events?limit=40"))[1]["items"]) == 40:
            break
        await asyncio.sleep(0.1)

    async def action(client: int, _round: int) -> bool:
        return (await shop.buyers.get("/api/events?limit=20", client))[0] == 200

    async def searching(client: int, round_: int) -> bool:
        path = f"/api/events?limit=20&city=zurich&until=2031-01-01T00:{client:02d}:{round_ % 60:02d}.{round_:06d}Z"
        return (await shop.buyers.get(path, client))[0] == 200

    run = await drive(action, seconds=seconds)
    searched = await drive(searching, seconds=seconds / 2)
    return {
        "list_rps": run.rate,
        "list_p95_ms": run.percentile_ms(0.95),
        "search_rps": searched.rate,
        "search_p95_ms": searched.percentile_ms(0.95),
    }


async def holding(shop: Shop, seconds: float = SECONDS) -> Figures:
    """Card orders to `placed`, all on one event."""
    event = await shop.event(PLENTY)

    async def action(client: int, _round: int) -> bool:
        return (await shop.buyers.post("/api/orders", event.order(), client, new_key()))[0] == 201

    run = await drive(action, seconds=seconds)
    return {"hold_rps": run.rate, "hold_p95_ms": run.percentile_ms(0.95)}


async def desk(shop: Shop, seconds: float = SECONDS) -> Figures:
    """Desk orders to `paid` on a hot event with more demand than tickets, until it is sold out."""
    rate = (await _sell_at_desk(shop, await shop.event(PLENTY), 2.0)).rate
    await shop.quiet()
    event = await shop.event(max(100, int(1.3 * rate * seconds)))  # it gets faster as it runs
    before = shop.cpu()
    run = await _sell_at_desk(shop, event, seconds * 3)
    await shop.quiet()
    used = shop.cpu() - before
    sold = len(run.latencies)
    return {
        "desk_order_rps": run.rate,
        "desk_order_p95_ms": run.percentile_ms(0.95),
        "cpu_ms_per_desk_order": used / sold * 1000,
        "capacity": event.capacity,
        "sold": sold,
        "oversold": max(0, sold - event.capacity),
        "left": await shop.left(event),
        "desk_seconds": run.seconds,
    }


async def card(shop: Shop, seconds: float = SECONDS) -> Figures:
    """Whole card purchases: order, checkout, payment at the provider, and `paid` seen by the buyer."""
    event = await shop.event(PLENTY)
    before = shop.cpu()
    calls: list[float] = []

    async def action(client: int, _round: int) -> bool:
        return bool(await buy(shop, event, client, new_key(), calls))

    run = await drive(action, seconds=seconds)
    await shop.quiet()
    return {
        "card_order_rps": run.rate,
        "card_order_p95_ms": run.percentile_ms(0.95),
        "card_call_p95_ms": Run(latencies=calls).percentile_ms(0.95),
        "cpu_ms_per_card_order": (shop.cpu() - before) / len(run.latencies) * 1000,
    }


async def checking_in(shop: Shop, seconds: float = SECONDS) -> Figures:
    """Scans at the door, each of another ticket."""
    codes = await _codes(shop, int(2_200 * seconds))
    remaining = iter(codes)

    async def action(client: int, _round: int) -> bool:
        code = next(remaining, None)
        if code is None:
            return False
        body = {"code": code, "nonce": new_key()}
        return (await shop.operators.post("/api/check-ins", body, client))[0] == 200

    run = await drive(action, seconds=seconds)
    return {"checkin_rps": run.rate, "checkin_p95_ms": run.percentile_ms(0.95), "checkin_seconds": run.seconds}


async def crowds(shop: Shop, seconds: float = SECONDS) -> Figures:
    """What a desk order costs, CPU of all that follows included, by the number of clients."""
    figures: Figures = {}
    for clients in CROWDS:
        event = await shop.event(PLENTY)
        before = shop.cpu()
        run = await _sell_at_desk(shop, event, seconds / 2, clients=clients)
        await shop.quiet()
        figures[f"cpu_ms_per_desk_order_{clients}_clients"] = (shop.cpu() - before) / len(run.latencies) * 1000
        figures[f"desk_order_rps_{clients}_clients"] = run.rate
    return figures


async def buy(shop: Shop, event: HotEvent, client: int, key: str, calls: list[float] | None = None) -> dict[str, Any]:
    """Buy one place by card, from the order to the tickets; the paid order, or nothing.

    :param calls: is told how long each call of the API took, seconds
    """
    took = [] if calls is None else calls
    status, order = await _timed(took, shop.buyers.post("/api/orders", event.order(), client, key))
    if status != 201:
        return {}
    path = f"/api/orders/{order['order_id']}"
    status, opened = await _timed(took, shop.buyers.post(f"{path}/checkout", {}, client))
    if status != 200:
        return {}
    await _pay(shop, str(opened["checkout_url"]))
    return await _paid(shop, path, client, took)


async def _sell_at_desk(shop: Shop, event: HotEvent, seconds: float, *, clients: int = CLIENTS) -> Run:
    async def action(client: int, _round: int) -> bool:
        return (await shop.operators.post("/api/orders", event.order(method="desk"), client, new_key()))[0] == 201

    return await drive(action, seconds=seconds, clients=clients)


async def _pay(shop: Shop, url: str) -> None:
    session = url.rpartition("/")[2]
    body = {"number": "4242424242424242"}
    async with shop.buyers._http.post(  # noqa: SLF001 - the provider is reached with the same connections
        f"{shop.stack.stripe_url}/_emulator/sessions/{session}/pay", json=body
    ) as answer:
        answer.raise_for_status()


async def _paid(shop: Shop, path: str, client: int, calls: list[float]) -> dict[str, Any]:
    for _ in range(PAID_POLLS_MAX):
        status, order = await _timed(calls, shop.buyers.get(path, client))
        if status == 200 and order["state"] == "paid":
            return dict(order)
        await asyncio.sleep(PAID_POLL_SECONDS)
    return {}


async def _timed(calls: list[float], asking: Any) -> Any:
    started = time.perf_counter()
    answer = await asking
    calls.append(time.perf_counter() - started)
    return answer


async def _codes(shop: Shop, wanted: int) -> list[str]:
    """Ticket codes: free orders of fifty, read back from the buyers' orders."""
    event = await shop.event(PLENTY, price=0)

    async def order(client: int) -> list[str]:
        codes: list[str] = []
        for _ in range(-(-wanted // (50 * 32))):
            status, made = await shop.buyers.post("/api/orders", event.order(50), client, new_key())
            assert status == 201, made
            _, issued = await shop.buyers.get(f"/api/orders/{made['order_id']}/tickets", client)
            codes += [ticket["code"] for ticket in issued["items"]]
        return codes

    found = await asyncio.gather(*(order(client) for client in range(32)))
    await shop.quiet()
    return [code for codes in found for code in codes]


def new_key() -> str:
    """A fresh idempotency key."""
    return uuid.uuid4().hex
