"""The directory's real adapter, by msal and TLS, on the sign-in double."""

import json
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Final

from local.emulators.entra.config import GRAPH
from local.emulators.entra.graph_users import DOMAIN
from shared.directory.access import Access
from shared.directory.graph import GraphDirectory
from shared.directory.graph_client import GraphClient, Patience
from shared.store.continuation import Continuations
from tests.emulators.processes import Emulator
from tests.support.credentials import Credential, Doors

SERVICE: Final = "tessera-directory"
ROLES: Final = ("User.ReadWrite.All", "User.DeleteRestore.All")
USUAL: Final = Patience(pause_seconds=0.02)
SECRET: Final = b"a signing secret of thirty-two b"


def pem_of(credential: Credential) -> str:
    """A key with its certificate, as a Key Vault reference gives them where the policy says PEM."""
    return credential.key_pem + credential.pem


def service(
    credentials: Sequence[Credential], *, name: str = SERVICE, roles: Sequence[str] = ROLES
) -> dict[str, object]:
    """The registration of a service that may ask Graph."""
    return {"id": name, "certificates": [each.pem for each in credentials], "roles": {GRAPH: list(roles)}}


@contextmanager
def sign_in_double(data: Path, *services: dict[str, object]) -> Iterator[Doors]:
    """The double, where these services are registered."""
    file = data / "applications.json"
    file.write_text(json.dumps(services))
    options = ["--redirect-uri", "http://127.0.0.1/", "--tls-port", "0", "--applications", str(file)]
    with Emulator("entra", data, *options) as running:
        yield Doors(running, data)


@asynccontextmanager
async def graph(
    doors: Doors,
    certificate: str,
    *,
    client_id: str = SERVICE,
    port: int | None = None,
    authority: str = "",
    ca: str = "",
    graph_ca: str = "",
    patience: Patience = USUAL,
    token_patience: Patience = USUAL,
) -> AsyncIterator[GraphDirectory]:
    """The adapter.

    :param port: of something in front of Graph
    :param authority: another than the double's
    :param ca: whom the adapter believes who its servers are; `graph_ca`: Graph alone
    :param patience: with Graph; `token_patience` with where its tokens come from
    """
    base = f"https://127.0.0.1:{port}/v1.0" if port else f"{doors.tls_url}/v1.0"
    trusted = Path(ca or doors.ca)
    access = Access(
        authority=authority or doors.authority,
        client_id=client_id,
        certificate=certificate,
        graph_base=base,
        connect_seconds=token_patience.connect_seconds,
        answer_seconds=token_patience.answer_seconds,
        ca=trusted,
    )
    client = GraphClient(base, access, ca=Path(graph_ca) if graph_ca else trusted, patience=patience)
    adapter = GraphDirectory(client, issuer=DOMAIN, continuations=Continuations(SECRET))
    try:
        yield adapter
    finally:
        await adapter.close()
