"""One process of each emulator per test module, and what a test needs to talk to it."""

import json
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Protocol

import httpx
import pytest
import stripe

from tests.emulators.entra_browser import OTHER_CLIENT, OTHER_REDIRECT_URI, REDIRECT_URI, Issuer
from tests.emulators.processes import Emulator

API_KEY = "sk_test_of_the_tests"
WEBHOOK_SECRET = "whsec_of_the_tests"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The tests of a file share the doubles it starts."""
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.xdist_group(item.path.stem))


def pytest_configure(config: pytest.Config) -> None:
    # The SDK hands httpx its form as `data=<text>`, which httpx 0.28 calls deprecated; the SDK's business, not ours.
    config.addinivalue_line("filterwarnings", "ignore:Use 'content=:DeprecationWarning")


class Sdk(Protocol):
    """Makes clients of the real SDK, pointed at an emulator; they are closed after the test."""

    def __call__(self, emulator: Emulator, *, retries: int = 0, api_key: str = API_KEY) -> stripe.StripeClient: ...


@pytest.fixture
async def sdk() -> AsyncIterator[Sdk]:
    transport = stripe.HTTPXClient(verify_ssl_certs=False)  # loopback has no certificates to load

    def connect(emulator: Emulator, *, retries: int = 0, api_key: str = API_KEY) -> stripe.StripeClient:
        return stripe.StripeClient(
            api_key, base_addresses={"api": emulator.url}, http_client=transport, max_network_retries=retries
        )

    yield connect
    await transport.close_async()  # type: ignore[no-untyped-call]  # the SDK leaves it bare


@pytest.fixture
def client(stripe_emulator: Emulator, sdk: Sdk) -> stripe.StripeClient:
    """The SDK on the module's emulator."""
    return sdk(stripe_emulator)


@pytest.fixture(scope="module")
def stripe_emulator(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Emulator]:
    with Emulator("stripe", tmp_path_factory.mktemp("stripe"), "--api-key", API_KEY) as running:
        yield running


@pytest.fixture(scope="module")
def mailbox(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Emulator]:
    with Emulator("mailbox", tmp_path_factory.mktemp("mailbox"), "--smtp-port", "0") as running:
        yield running


@pytest.fixture(scope="module")
def entra_data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("entra")


@pytest.fixture(scope="module")
def entra(entra_data: Path) -> Iterator[Emulator]:
    with Emulator("entra", entra_data, "--redirect-uri", REDIRECT_URI) as running:
        yield running


@pytest.fixture(scope="session")
def post_office(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Emulator]:
    """A mailbox for all tests of the sign-in double, each of which has addresses of its own."""
    with Emulator("mailbox", tmp_path_factory.mktemp("post-office"), "--smtp-port", "0") as running:
        yield running


@pytest.fixture(scope="session")
def issuer(post_office: Emulator, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Issuer]:
    """The sign-in double with both doors, two applications and mail; its clock only moves forward."""
    data = tmp_path_factory.mktemp("issuer")
    other = [{"id": OTHER_CLIENT, "redirect_uris": [OTHER_REDIRECT_URI]}]
    (data / "applications.json").write_text(json.dumps(other))
    smtp = post_office.last_word.removeprefix("smtp://")
    options = ["--redirect-uri", REDIRECT_URI, "--smtp", smtp, "--tls-port", "0"]
    with Emulator("entra", data, *options, "--applications", str(data / "applications.json")) as running:
        yield Issuer(running, data, post_office)


@pytest.fixture
async def web() -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(timeout=60) as client:
        yield client
