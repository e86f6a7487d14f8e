"""What leaves the house: stored and put into the outbox in one transaction, or stored as not sent, with the reason."""

from __future__ import annotations

import json
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from datetime import UTC, datetime
from typing import Any

from metaloom.base.text import Text
from metaloom.command.unit import Unit
from metaloom.message import Box, Reach, end_of_quiet, masked_address, one_line, plain, same_address
from metaloom.model import Field, FieldType
from metaloom.record.values import BadValue, Reading, read
from metaloom.storage import outbox

OUTBOX_KIND = "message"
ADDRESS = "engine/message/address"
_LABEL = Text("地址", "Address")
_TYPES = {"email": FieldType.EMAIL, "sms": FieldType.PHONE}


@dataclass(frozen=True, kw_only=True)
class About:
    """What every message says of itself: its kind (of which preferences speak), its template, the record it is about, where it
    leads, and whether it passes quiet hours (``urgent``) or whatever else holds messages back (``important``)."""

    kind: str
    template: str = ""
    entity: str = ""
    record_id: int | None = None
    link: str = ""
    urgent: bool = False
    important: bool = False

    def columns(self, unit: Unit) -> dict[str, Any]:
        """The columns of ``ml_message`` that say it, with who wrote it and when."""
        return {
            "kind": self.kind, "template": self.template or None, "entity": self.entity or None, "record_id": self.record_id,
            "link": self.link or None, "urgent": self.urgent, "created_at": unit.now, "updated_at": unit.now,
            "created_by": unit.ctx.actor.user_id, "request_id": unit.ctx.request_id or None,
        }

    @property
    def about(self) -> dict[str, Any]:
        """The same for another message about the same thing."""
        return {part.name: getattr(self, part.name) for part in fields(About)}


@dataclass(frozen=True, kw_only=True)
class Letter(About):
    """One message to one address. ``receiver``: the person of the house, if it is one. ``why``: not to be sent, for this reason."""

    channel: str
    address: str
    subject: str
    body: str
    receiver: int | None = None
    template_code: str = ""
    fields: Mapping[str, str] = field(default_factory=dict)
    why: str = ""
    resend_of: int | None = None


def post_letters(unit: Unit, letters: Sequence[Letter]) -> list[int]:
    """Stores the letters and queues those that may go; ids in order."""
    if not letters:
        return []
    reach, box = Reach.of(unit.catalog.settings), Box(unit.conn, unit.tables)
    rows = [_row(unit, box, reach, letter) for letter in letters]
    ids = box.add(rows)
    for message_id, row in zip(ids, rows, strict=True):
        if row["status"] == "queued":
            outbox.put(unit.conn, unit.tables, kind=OUTBOX_KIND, payload={"id": message_id}, key=f"message:{row['reference']}",
                       run_after=row["due_at"])
            unit.rings = True
    return ids


def _row(unit: Unit, box: Box, reach: Reach, letter: Letter) -> dict[str, Any]:
    address = checked_address(unit, letter.channel, letter.address)
    mark = mark_of(unit, letter.channel, address) if address else ""
    why = letter.why or _why_not(box, reach, letter, address, mark)
    due = None if letter.urgent or letter.important else end_of_quiet(unit.now.astimezone(unit.ctx.tenant.zone), reach.quiet)
    sealed = {"address": address, "template_code": letter.template_code, "fields": dict(letter.fields)}
    return letter.columns(unit) | {
        "receiver_id": letter.receiver, "channel": letter.channel, "subject": one_line(letter.subject), "body": plain(letter.body),
        "status": "suppressed" if why else "queued", "why": why or ("quiet_hours" if due else None),
        "address": masked_address(address) if address else None, "address_mark": mark or None, "due_at": _utc(due or unit.now),
        "reference": f"m-{secrets.token_hex(12)}", "sealed": unit.ctx.tenant.secrets.encrypt(ADDRESS, json.dumps(sealed, ensure_ascii=False)),
        "provider": reach.channels.get(letter.channel), "resend_of": letter.resend_of,
    }


def _why_not(box: Box, reach: Reach, letter: Letter, address: str, mark: str) -> str:
    if not letter.body.strip():
        return "no_text"
    if letter.channel not in reach.outside:
        return "no_channel"
    if not address:
        return "no_address"
    if not letter.important and box.opted_out(letter.channel, mark):
        return "opt_out"
    return ""


def checked_address(unit: Unit, channel: str, given: str) -> str:
    """The address in its one spelling; empty for one that cannot be used."""
    try:
        found = read(Field("address", _TYPES.get(channel, FieldType.TEXT), _LABEL), given.strip(), Reading({}, unit.ctx.tenant.zone))
    except BadValue:
        return ""
    return str(found or "")


def mark_of(unit: Unit, channel: str, address: str) -> str:
    """A fingerprint that equal addresses share and nobody can read."""
    return unit.ctx.tenant.secrets.blind(ADDRESS, f"{channel}|{same_address(address)}")


def _utc(moment: datetime) -> datetime:
    return moment.astimezone(UTC)
