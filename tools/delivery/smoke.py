"""The smoke test: does what was published work, from the gateway to the telemetry? It leaves an order refunded, its
stock as before.

A sale at the desk goes the whole way: gateway, token, store, outbox, bus, refund, stock, analytics, Application
Insights. Its operator has no more rights than to sell at the desk of one organiser.
"""

import time
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Final

import httpx

from tools.delivery.azure import AzureFailed
from tools.delivery.insights import Insights, NotFoundYet, Row
from tools.delivery.outcome import CheckFailed, Report
from tools.delivery.shop import REQUEST_SECONDS, Json, Shop, ShopRefused, document, problem
from tools.delivery.smoke_sale import sale
from tools.delivery.smoke_trace import others, trace
from tools.delivery.versions import answering

NAMES_TOLD_MAX: Final = 8
GATEWAY: Final = "the gateway"
EXPECTED: Final = (CheckFailed, ShopRefused, NotFoundYet, httpx.HTTPError)

type Functions = Mapping[str, frozenset[str]]  # app → names


@dataclass(frozen=True, slots=True)
class Patience:
    """How long is waited, in seconds.

    :param ready: until a published app answers, and nothing answers or works as another version any more
    :param moved: until the bus moved what a refund leads to; consumers may have to start
    :param telemetry: until what was done is found in Application Insights
    :param poll: between two looks
    """

    ready: float = 300.0
    moved: float = 120.0
    telemetry: float = 600.0
    poll: float = 1.0


@dataclass(frozen=True, slots=True)
class Target:
    """What is tested.

    :param url: the gateway, without a slash at its end
    :param token: the operator's access token; empty: nothing is sold, since there is no operator yet
    :param event: an event of the operator's organiser, that is on sale
    :param wanted: app → functions it should have
    :param told: asks what functions the apps have
    :param version: the version that has to answer; empty: of a package that tells none
    :param addresses: app → its own address, past the gateway
    :param insights: where its telemetry is; None: not looked for
    :param whole_traces: whether every span is collected, or a share of the traces only
    """

    url: str
    token: str
    event: str
    wanted: Functions
    told: Callable[[], Functions]
    insights: Insights | None
    version: str = ""
    addresses: Mapping[str, str] = field(default_factory=dict)
    whole_traces: bool = True


def smoke(target: Target, report: Report, patience: Patience, *, transport: httpx.BaseTransport | None = None) -> None:
    """Check everything, and tell what was found in `report`; what cannot work after a failure is not tried.

    :param transport: how requests go; None: as usual
    """
    with httpx.Client(base_url=target.url, timeout=REQUEST_SECONDS, transport=transport) as http:
        shop = Shop(http, target.token, f"smoke-{uuid.uuid4().hex[:16]}")
        if report.check("answers", lambda: _answers(http, "live", patience)) is None:
            return
        if target.version and report.check("version", lambda: _version(http, target, report, patience)) is None:
            return  # whatever else was found would be said of another version
        report.check("what it stands on answers", lambda: _answers(http, "ready", patience))
        report.check("functions", lambda: _functions(target, patience))
        if not target.token:
            return
        report.check("knows the operator", lambda: _knows(shop))
        _sales(shop, target, report, patience)


def _sales(shop: Shop, target: Target, report: Report, patience: Patience) -> None:
    """One sale, or more where an old instance still took a message of it from its queue."""
    give_up = time.monotonic() + patience.ready
    while True:
        order = sale(shop, target.event, report, seconds=patience.moved, poll=patience.poll)
        if order is None or target.insights is None:
            return
        # It may be late, and the sale went through.
        done = report.check("its trace is found", partial(_trace, target, order, patience), grave=False)
        if done is None or not target.version:
            return
        wrong = others(target.version, done)
        if not wrong or time.monotonic() >= give_up:
            report.check("done by this version", partial(_by, target.version, wrong))
            return
        report.progress(f"{target.version} does not do all of it yet, but {wrong}: sold once more")
        time.sleep(patience.poll)


def _answers(http: httpx.Client, what: str, patience: Patience) -> tuple[bool, str]:
    """An app that was just published takes a while."""
    give_up = time.monotonic() + patience.ready
    while True:
        try:
            answer = http.get(f"/api/health/{what}")
            found = document(answer) or {}
            if answer.is_success and "status" in found:
                return True, "; ".join([found["status"], *found.get("warnings", [])])
            trouble = problem(answer)
        except httpx.HTTPError as error:
            trouble = f"{http.base_url} does not answer: {str(error) or type(error).__name__}"
        if time.monotonic() >= give_up:
            raise CheckFailed(f"not within {patience.ready:.0f} s: {trouble}")
        time.sleep(patience.poll)


def _version(http: httpx.Client, target: Target, report: Report, patience: Patience) -> tuple[str, str]:
    """Whoever published by another way, or what Azure did not take, shows here."""
    places = {each: f"{address}/api/health/live" for each, address in {GATEWAY: "", **target.addresses}.items()}
    wait = {"seconds": patience.ready, "poll": patience.poll}
    return target.version, answering(http, places, target.version, **wait, tell=report.progress)


def _functions(target: Target, patience: Patience) -> tuple[int, str]:
    """A published app tells its new functions once it was restarted."""
    give_up = time.monotonic() + patience.ready
    while True:
        try:
            told = target.told()
            differences = [*differing(target.wanted, told)]
        except AzureFailed as error:  # one bad answer of theirs is no verdict on what was published
            told, differences = {}, [str(error)]
        if not differences:
            break
        if time.monotonic() >= give_up:
            raise CheckFailed("; ".join(differences))
        time.sleep(patience.poll)
    return sum(map(len, told.values())), ", ".join(f"{app}: {len(names)}" for app, names in told.items())


def differing(wanted: Functions, told: Functions) -> list[str]:
    """A sentence for each app that has other functions than it should; pure."""
    found = []
    for app, names in wanted.items():
        has = told.get(app, frozenset())
        parts = [("lacks", names - has), ("has besides", has - names)]
        said = [f"{word} {_listed(which)}" for word, which in parts if which]
        if said:
            found.append(f"{app} has {len(has)} functions instead of {len(names)}: {' and '.join(said)}")
    return found


def _listed(names: frozenset[str]) -> str:
    shown = sorted(names)[:NAMES_TOLD_MAX]
    return ", ".join(shown) + (f" and {len(names) - len(shown)} more" if len(names) > len(shown) else "")


def _knows(shop: Shop) -> tuple[str, str]:
    """The service `identity` is an app of its own in prod, and a sale does not ask it."""
    person_id = str(shop.get("me")["person_id"])
    return person_id, person_id


def _trace(target: Target, order: Json, patience: Patience) -> tuple[list[Row], str]:
    assert target.insights is not None, "asked for only where there are some"
    wait = {"seconds": patience.telemetry, "poll": patience.poll}
    return trace(target.insights, order["order_id"], **wait, whole=target.whole_traces)


def _by(version: str, wrong: str) -> tuple[str, str]:
    """What reads queues as another version works on all that is sold, whoever answers."""
    if wrong:
        raise CheckFailed(f"{version} did not do all of it, but {wrong}")
    return version, version
