"""E-mail over SMTP: one plain message to one receiver, and the three ways it can end: sent, not sent, nobody knows."""

from __future__ import annotations

import smtplib
import ssl
from datetime import datetime
from email.message import EmailMessage
from email.utils import format_datetime

from metaloom.message.reach import MailServer
from metaloom.message.texts import one_line

SECONDS = 15.0


class NotSent(Exception):
    """The server certainly does not have the message; trying again is right."""


class Refused(Exception):
    """The server certainly refused the message for good."""


class Unknown(Exception):
    """The connection broke while the message was handed over: it may have arrived."""


def compose(server: MailServer, *, to: str, subject: str, body: str, reference: str, at: datetime) -> EmailMessage:
    """A plain text mail. Header values are one line each; an address with anything odd in it is Refused."""
    # here, as they cost a start a tenth of a second and most processes never send a mail
    from email.headerregistry import Address
    from email.policy import SMTP

    mail = EmailMessage(policy=SMTP.clone(raise_on_defect=False))
    try:
        mail["From"] = Address(one_line(server.sender_name, 60), addr_spec=server.sender)
        mail["To"] = Address(addr_spec=to)
    except ValueError as error:
        raise Refused(f"the address cannot be used: {error}") from None
    mail["Subject"] = one_line(subject)
    mail["Date"] = format_datetime(at)
    mail["Message-ID"] = f"<{reference}@{server.sender.partition('@')[2]}>"
    mail["Auto-Submitted"] = "auto-generated"
    mail.set_content(body)
    return mail


def deliver(server: MailServer, password: str, mail: EmailMessage, *, seconds: float = SECONDS) -> str:
    """Hand the mail over once and return the server's answer. Raises NotSent, Refused or Unknown."""
    try:
        with _connected(server, password, seconds) as smtp:
            smtp.ehlo_or_helo_if_needed()
            _ask(smtp.mail(server.sender), for_good=False)
            _ask(smtp.rcpt(str(mail["To"].addresses[0].addr_spec)))
            return _handed_over(smtp, mail.as_bytes())
    except (NotSent, Refused, Unknown):
        raise
    except smtplib.SMTPAuthenticationError as error:
        raise NotSent(f"the mail server does not know us ({error.smtp_code})") from None
    except (OSError, smtplib.SMTPException) as error:
        raise NotSent(f"{type(error).__name__}: {error}"[:300]) from None


def _handed_over(smtp: smtplib.SMTP, content: bytes) -> str:
    """From here on a broken connection leaves the message unknown."""
    try:
        code, answer = smtp.data(content)
    except smtplib.SMTPDataError as error:
        code, answer = error.smtp_code, error.smtp_error if isinstance(error.smtp_error, bytes) else str(error.smtp_error).encode()
    except (OSError, smtplib.SMTPException) as error:
        raise Unknown(f"{type(error).__name__}: {error}"[:300]) from None
    _ask((code, answer))
    return answer.decode("utf-8", "replace")[:100]


def _connected(server: MailServer, password: str, seconds: float) -> smtplib.SMTP:
    """A connection that is encrypted as asked; certificates are checked."""
    if server.security == "tls":
        smtp: smtplib.SMTP = smtplib.SMTP_SSL(server.host, server.port, timeout=seconds, context=ssl.create_default_context())
    else:
        smtp = smtplib.SMTP(server.host, server.port, timeout=seconds)
    try:
        if server.security == "starttls":
            smtp.starttls(context=ssl.create_default_context())
        if server.user:
            smtp.login(server.user, password)
    except BaseException:
        smtp.close()
        raise
    return smtp


def _ask(answer: tuple[int, bytes], *, for_good: bool = True) -> None:
    """Go on after a good answer. ``for_good``: a 5xx is about this message, not about how we are set up at the server."""
    code, words = answer
    if 200 <= code < 400:
        return
    said = f"{code} {words.decode('utf-8', 'replace')}"[:300]
    raise Refused(said) if code >= 500 and for_good else NotSent(said)
