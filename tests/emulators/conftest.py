"""One process of each emulator per test module, and what a test needs to talk to it."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import httpx
import pytest
import stripe

from tests.emulators.processes import Emulator
from tests.emulators.receiver import Receiver

API_KEY = "sk_test_of_the_tests"
WEBHOOK_SECRET = "whsec_of_the_tests"
REDIRECT_URI = "http://127.0.0.1:7071/signed-in"


def stripe_client(url: str, *, retries: int = 0, api_key: str = API_KEY) -> stripe.StripeClient:
    """The real SDK, pointed at the emulator."""
    return stripe.StripeClient(
        api_key,
        base_addresses={"api": url},
        http_client=stripe.HTTPXClient(),
        max_network_retries=retries,
    )


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


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    listening = Receiver()
    await listening.start()
    yield listening
    await listening.stop()


@pytest.fixture
async def web() -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(timeout=10) as client:
        yield client
