"""`python -m local.emulators.servicebus`: a Service Bus namespace of one's own on loopback."""

import ssl
from pathlib import Path
from typing import Annotated

import jwt
import typer

from local.emulators.servicebus.controls import build, tls_with
from local.emulators.servicebus.tokens import Authority, Tokens
from local.emulators.serving import address_of, bind_loopback, serve
from local.emulators.starting import only_with, read_option, starting
from shared.topology import TOPOLOGY_FILE, topology


def main(
    data: Annotated[Path, typer.Option(help="Directory for the durable state; made if missing.")],
    port: Annotated[int, typer.Option(min=0, max=65_535, help="AMQP port on 127.0.0.1; 0 takes a free one.")] = 5672,
    control_port: Annotated[
        int, typer.Option(min=0, max=65_535, help="HTTP port of the controls on 127.0.0.1; 0 takes a free one.")
    ] = 5673,
    topology_file: Annotated[Path, typer.Option("--topology", help="Queues, topic and subscriptions.")] = TOPOLOGY_FILE,
    key: Annotated[
        str, typer.Option(envvar="SERVICEBUS_KEY", help="The shared access key clients must sign with.")
    ] = "tessera-on-loopback",
    key_name: Annotated[
        str, typer.Option(envvar="SERVICEBUS_KEY_NAME", help="The policy it belongs to.")
    ] = "RootManageSharedAccessKey",
    issuer: Annotated[str | None, typer.Option(help="Take this issuer's tokens too; needs --jwks.")] = None,
    jwks: Annotated[
        Path | None, typer.Option(help="The issuer's public keys: a JSON Web Key Set; with --issuer.")
    ] = None,
    certificate: Annotated[Path | None, typer.Option(help="PEM chain; with it AMQP is spoken over TLS.")] = None,
    certificate_key: Annotated[
        Path | None, typer.Option("--key-file", help="PEM key, if not in the chain; with --certificate.")
    ] = None,
) -> None:
    """Emulate Service Bus: queues, the topic, their dead letters and management requests, for Azure's SDKs.

    State is in DATA/servicebus.db. Test controls are below /_emulator on the control port.
    """
    with starting("servicebus"):
        only_with("--issuer", issuer, "--jwks", jwks)
        only_with("--jwks", jwks, "--issuer", issuer)
        only_with("--key-file", certificate_key, "--certificate", certificate)
        listener, control = bind_loopback(port), bind_loopback(control_port)
        app = build(
            listener,
            data=data,
            topology=read_option("--topology", topology_file, topology),
            tokens=Tokens(key, key_name, _authority(issuer, jwks)),
            tls=_tls(certificate, certificate_key),
        )
    door = address_of(listener, "sb" if certificate is None else "amqps")
    serve(app, control, announcement=f"servicebus emulator listening on {door} {address_of(control)}")


def _authority(issuer: str | None, jwks: Path | None) -> Authority | None:
    if issuer is None or jwks is None:
        return None
    return Authority(issuer, read_option("--jwks", jwks, _key_set))


def _key_set(file: Path) -> jwt.PyJWKSet:
    try:
        return jwt.PyJWKSet.from_json(file.read_text())
    except (ValueError, TypeError, jwt.PyJWTError) as error:
        raise ValueError(f"no JSON Web Key Set: {error}") from error


def _tls(certificate: Path | None, key: Path | None) -> ssl.SSLContext | None:
    if certificate is None:
        return None
    return read_option("--certificate", certificate, lambda chain: tls_with(chain, key))


if __name__ == "__main__":
    typer.run(main)
