"""The small app behind the product's own policies, and clients of it from other addresses."""

import json
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import httpx

from local.host.process import HostProcess
from tests.emulators.processes import Emulator

ROOT: Final = Path(__file__).parents[2]
POLICIES: Final = ROOT / "infra" / "policies"
AUDIENCE: Final = "api://tessera"
INSIGHTS_KEY: Final = "an insights key of thirty-two ch"
SECRETS: Final = "the newest secret of the gateway, the secret before of the gateway"
SITE: Final = "http://localhost:8080"
OPERATIONS: Final = {
    "public-reads.xml": ["browse", "browse_more"],
    "signed-in.xml": ["account", "refusing"],
    "anonymous.xml": ["page", "broken", "troubled", "slow"],
    "payments-webhook.xml": ["webhook"],
    "private-insights.xml": ["private"],
}
type Json = dict[str, Any]


def policies(folder: Path, operations: Mapping[str, list[str]] = OPERATIONS, **changes: Any) -> Path:
    """A folder with the product's policies, for these operations.

    :param changes: parts of `operations.json` that differ
    """
    shutil.copytree(POLICIES, folder)
    product = json.loads((POLICIES / "operations.json").read_text())
    (folder / "operations.json").write_text(json.dumps({**product, "operations": operations, **changes}))
    return folder


@dataclass(frozen=True)
class Behind:
    """The small app, running behind the gateway."""

    host: HostProcess
    issuer: Emulator

    @contextmanager
    def client(self, address: str = "127.0.0.1", **more: Any) -> Iterator[httpx.Client]:
        """A client at this address of the loopback network."""
        transport = httpx.HTTPTransport(local_address=address)
        with httpx.Client(base_url=self.host.url, transport=transport, timeout=30, **more) as client:
            yield client

    def bearer(self, name: str = "uma", **wanted: Any) -> dict[str, str]:
        """The header of somebody signed in."""
        answer = httpx.post(
            f"{self.issuer.url}/_emulator/tokens", json={"email": f"{name}@tessera.example", **wanted}
        ).raise_for_status()
        return {"authorization": f"Bearer {answer.json()['access_token']}"}


@contextmanager
def behind(folder: Path, *arguments: str, **environment: str) -> Iterator[Behind]:
    """The small app behind the gateway, with an issuer of its own."""
    app = folder / "app"
    shutil.copytree(Path(__file__).parent / "apps" / "gateway", app)
    policies(app / "infra" / "policies")
    with Emulator("entra", folder / "entra", "--audience", AUDIENCE, "--redirect-uri", "http://127.0.0.1/") as issuer:
        given = {
            "AUTH_AUTHORITIES": issuer.last_word,
            "AUTH_AUDIENCE": AUDIENCE,
            "INSIGHTS_API_KEY": INSIGHTS_KEY,
            "GATEWAY_SECRET": SECRETS,
            **environment,
        }
        with HostProcess.start(app=app, data=folder / "data", environment=given, arguments=arguments) as host:
            yield Behind(host, issuer)
