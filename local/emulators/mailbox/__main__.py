"""`python -m local.emulators.mailbox`: a mail server that keeps everything and delivers nothing."""

from pathlib import Path
from typing import Annotated

import typer

from local.emulators.mailbox.app import build
from local.emulators.serving import address_of, bind_loopback, serve
from local.emulators.starting import starting


def main(
    data: Annotated[Path, typer.Option(help="Directory for the durable state; made if missing.")],
    port: Annotated[int, typer.Option(min=0, max=65_535, help="HTTP port on 127.0.0.1; 0 takes a free one.")] = 8025,
    smtp_port: Annotated[
        int, typer.Option(min=0, max=65_535, help="SMTP port on 127.0.0.1; 0 takes a free one.")
    ] = 1025,
) -> None:
    """Take mail over SMTP and show it on a page; no login, no TLS, nothing leaves this machine.

    State is in DATA/mailbox.sqlite. JSON is below /api/, faults are at /_emulator/faults.
    """
    with starting("mailbox"):
        listener, smtp = bind_loopback(port), bind_loopback(smtp_port)
        app = build(data=data, smtp=smtp)
    addresses = f"{address_of(listener)} {address_of(smtp, 'smtp')}"
    serve(app, listener, announcement=f"mailbox emulator listening on {addresses}")


if __name__ == "__main__":
    typer.run(main)
