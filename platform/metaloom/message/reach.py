"""How a client reaches people: its settings, addresses as they may be shown, and the hours in which nobody is disturbed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, time, timedelta
from typing import Any

OPT_OUT_WORDS = ("退订", "TD", "T", "STOP", "UNSUBSCRIBE")


@dataclass(frozen=True)
class MailServer:
    """``security``: starttls | tls | none. ``secret``: name of the secret with the password."""

    host: str
    sender: str
    port: int = 587
    security: str = "starttls"
    user: str = ""
    secret: str = ""
    sender_name: str = ""


@dataclass(frozen=True)
class Reach:
    """``channels``: channel → provider. ``quiet``: from, to (may go over midnight)."""

    mail: MailServer | None = None
    channels: Mapping[str, str] = field(default_factory=dict)
    quiet: tuple[time, time] | None = None
    base_url: str = ""
    opt_out_words: tuple[str, ...] = OPT_OUT_WORDS

    @classmethod
    def of(cls, settings: Mapping[str, object]) -> Reach:
        """From ``settings`` of the catalog, whose shape the compiler has checked."""
        given = settings.get("messages")
        found: Mapping[str, Any] = given if isinstance(given, Mapping) else {}
        mail, hours = found.get("email"), found.get("quiet_hours")
        return cls(
            MailServer(mail["host"], mail["from"], int(mail.get("port", 587)), mail.get("security", "starttls"), mail.get("user", ""),
                       mail.get("secret_ref", ""), mail.get("from_name", "")) if mail else None,
            dict(found.get("channels") or {}),
            (time.fromisoformat(hours["from"]), time.fromisoformat(hours["to"])) if hours else None,
            str(found.get("base_url", "")).rstrip("/"), tuple(found.get("opt_out_words") or OPT_OUT_WORDS),
        )

    @property
    def outside(self) -> tuple[str, ...]:
        """The channels that leave the house and are set up."""
        return (*(("email",) if self.mail else ()), *self.channels)

    def is_opt_out(self, text: str) -> bool:
        """Whether an answer is one of the words that end messages."""
        return text.strip().strip("。.!！").casefold() in {word.casefold() for word in self.opt_out_words}


def end_of_quiet(now: datetime, hours: tuple[time, time] | None) -> datetime | None:
    """When the quiet hours around ``now`` (in the client's zone) end; None outside of them."""
    if hours is None or hours[0] == hours[1]:
        return None
    start, end = hours
    here = now.time().replace(tzinfo=None)
    inside = start <= here < end if start < end else here >= start or here < end
    if not inside:
        return None
    day = now.date() + timedelta(days=1 if start > end and here >= start else 0)
    return datetime.combine(day, end, now.tzinfo)


def masked_address(address: str) -> str:
    """An address as the log shows it: ``z***@example.com``, ``139****5678``, ``oA***``."""
    name, at, domain = address.partition("@")
    if at:
        return f"{name[:1]}***@{domain}"
    if len(address) >= 11:
        return f"{address[:3]}{'*' * (len(address) - 7)}{address[-4:]}"
    return f"{address[:2]}***"


def same_address(address: str) -> str:
    """The spelling under which two writings of one address meet."""
    return address.strip().casefold()
