"""`python -m local.emulators`: which doubles there are."""

import sys
from typing import Final

EMULATORS: Final = {
    "applicationinsights": "takes telemetry, and shows each operation as a tree",
    "cosmos": "Cosmos DB for NoSQL, for the store",
    "entra": "Entra External ID: sign-in page, tokens, keys",
    "mailbox": "an SMTP server that keeps every mail, and a page to read them",
    "servicebus": "Service Bus over AMQP, for the bus",
    "stripe": "Stripe: Checkout page, refunds, signed webhooks",
}


def main() -> None:
    """Say which there are; asked for none or an unknown one, that is all there is to do."""
    print("Say which: python -m local.emulators.NAME --data DIRECTORY (--help lists its options)\n", file=sys.stderr)
    for name, does in EMULATORS.items():
        print(f"  {name:<20} {does}", file=sys.stderr)
    raise SystemExit(2)


if __name__ == "__main__":
    main()
