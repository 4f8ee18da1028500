"""A mail server behind a circuit breaker."""

from shared.breaker import Breaker, BreakerOpen
from shared.mail.port import Mail, Mailer, MailUnavailable
from shared.telemetry import span


class GuardedMailer:
    """Sends through `inner` unless the server has not taken anything lately: then the mail waits without asking it.

    A mail that is refused for good was answered. One that is put off (4xx) counts as a failure: a server that puts off
    every mail is one to leave alone for a while, and no mail is lost by waiting.
    """

    def __init__(self, inner: Mailer, breaker: Breaker | None = None) -> None:
        self._inner = inner
        self._breaker = breaker or Breaker("mail", failure=MailUnavailable)

    async def send(self, mail: Mail) -> None:
        """See `Mailer.send`."""
        try:
            with span("send mail", component="SMTP"):
                await self._breaker.call(lambda: self._inner.send(mail))
        except BreakerOpen as closed:
            raise MailUnavailable("The mail server has not answered lately.", not_taken=True) from closed
