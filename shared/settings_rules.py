"""What a setting may be, beyond its type; each rule says what is allowed and never shows the value."""

import re
from base64 import urlsafe_b64decode
from email.utils import parseaddr
from typing import Any, Final

from pydantic import AfterValidator, Field, SecretStr, ValidationInfo

from shared.directory.certificate import looks_like_one
from shared.telemetry.connection import Authentication, Connection

SERVICES: Final = ("commerce", "identity", "insights", "workers")  # docs/architecture.md, Deployable services
SEED_BYTES: Final = 32
_PEM: Final = "-----BEGIN "
SECRET_CHARACTERS_MIN: Final = 32
_PLACEHOLDER: Final = re.compile(r"<[^<>@]*>|…")  # as in the sample; a mail address in brackets is none
_REFERENCE: Final = "@Microsoft.KeyVault("  # App Service leaves it as it is where it cannot be resolved
_ADDRESS: Final = re.compile(r"https?://[^\s/?#]+[^\s?#]*")


def setting(default: Any, about: str, example: str, **bounds: Any) -> Any:
    """A field of the settings: what it is for, and an example for whoever has to set it."""
    return Field(default, description=about, examples=[example], **bounds)


def needed_by(*services_: str) -> AfterValidator:
    """What only some services need: an app that runs none of them does without, and is not given the secret.

    :raises ValueError: it is missing where one of them runs
    """

    def check[T](value: T, info: ValidationInfo) -> T:
        given = value.get_secret_value() if isinstance(value, SecretStr) else value
        if not given and not set(services_).isdisjoint(named(info.data.get("tessera_services", "all"))):
            raise ValueError("missing")
        return value

    return AfterValidator(check)


def named(text: str) -> tuple[str, ...]:
    """The services that a setting names, in our order."""
    parts = {part.strip() for part in text.split(",")}
    return SERVICES if "all" in parts else tuple(name for name in SERVICES if name in parts)


def filled_in(value: Any) -> Any:
    """The value, unless it is a placeholder, a reference, or blank at an end: a secret that everybody knows is none.

    :raises ValueError: it is
    """
    text = value.get_secret_value() if isinstance(value, SecretStr) else value
    ends = "\r\n" if isinstance(text, str) and text.startswith(_PEM) else ""  # PEM is made of lines, the last one too
    if isinstance(text, str) and text.rstrip(ends) != text.strip():
        raise ValueError("it begins or ends with blanks")
    if isinstance(text, str) and text.startswith(_REFERENCE):
        raise ValueError("its reference to Key Vault was not resolved: is the secret there, and may this app read it?")
    if isinstance(text, str) and _PLACEHOLDER.search(text):
        raise ValueError("it is still the sample's placeholder")
    return value


def address(text: str) -> str:
    """An http(s) address, without a slash at its end.

    :raises ValueError: it is none
    """
    if _ADDRESS.fullmatch(text) is None:
        raise ValueError("it is an http(s) address without a query")
    return text.rstrip("/")


def safe_address(text: str) -> str:
    """An https address, without a slash at its end: who we are and whom we ask about goes no other way.

    :raises ValueError: it is none
    """
    if not text.startswith("https://"):
        raise ValueError("it is an https address without a query")
    return address(text)


def client_certificate(secret: SecretStr) -> SecretStr:
    """A certificate with its private key.

    :raises ValueError: it does not look like one; whether it is shows when it is first used
    """
    if not looks_like_one(secret.get_secret_value()):
        raise ValueError("it is a private key and its certificate, both PEM, or PKCS#12 in base64 without a password")
    return secret


def addresses(text: str) -> str:
    """Addresses, comma-separated.

    :raises ValueError: one is none
    """
    for part in text.split(","):
        address(part.strip())
    return text


def services(text: str) -> str:
    """Services, comma-separated, or `all`.

    :raises ValueError: there is no such service
    """
    if {part.strip() for part in text.split(",")} - {*SERVICES, "all"}:
        raise ValueError(f"it is some of {', '.join(SERVICES)}, comma-separated, or all")
    return text


def seeds(secret: SecretStr) -> SecretStr:
    """Ed25519 seeds, base64url, comma-separated, or none.

    :raises ValueError: one is not 32 bytes
    """
    given = secret.get_secret_value()
    for part in given.split(",") if given else ():
        try:
            seed = urlsafe_b64decode(part + "=" * (-len(part) % 4))
        except ValueError:
            seed = b""
        if len(seed) != SEED_BYTES:
            raise ValueError(f"each seed is {SEED_BYTES} bytes as base64url, 43 characters")
    return secret


def secrets(secret: SecretStr) -> SecretStr:
    """Secrets, comma-separated, or none.

    :raises ValueError: one is too short to be one
    """
    given = [part.strip() for part in secret.get_secret_value().split(",")]
    if given != [""] and any(len(part) < SECRET_CHARACTERS_MIN for part in given):
        raise ValueError(f"each has at least {SECRET_CHARACTERS_MIN} characters")
    return secret


def host_name(text: str) -> str:
    """The name of a host.

    :raises ValueError: it is more, or less
    """
    if re.fullmatch(r"[A-Za-z0-9.-]+", text) is None:
        raise ValueError("it is only the host's name, without sb:// and port")
    return text


def mailbox(text: str) -> str:
    """A mail address, with a name or without.

    :raises ValueError: it has no address
    """
    if not re.fullmatch(r"[^@\s]+@[^@\s]+", parseaddr(text)[1]):
        raise ValueError("it is a mail address, with a name before it or without")
    return text


def telemetry_connection(text: str) -> str:
    """The connection string of Application Insights.

    :raises ValueError: it is none
    """
    Connection.parse(text)
    return text


def telemetry_authentication(text: str) -> str:
    """How telemetry is signed.

    :raises ValueError: not in this way
    """
    Authentication.parse(text)
    return text
