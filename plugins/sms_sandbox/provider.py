"""The message_channel of the SMS sandbox: a provider with a memory of its own, which tests hold against the engine's log."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from hashlib import sha256

from metaloom.plugin import Environment
from metaloom.plugin.message_channel import ChannelReply, Incoming, Outgoing

LENGTH_MAX = 500
SCHEMA = """
CREATE TABLE IF NOT EXISTS sent (reference TEXT PRIMARY KEY, address TEXT, text TEXT, template TEXT, fields TEXT, outcome TEXT, calls INTEGER DEFAULT 1);
CREATE TABLE IF NOT EXISTS incoming (number TEXT PRIMARY KEY, reference TEXT, outcome TEXT, address TEXT, text TEXT, taken INTEGER DEFAULT 0);
"""


class SmsSandbox:
    """The last digits of a number choose a fault: 0000 a time-out after the message was taken, 0001 a time-out before,
    0002 a refusal, 0003 a reply that breaks the door's promise. An answer is put in with :meth:`answer`."""

    def __init__(self, environment: Environment | None = None) -> None:
        folder = environment.folder if environment is not None else None
        self._file = str(folder / "log.sqlite") if folder is not None else ""
        self._memory = None if self._file else sqlite3.connect(":memory:", check_same_thread=False)

    def length_max(self) -> int:
        return LENGTH_MAX

    def send(self, request: Outgoing) -> ChannelReply:
        tail = request.address[-4:]
        if tail == "0001":
            raise TimeoutError("the sandbox was asked to lose the message")
        outcome = "refused" if tail == "0002" else "delivered"
        with self._log() as log:
            new = log.execute("INSERT OR IGNORE INTO sent VALUES (?, ?, ?, ?, ?, ?, 1)", (
                request.reference, request.address, request.text, request.template_code,
                json.dumps(dict(request.fields), ensure_ascii=False), outcome)).rowcount
            if not new:
                log.execute("UPDATE sent SET calls = calls + 1 WHERE reference = ?", (request.reference,))
            elif outcome == "delivered":
                log.execute("INSERT OR IGNORE INTO incoming VALUES (?, ?, 'delivered', '', '', 0)", (f"r-{request.reference}", request.reference))
        if tail == "0000":
            raise TimeoutError("the sandbox was asked to answer too late")
        if tail == "0003":
            return ChannelReply(outcome="perhaps", reference=request.reference)
        if outcome == "refused":
            return ChannelReply(outcome="refused", reference=request.reference, code="BLACKLIST", text="the number is on a blacklist")
        return ChannelReply(outcome="accepted", reference=request.reference, provider_no=_number(request.reference))

    def query(self, reference: str) -> ChannelReply:
        with self._log() as log:
            row = log.execute("SELECT outcome FROM sent WHERE reference = ?", (reference,)).fetchone()
        if row is None:
            return ChannelReply(outcome="never_seen", reference=reference)
        return ChannelReply(outcome=row[0], reference=reference, provider_no=_number(reference))

    def collect(self) -> tuple[Incoming, ...]:
        with self._log() as log:
            rows = log.execute("SELECT number, reference, outcome, address, text FROM incoming WHERE taken = 0 ORDER BY rowid LIMIT 1000").fetchall()
        return tuple(Incoming(number=r[0], reference=r[1], outcome=r[2], address=r[3], text=r[4]) for r in rows)

    def acknowledge(self, numbers: tuple[str, ...]) -> None:
        with self._log() as log:
            log.executemany("UPDATE incoming SET taken = 1 WHERE number = ?", [(number,) for number in numbers])

    def answer(self, address: str, text: str) -> None:
        """Somebody answers a message (tests and demonstrations)."""
        with self._log() as log:
            count = log.execute("SELECT count(*) FROM incoming").fetchone()[0]
            log.execute("INSERT INTO incoming VALUES (?, '', '', ?, ?, 0)", (f"a-{count + 1}", address, text))

    def sent(self) -> tuple[dict[str, object], ...]:
        """The log: what arrived here, in order, with how often each reference was called."""
        with self._log() as log:
            rows = log.execute("SELECT reference, address, text, template, fields, outcome, calls FROM sent ORDER BY rowid").fetchall()
        names = ("reference", "address", "text", "template", "fields", "outcome", "calls")
        return tuple(dict(zip(names, row, strict=True)) for row in rows)

    @contextmanager
    def _log(self) -> Iterator[sqlite3.Connection]:
        if self._memory is not None:
            self._memory.executescript(SCHEMA)
            with self._memory:
                yield self._memory
            return
        with closing(sqlite3.connect(self._file, timeout=10)) as log:
            log.executescript(SCHEMA)
            with log:
                yield log


def _number(reference: str) -> str:
    return "SMS" + sha256(reference.encode()).hexdigest()[:16].upper()
