"""The Tessera of `make run` on this machine, as the smoke test wants it: with the demo's operator and events."""

import asyncio
import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import httpx

from local.layout import Ports
from local.oidc_client import SignInRefused, sign_in
from local.package import ROOT
from local.stack import CLIENT_ID, Stack
from shared.settings import SERVICES
from shared.version import UNPACKAGED
from tools.delivery.insights import Insights
from tools.delivery.package import functions_in
from tools.delivery.shop import REQUEST_SECONDS, Shop
from tools.delivery.smoke import Functions, Target

APP: Final = "this machine"
_SELLS: Final = "operator"  # of an organiser


class NotHere(Exception):
    """No Tessera runs here, or it has no demo; the message says which."""


@dataclass(frozen=True, slots=True)
class Here:
    """A Tessera on this machine.

    :param data: its data directory
    :param port: the API's; the doubles have those after it
    """

    data: Path
    port: int

    def target(self, *, telemetry: bool) -> Target:
        """What is to be tested.

        :param telemetry: whether to look for the trace in the double of Application Insights
        :raises NotHere: nothing runs here, or without the demo
        :raises ShopRefused: it runs, and refuses
        """
        ports = Ports.counted_from(self.port)
        stack = Stack(self.data.resolve(), ports)
        token = self._token(stack)
        with httpx.Client(base_url=stack.url, timeout=REQUEST_SECONDS) as http:
            event = _event(Shop(http, token, f"smoke-{uuid.uuid4().hex[:16]}"))
        insights = Insights(f"http://127.0.0.1:{ports.telemetry}", "here", lambda: "")
        if telemetry:
            collected(insights)
        found = functions_in(ROOT)
        wanted = frozenset(name for service in SERVICES for name in found[service])
        return Target(
            url=stack.url,
            token=token,
            event=event,
            wanted={APP: wanted},
            told=lambda: told_by_host(stack.url),
            version=UNPACKAGED,
            insights=insights if telemetry else None,
        )

    def _token(self, stack: Stack) -> str:
        """The demo operator's, by the way every client takes."""
        try:
            person = next(
                each for each in stack.people() if each["role"] == "user" and each["email"].startswith("oscar@")
            )
            signing_in = sign_in(stack.authority, CLIENT_ID, stack.redirect_uri, person["email"], person["password"])
            return asyncio.run(signing_in).access_token
        except (FileNotFoundError, StopIteration):
            raise NotHere(f"no demo in {self.data}: `make run` first, or another DATA=…") from None
        except (SignInRefused, httpx.HTTPError) as error:
            raise NotHere(f"nobody signs in at {stack.entra_url}: {error}. Is it another PORT=…?") from error


def collected(insights: Insights) -> None:
    """Fail at once, and with what to do, where nobody collects telemetry.

    :raises NotHere: nobody does
    """
    try:
        httpx.get(insights.api, timeout=REQUEST_SECONDS)
    except httpx.TransportError:
        raise NotHere(
            f"nobody collects telemetry at {insights.api}: `make run TELEMETRY=1`, or `make smoke TELEMETRY=0`"
        ) from None


def told_by_host(url: str) -> Functions:
    """The functions that the host at `url` tells of, as Azure's does to its administrators.

    :raises httpx.HTTPError: no answer
    """
    told = httpx.get(f"{url}/admin/functions", timeout=REQUEST_SECONDS).raise_for_status().json()
    return {APP: frozenset(each["name"] for each in told)}


def _event(shop: Shop) -> str:
    """An event on sale of an organiser whose operator this is."""
    mine = {organiser_id for organiser_id, role in shop.get("me")["memberships"].items() if role == _SELLS}
    for each in shop.get("events?limit=100")["items"]:
        if each["organiser_id"] in mine and not each["sold_out"]:
            return str(each["event_id"])
    raise NotHere("no event here is on sale by the demo's operator; `make run` without --no-seed makes some")
