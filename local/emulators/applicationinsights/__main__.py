"""`python -m local.emulators.applicationinsights`: takes telemetry, keeps it, shows each operation as a tree."""

from pathlib import Path
from typing import Annotated

import typer

from local.emulators.applicationinsights.app import build
from local.emulators.serving import address_of, bind_loopback, serve
from local.emulators.starting import starting


def main(
    data: Annotated[Path, typer.Option(help="Directory for the durable state; made if missing.")],
    port: Annotated[int, typer.Option(min=0, max=65_535, help="HTTP port on 127.0.0.1; 0 takes a free one.")] = 8026,
    bearer: Annotated[str, typer.Option(help="The access token a sender must bear; empty: none is asked for.")] = "",
) -> None:
    """Be the ingestion endpoint of a connection string: InstrumentationKey=…;IngestionEndpoint=http://127.0.0.1:PORT/

    With --bearer, /msi/token hands that token out as the platform does to a managed identity. State is in
    DATA/applicationinsights.sqlite, everything that came is at /items, faults are at /_emulator/faults.
    """
    with starting("applicationinsights"):
        listener = bind_loopback(port)
        app = build(data=data, bearer=bearer)
    serve(app, listener, announcement=f"applicationinsights emulator listening on {address_of(listener)}")


if __name__ == "__main__":
    typer.run(main)
