"""A Tessera on this machine whose telemetry is collected, and a cloud whose gateway it is."""

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from local.layout import Ports
from local.stack import Stack
from shared.version import UNPACKAGED
from tests.infra.cloud import APPS, DEPLOYMENT, OUTPUTS, Cloud, outputs
from tests.support.api import Api, Json, Organiser
from tools.delivery.here import told_by_host
from tools.delivery.insights import Insights
from tools.delivery.smoke import Target


@pytest.fixture(scope="package")
def api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    """A Tessera whose telemetry is collected; its ports are in a row, as `make run` has them."""
    stack = Stack(tmp_path_factory.mktemp("smoke"), Ports.free(), telemetry=True)
    with stack, httpx.Client(base_url=stack.url, timeout=30) as http:
        yield Api(stack, http)


@pytest.fixture(scope="package")
def shop(api: Api) -> Organiser:
    return api.organiser()


@pytest.fixture(scope="package")
def event(shop: Organiser) -> Json:
    return shop.event()


@pytest.fixture
def target(api: Api, shop: Organiser, event: Json) -> Target:
    """All as it should be."""
    return Target(
        url=api.stack.url,
        token=shop.operator.token,
        event=event["event_id"],
        wanted=told_by_host(api.stack.url),
        told=lambda: told_by_host(api.stack.url),
        version=UNPACKAGED,
        insights=Insights(api.stack.telemetry_url, "here", lambda: ""),
    )


@pytest.fixture
def cloud(api: Api, tmp_path: Path) -> Cloud:
    """A deployment whose gateway is the Tessera here, with two apps."""
    made = Cloud.make(tmp_path)
    here = outputs({**OUTPUTS, "gatewaY_URL": api.stack.url})
    made.write("deployments", {DEPLOYMENT: here})
    made.write("hosts", dict.fromkeys(APPS, api.stack.url))
    return made


@pytest.fixture
def running(cloud: Cloud) -> str:
    """The version that runs there."""
    manifest = cloud.pack_as_here()
    cloud.runs(manifest)
    return manifest.version
