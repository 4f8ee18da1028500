"""How a service proves who it is: a token signed with its certificate's key (RFC 7523, `private_key_jwt`)."""

import time
from base64 import urlsafe_b64decode
from collections.abc import Mapping
from datetime import UTC, datetime

import jwt
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import rsa

from local.emulators.entra.applications import Application, Applications
from local.emulators.entra.config import Door

ASSERTION_TYPE = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
ASSERTION_SECONDS_MAX = 600
_LEEWAY_SECONDS = 60
_ALGORITHMS = ["PS256", "RS256"]


class ClientRefused(Exception):
    """The application is not known, or did not prove that it is the one it says."""


def authenticated(fields: Mapping[str, str], applications: Applications, door: Door) -> Application:
    """The service behind a token request.

    An assertion may be used again until it expires, as with Entra: msal keeps one for nine minutes.

    :param fields: the form that was sent
    :raises ClientRefused: it did not prove who it is
    """
    if fields.get("client_assertion_type") != ASSERTION_TYPE:
        raise ClientRefused("AADSTS7000218: The request must contain client_assertion and its type.")
    assertion = fields.get("client_assertion", "")
    try:
        header = jwt.get_unverified_header(assertion)
        claimed = jwt.decode(assertion, options={"verify_signature": False}).get("iss")
    except jwt.PyJWTError as error:
        raise ClientRefused("AADSTS50027: The client assertion cannot be read.") from error
    application = applications.get(claimed if isinstance(claimed, str) else None)
    if application is None or fields.get("client_id", application.id) != application.id:
        raise ClientRefused("AADSTS700016: Application was not found in the directory.")
    certificate = _certificate(application, header)
    key = certificate.public_key()
    assert isinstance(key, rsa.RSAPublicKey), "checked when it was registered"
    try:
        claims = jwt.decode(
            assertion,
            key,
            algorithms=_ALGORITHMS,
            audience=[door.token_endpoint, door.issuer],
            issuer=application.id,
            subject=application.id,
            leeway=_LEEWAY_SECONDS,
            options={"require": ["exp", "iat", "iss", "sub", "aud", "jti"]},
        )
    except jwt.PyJWTError as error:
        raise ClientRefused(f"AADSTS700027: The client assertion is not valid: {error}.") from error
    if claims["exp"] > time.time() + ASSERTION_SECONDS_MAX + _LEEWAY_SECONDS:
        raise ClientRefused("AADSTS700024: The client assertion lives too long.")
    return application


def _certificate(application: Application, header: Mapping[str, object]) -> x509.Certificate:
    """The registered certificate that an assertion says it was signed with; never one it brings along (`x5c`)."""
    sent = header.get("x5t#S256") or header.get("x5t")
    try:
        thumbprint = urlsafe_b64decode(f"{sent}==") if isinstance(sent, str) else b""
    except ValueError:
        thumbprint = b""
    found = application.by_thumbprint.get(thumbprint)
    if found is None:
        raise ClientRefused("AADSTS700027: The certificate of the client assertion is not registered.")
    if not found.not_valid_before_utc <= datetime.now(UTC) <= found.not_valid_after_utc:
        raise ClientRefused("AADSTS700027: The certificate of the client assertion is not valid now.")
    return found
