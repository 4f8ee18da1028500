"""Access tokens for Microsoft Graph: client credentials with a certificate, through Microsoft's own library.

The people live in another tenant than the app, where a managed identity holds no roles; hence a certificate. msal
blocks, so it has a thread of its own, and that thread is the only one: however many ask, one token is fetched. msal
keeps it, and gives it again until shortly before it expires.
"""

import asyncio
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

from shared.directory.certificate import CertificateUnreadable, ClientCertificate, read_certificate
from shared.directory.port import DirectoryUnavailable
from shared.kernel.clock import utc_now
from shared.telemetry import Log

if TYPE_CHECKING:
    import msal
    import requests

WARNED_BEFORE: Final = timedelta(days=30)  # the certificate's end, in the logs
_GLOBAL: Final = "https://graph.microsoft.com"
_LOOPBACK: Final = frozenset({"127.0.0.1", "localhost"})

_log = Log("directory")


class Access:
    """Proves who we are to the tenant of the people.

    :param authority: e.g. `https://tessera.ciamlogin.com/<tenant id>`
    :param client_id: of our app registration in that tenant
    :param certificate: PEM, or PKCS#12 in base64
    :param graph_base: which cloud's Graph the tokens are for
    :param ca: the only authority its server's certificate may come from; None: those of the machine
    """

    def __init__(
        self,
        *,
        authority: str,
        client_id: str,
        certificate: str,
        graph_base: str,
        connect_seconds: float,
        answer_seconds: float,
        ca: Path | None = None,
    ) -> None:
        self._authority = authority
        self._client_id = client_id
        self._certificate = certificate
        self._scope = f"{_resource(graph_base)}/.default"
        self._timeout = (connect_seconds, answer_seconds)
        self._ca = ca
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="directory")

    async def token(self) -> str:
        """An access token.

        :raises DirectoryUnavailable: there is none to be had, or our certificate is turned down
        """
        return await asyncio.get_running_loop().run_in_executor(self._thread, self._token)

    async def forget(self) -> None:
        """Let the next token be a new one: Graph did not take the last."""
        await asyncio.get_running_loop().run_in_executor(self._thread, self._forget)

    def close(self) -> None:
        """Give connections and the thread up."""
        if "_session" in self.__dict__:
            self._session.close()
        self._thread.shutdown(wait=False, cancel_futures=True)

    def _token(self) -> str:
        import msal

        try:
            answer: dict[str, Any] = self._app.acquire_token_for_client(scopes=[self._scope])
        except CertificateUnreadable as error:
            _log.error("directory_certificate_unreadable", reason=str(error))
            raise DirectoryUnavailable("Our certificate for the directory cannot be read.") from error
        # What requests raises is an OSError; msal reads discovery and tokens as JSON objects that have what they must.
        except (OSError, ValueError, LookupError, TypeError, AttributeError, msal.exceptions.MsalError) as error:
            raise DirectoryUnavailable("The directory's sign-in service does not answer; try again shortly.") from error
        if "access_token" not in answer:
            # The description names Microsoft's code, the trace and our app's id; no secret of ours.
            reason = str(answer.get("error_description") or answer.get("error"))
            _log.error("directory_credential_refused", reason=reason)
            raise DirectoryUnavailable("The directory turns our credential down; those who run this platform can tell.")
        return str(answer["access_token"])

    def _forget(self) -> None:
        if "_app" in self.__dict__:
            self._app.remove_tokens_for_client()

    @cached_property
    def _app(self) -> "msal.ConfidentialClientApplication":
        import msal

        own = read_certificate(self._certificate)
        _warn_of_end(own)
        return msal.ConfidentialClientApplication(
            self._client_id,
            {"private_key": own.private_key, "public_certificate": own.certificate},
            authority=self._authority,
            # Asking Microsoft whether the authority is one of theirs proves nothing here: our own settings name it.
            instance_discovery=False,
            http_client=self._session,
        )

    @cached_property
    def _session(self) -> "requests.Session":
        """As msal makes one itself, but a pinned authority is not overruled by a bundle the environment names."""
        import requests

        session = requests.Session()
        if self._ca is not None:
            session.verify, session.trust_env = str(self._ca), False
        session.request = partial(session.request, timeout=self._timeout)  # type: ignore[method-assign]
        return session


def _warn_of_end(own: ClientCertificate) -> None:
    left = own.expires_at - utc_now()
    if left <= WARNED_BEFORE:
        _log.warning("directory_certificate_ends", expires_at=own.expires_at.isoformat(), days_left=left.days)


def _resource(graph_base: str) -> str:
    """Whom tokens are for: each national cloud has a Graph of its own, and the local double plays the global one."""
    found = urlsplit(graph_base)
    return _GLOBAL if found.hostname in _LOOPBACK else f"{found.scheme}://{found.netloc}"
