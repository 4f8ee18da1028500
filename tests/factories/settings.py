"""Settings and adapters for a product that runs inside the test."""

import secrets
from base64 import urlsafe_b64encode
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from functions.composition import Adapters
from shared.auth.tokens import TokenValidator
from shared.bus.embedded import EmbeddedBus
from shared.bus.port import ManagedBus
from shared.directory.port import Directory
from shared.mail.port import Mailer
from shared.payments.port import Payments
from shared.settings import Settings
from shared.store.embedded import EmbeddedStore
from shared.store.port import Store
from shared.topology import topology
from tests.doubles.mailbox import Mailbox
from tests.doubles.provider import Provider

SIGNING_SECRET = "a signing secret of thirty-two b"
TICKET_KEY = urlsafe_b64encode(b"an Ed25519 seed of thirty-two by").decode().rstrip("=")


def settings(data: Path, **changes: object) -> Settings:
    """Settings that name nothing outside the process; `changes` are settings by name."""
    boring: dict[str, object] = {
        "tessera_data": data,
        "tessera_signing_secret": SIGNING_SECRET,
        "tessera_ticket_key": TICKET_KEY,
        "tessera_public_url": "http://localhost:7071",
        "auth_authorities": "http://localhost:7072",
        "auth_audience": "tessera-test",
        "stripe_api_key": "sk_test_boring",
        "stripe_webhook_secret": "whsec_boring",
        "smtp_host": "localhost",
        "insights_api_key": "an insights key of thirty-two ch",
    }
    return Settings.model_validate({**boring, **changes})


def ticket_key() -> str:
    """Another Ed25519 seed."""
    return urlsafe_b64encode(secrets.token_bytes(32)).decode().rstrip("=")


@contextmanager
def adapters(
    data: Path,
    *,
    store: Store | None = None,
    bus: ManagedBus | None = None,
    payments: Payments | None = None,
    mailer: Mailer | None = None,
    validator: TokenValidator | None = None,
    directory: Directory | None = None,
) -> Iterator[Adapters]:
    """What use cases stand on: by default the embedded store and bus in `data`, a provider and a mailbox in memory.

    What is opened here is closed at the end.
    """
    chosen = settings(data)
    own_store = EmbeddedStore(data / "store.db", topology(), SIGNING_SECRET.encode()) if store is None else None
    own_bus = EmbeddedBus(data / "bus.db", topology()) if bus is None else None
    try:
        yield Adapters(
            store=store or _opened(own_store),
            bus=bus or _opened(own_bus),
            payments=payments or Provider(),
            mailer=mailer or Mailbox(),
            validator=validator or TokenValidator(chosen.authorities, chosen.auth_audience),
            directory=directory,
        )
    finally:
        for opened in (own_store, own_bus):
            if opened is not None:
                opened.close()


def _opened[T](adapter: T | None) -> T:
    assert adapter is not None, "opened where none was given"
    return adapter
