"""`python -m local.emulators.stripe`: a Stripe of one's own on loopback."""

from pathlib import Path
from typing import Annotated

import typer

from local.emulators.serving import address_of, bind_loopback, serve
from local.emulators.starting import only_with, starting
from local.emulators.stripe.app import build
from local.emulators.stripe.webhooks import Receiver


def main(
    data: Annotated[Path, typer.Option(help="Directory for the durable state; made if missing.")],
    port: Annotated[int, typer.Option(min=0, max=65_535, help="Port on 127.0.0.1; 0 takes a free one.")] = 4242,
    api_key: Annotated[
        str, typer.Option(envvar="STRIPE_API_KEY", help="The secret key clients must send.")
    ] = "sk_test_tessera",
    webhook_url: Annotated[str | None, typer.Option(help="Where events go; none are sent without it.")] = None,
    webhook_secret: Annotated[
        str, typer.Option(envvar="STRIPE_WEBHOOK_SECRET", help="Signs events for the receiver.")
    ] = "whsec_tessera",  # noqa: S107 - everybody's, on loopback
    webhook_event: Annotated[
        list[str] | None, typer.Option(help="Send only events of this type; may be repeated. Default: all.")
    ] = None,
    retry_max_seconds: Annotated[
        float, typer.Option(min=0.1, help="Longest pause between tries of one event (the first is 0.5 s).")
    ] = 5.0,
    public_url: Annotated[str | None, typer.Option(help="Address in session URLs, if not the listening one.")] = None,
) -> None:
    """Emulate Stripe: Checkout Sessions with a hosted page, refunds, idempotency keys and signed webhooks.

    State is in DATA/stripe.sqlite. Test controls are below /_emulator/, an overview for people is at /.
    """
    with starting("stripe"):
        only_with("--webhook-event", webhook_event, "--webhook-url", webhook_url)
    receiver = Receiver(webhook_url, webhook_secret, tuple(webhook_event or ()), retry_max_seconds)
    with starting("stripe"):
        listener = bind_loopback(port)
        address = address_of(listener)
        app = build(data=data, public_url=(public_url or address).rstrip("/"), api_key=api_key, receiver=receiver)
    serve(app, listener, announcement=f"stripe emulator listening on {address}")


if __name__ == "__main__":
    typer.run(main)
