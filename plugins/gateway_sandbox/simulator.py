"""A payment gateway that exists only on this machine, with books of its own and faults on demand.

It stands for the other side: it imports nothing of metaloom and nothing of the adapter, checks signatures with code of its
own, and its SQLite file is the only truth about what was paid, shared by any number of processes. Everything enters through
`handle`, as bytes, whether it came over HTTP (`server.py`) or by a call in the same process.

Wire, JSON in UTF-8, amounts in whole cents:
    POST /payouts              {"order_no", "cents", "currency", "account", "name", "remark", "kind": payout | collect | refund,
                                "original": of a refund, the debit that it gives back}
    GET  /payouts/<order_no>
    GET  /statements/<yyyy-mm-dd>
Each request and each answer carries X-Timestamp (seconds), X-Nonce and X-Signature, the hexadecimal HMAC-SHA256 by the
merchant key of timestamp, nonce, method (ANSWER, NOTICE when the gateway speaks), path and body, joined by newlines.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import os
import secrets
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta, timezone
from pathlib import Path
from typing import Any, Final
from urllib.parse import unquote

PAYOUT_FAULTS: Final = (
    "timeout_before_accept",  # no answer, nothing taken
    "timeout_after_accept",  # no answer, but taken
    "error_500",  # 500, nothing taken
    "error_500_after_accept",  # 500, but taken
    "garbage",  # taken, and the answer is a web page
    "bad_signature",  # taken, and the answer is signed with another key
)
FATE_FAULTS: Final = (
    "reject",  # taken down as failed at once
    "slow",  # stays in process for an hour
    "fail_later",  # in process for an hour, then fails
)
QUERY_FAULTS: Final = ("query_timeout", "query_not_found", "query_500")
ENDING_FAULTS: Final = {"9993": "reject", "9995": "slow", "9997": "timeout_before_accept"}
COLLECT_ENDINGS: Final = {"9991": "INSUFFICIENT_FUNDS", "9992": "ACCOUNT_FROZEN", "9993": "ACCOUNT_CLOSED"}
"""What the last four digits of an account do to every payment to it, without anything injected. To 9997 the gateway never
answers, neither to a payout nor to a query. Debits fail for the reason that COLLECT_ENDINGS names."""
KINDS: Final = ("payout", "collect", "refund")
NOTICE_FAULTS: Final = ("duplicate_notify", "late_notify", "lost_notify", "wrong_amount_notify")
FAULTS: Final = frozenset((*PAYOUT_FAULTS, *FATE_FAULTS, *QUERY_FAULTS, *NOTICE_FAULTS))

SLOW_SECONDS: Final = 3600
CLOCK_SKEW_SECONDS: Final = 300
RETRY_SECONDS: Final = (15, 15, 30, 180, 1800, 1800, 1800, 3600)
CENTS_MAX: Final = 10**13
BEIJING: Final = timezone(timedelta(hours=8))

_SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS merchant (one INTEGER PRIMARY KEY CHECK (one = 1), secret TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS payout (
    order_no TEXT PRIMARY KEY, gateway_no TEXT NOT NULL UNIQUE, cents INTEGER NOT NULL CHECK (cents > 0),
    currency TEXT NOT NULL, account TEXT NOT NULL, name TEXT NOT NULL, remark TEXT NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('PROCESSING', 'SUCCESS', 'FAILED')), code TEXT NOT NULL, day TEXT NOT NULL,
    fate TEXT NOT NULL, settles_at REAL NOT NULL, kind TEXT NOT NULL DEFAULT 'payout', original TEXT NOT NULL DEFAULT '');
CREATE TABLE IF NOT EXISTS movement (
    id INTEGER PRIMARY KEY AUTOINCREMENT, gateway_no TEXT NOT NULL, account TEXT NOT NULL, cents INTEGER NOT NULL,
    UNIQUE (gateway_no, account));
CREATE INDEX IF NOT EXISTS movement_of_account ON movement (account, cents);
CREATE INDEX IF NOT EXISTS payout_in_state ON payout (state, settles_at, cents);
CREATE INDEX IF NOT EXISTS payout_of_day ON payout (day);
CREATE TABLE IF NOT EXISTS fault (
    id INTEGER PRIMARY KEY AUTOINCREMENT, kind TEXT NOT NULL, order_no TEXT, times INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS notice (
    id INTEGER PRIMARY KEY AUTOINCREMENT, event_no TEXT NOT NULL, order_no TEXT NOT NULL, body TEXT NOT NULL,
    due_at REAL NOT NULL, attempts INTEGER NOT NULL DEFAULT 0, done INTEGER NOT NULL DEFAULT 0);
CREATE TABLE IF NOT EXISTS nonce (nonce TEXT PRIMARY KEY, at REAL NOT NULL);
CREATE TABLE IF NOT EXISTS silent (order_no TEXT PRIMARY KEY);
CREATE TABLE IF NOT EXISTS call (
    id INTEGER PRIMARY KEY AUTOINCREMENT, at REAL NOT NULL, what TEXT NOT NULL, order_no TEXT NOT NULL, fault TEXT NOT NULL);
"""


@dataclass(frozen=True)
class Answer:
    """What goes back over the wire."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class NoAnswer(TimeoutError):
    """The line stays silent. Whether the payout was taken is exactly what the caller cannot know."""


class _Refused(Exception):
    def __init__(self, status: int, code: str) -> None:
        self.status, self.code = status, code


class GatewaySimulator:
    """The gateway. Objects on the same file, in any thread or process, are the same gateway.

    now              its clock, seconds since 1970
    opening_cents    what the merchant has deposited; a payout beyond it fails with INSUFFICIENT_BALANCE
    settle_seconds   how long a normal payout stays in process; 0 = it is done when the answer is written
    """

    def __init__(
        self,
        file: Path,
        *,
        now: Callable[[], float] = time.time,
        opening_cents: int = 10**14,
        settle_seconds: float = 0,
    ) -> None:
        self._file, self._now, self._settle_seconds = file, now, settle_seconds
        self._local = threading.local()
        self._inherited: list[sqlite3.Connection | None] = []
        _create(file)
        with self._books() as books:
            books.execute("INSERT OR IGNORE INTO merchant VALUES (1, ?)", (secrets.token_hex(32),))
            _move(books, "OPENING", "bank", "merchant", opening_cents)
            self._key = str(books.execute("SELECT secret FROM merchant").fetchone()[0])

    def merchant_key(self) -> str:
        """What a merchant gets on paper when the contract is signed."""
        return self._key

    # the wire
    def handle(self, method: str, path: str, headers: Mapping[str, str], body: bytes) -> Answer:
        """One request. Raises NoAnswer where the line would stay silent."""
        try:
            with self._books() as books:
                self._check_signature(books, method, path, headers, body)
            status, content, how = self._route(method, path, body)
        except _Refused as refusal:
            status, content, how = refusal.status, {"code": refusal.code}, ""
        if how in ("timeout_before_accept", "timeout_after_accept", "query_timeout"):
            raise NoAnswer("no answer from the gateway")
        if how == "garbage":
            return Answer(200, {"Content-Type": "text/html"}, b"<html><body>maintenance</body></html>")
        return self._signed_answer(status, path, content, forged=how == "bad_signature")

    def _route(self, method: str, path: str, body: bytes) -> tuple[int, dict[str, Any], str]:
        collection, _, key = path.strip("/").partition("/")
        if (method, collection, key) == ("POST", "payouts", ""):
            return self._payout(self._order_of(body))
        if method == "GET" and collection == "payouts" and key:
            return self._query(unquote(key))
        if method == "GET" and collection == "statements" and key:
            return 200, {"lines": self.statement(_day_of(key))}, ""
        raise _Refused(404, "NO_SUCH_ADDRESS")

    def _order_of(self, body: bytes) -> dict[str, Any]:
        """The order in a request. 400 means: nothing stands under this number, and nothing will by this request."""
        try:
            return _checked_order(_object_of(body))
        except _Refused as refusal:
            order_no = _object_of(body).get("order_no")
            with self._books() as books:
                if isinstance(order_no, str) and _find(books, order_no) is not None:
                    raise _Refused(409, "ORDER_NO_REUSED") from refusal
            raise

    def _payout(self, order: dict[str, Any]) -> tuple[int, dict[str, Any], str]:
        with self._books() as books:
            fault = _take_fault(books, PAYOUT_FAULTS, order["order_no"])
            if _ending_fault(order["account"]) == "timeout_before_accept":
                _silence(books, order["order_no"])
                fault = "timeout_before_accept"
            self._log(books, "payout", order["order_no"], fault)
            if fault == "timeout_before_accept":
                return 504, {}, fault
            if fault == "error_500":
                return 500, {"code": "SYSTEM_ERROR"}, fault
            row = _find(books, order["order_no"])
            if row is None:
                row = self._accept(books, order)
            elif any(row[key] != order[key] for key in ("cents", "currency", "account", "name", "kind", "original")):
                return 409, {"code": "ORDER_NO_REUSED"}, fault
            if fault == "error_500_after_accept":
                return 500, {"code": "SYSTEM_ERROR"}, fault
            return 200, {"payout": _public(row)}, fault

    def _accept(self, books: sqlite3.Connection, order: dict[str, Any]) -> sqlite3.Row:
        fate = _take_fault(books, FATE_FAULTS, order["order_no"]) or _ending_fault(order["account"])
        wait = SLOW_SECONDS if fate in ("slow", "fail_later") else self._settle_seconds
        books.execute(
            "INSERT INTO payout VALUES (?, ?, ?, ?, ?, ?, ?, 'PROCESSING', '', ?, ?, ?, ?, ?)",
            (
                order["order_no"],
                f"G{secrets.token_hex(10).upper()}",
                order["cents"],
                order["currency"],
                order["account"],
                order["name"],
                order["remark"],
                self.today().isoformat(),
                fate,
                self._now() + wait,
                order["kind"],
                order["original"],
            ),
        )
        why = _refusal(books, order, fate)
        if why:
            self._finish(books, order["order_no"], "FAILED", why)
        self._settle_due(books)
        row = _find(books, order["order_no"])
        assert row is not None
        return row

    def _query(self, order_no: str) -> tuple[int, dict[str, Any], str]:
        with self._books() as books:
            fault = _take_fault(books, QUERY_FAULTS, order_no) or _is_silent(books, order_no)
            self._log(books, "query", order_no, fault)
            self._settle_due(books)
            row = _find(books, order_no)
        if fault == "query_500":
            return 500, {"code": "SYSTEM_ERROR"}, fault
        if row is None or fault == "query_not_found":
            return 404, {"code": "ORDER_NOT_FOUND"}, fault
        return 200, {"payout": _public(row)}, fault

    # its books
    def statement(self, day: date) -> list[dict[str, Any]]:
        """All payouts taken on a day (Beijing time), in the order of their gateway numbers."""
        with self._books() as books:
            self._settle_due(books)
            rows = books.execute(
                "SELECT * FROM payout WHERE day = ? ORDER BY gateway_no", (day.isoformat(),)
            ).fetchall()
        return [_public(row) for row in rows]

    def balances(self) -> dict[str, int]:
        """Cents per account; they sum to zero, always."""
        with self._books() as books:
            self._settle_due(books)
            return dict(books.execute("SELECT account, SUM(cents) FROM movement GROUP BY account").fetchall())

    def paid_cents(self, order_no: str) -> int:
        """What really left for this order: the sum that a second payment would double."""
        with self._books() as books:
            self._settle_due(books)
            found = books.execute(
                "SELECT COALESCE(SUM(m.cents), 0) FROM movement m JOIN payout p USING (gateway_no) "
                "WHERE p.order_no = ? AND m.account <> 'merchant'",
                (order_no,),
            ).fetchone()
        return int(found[0])

    def calls(self, order_no: str) -> list[tuple[str, str]]:
        """(payout or query, fault) of every request about an order, in order of arrival."""
        with self._books() as books:
            rows = books.execute("SELECT what, fault FROM call WHERE order_no = ? ORDER BY id", (order_no,)).fetchall()
        return [(row["what"], row["fault"]) for row in rows]

    # what a tester does to it
    def inject(self, kind: str, *, times: int = 1, order_no: str | None = None) -> None:
        """The next `times` matching requests (of one order, or of any) meet this fault."""
        if kind not in FAULTS:
            raise ValueError(f"unknown fault {kind!r}; known are: {', '.join(sorted(FAULTS))}")
        with self._books() as books:
            books.execute("INSERT INTO fault (kind, order_no, times) VALUES (?, ?, ?)", (kind, order_no, times))

    def settle_all(self) -> None:
        """What is in process is decided now, whatever its waiting time."""
        with self._books() as books:
            self._settle_due(books, until=float("inf"))

    # its notices
    def deliver(self, post: Callable[[Mapping[str, str], bytes], int]) -> int:
        """Sends each notice that is due, once; `post` returns the HTTP status. 200 ends it, all else is tried again.

        Returns how many were sent. A notice that failed nine times is given up: the statement has the truth.
        """
        with self._books() as books:
            self._settle_due(books)
            due = books.execute(
                "SELECT * FROM notice WHERE done = 0 AND due_at <= ? ORDER BY due_at, id", (self._now(),)
            ).fetchall()
        for notice in due:
            body = notice["body"].encode()
            try:
                status = post(self._signature_headers("NOTICE", "/notice", body), body)
            except OSError:
                status = 0
            self._after_delivery(notice, status)
        return len(due)

    def _after_delivery(self, notice: sqlite3.Row, status: int) -> None:
        attempts = notice["attempts"] + 1
        done = status == 200 or attempts > len(RETRY_SECONDS)
        due_at = self._now() + RETRY_SECONDS[min(attempts, len(RETRY_SECONDS)) - 1]
        with self._books() as books:
            books.execute(
                "UPDATE notice SET attempts = ?, done = ?, due_at = ? WHERE id = ?",
                (attempts, done, due_at, notice["id"]),
            )

    def _queue_notice(self, books: sqlite3.Connection, row: sqlite3.Row) -> None:
        fault = _take_fault(books, NOTICE_FAULTS, row["order_no"])
        if fault == "lost_notify":
            return
        event_no = f"E{secrets.token_hex(8).upper()}"
        shown = _public(row)
        if fault == "wrong_amount_notify":
            shown["cents"] += 1
        body = json.dumps({"event_no": event_no, "payout": shown}, ensure_ascii=False)
        due_at = self._now() + (SLOW_SECONDS if fault == "late_notify" else 0)
        for _ in range(2 if fault == "duplicate_notify" else 1):
            books.execute(
                "INSERT INTO notice (event_no, order_no, body, due_at) VALUES (?, ?, ?, ?)",
                (event_no, row["order_no"], body, due_at),
            )

    # decisions
    def _settle_due(self, books: sqlite3.Connection, until: float | None = None) -> None:
        limit = self._now() if until is None else until
        for row in books.execute(
            "SELECT order_no, fate FROM payout WHERE state = 'PROCESSING' AND settles_at <= ?", (limit,)
        ).fetchall():
            if row["fate"] == "fail_later":
                self._finish(books, row["order_no"], "FAILED", "ACCOUNT_CLOSED")
            else:
                self._finish(books, row["order_no"], "SUCCESS", "")

    def _finish(self, books: sqlite3.Connection, order_no: str, state: str, code: str) -> None:
        books.execute("UPDATE payout SET state = ?, code = ? WHERE order_no = ?", (state, code, order_no))
        row = _find(books, order_no)
        assert row is not None
        if state == "SUCCESS":
            ways = ("merchant", f"account {row['account']}")
            source, target = ways[::-1] if row["kind"] == "collect" else ways
            _move(books, row["gateway_no"], source, target, row["cents"])
        self._queue_notice(books, row)

    # signatures
    def _signed_answer(self, status: int, path: str, content: dict[str, Any], *, forged: bool) -> Answer:
        body = json.dumps(content, ensure_ascii=False).encode()
        headers = self._signature_headers("ANSWER", path, body, key=secrets.token_hex(32) if forged else None)
        return Answer(status, {"Content-Type": "application/json", **headers}, body)

    def _signature_headers(self, method: str, path: str, body: bytes, key: str | None = None) -> dict[str, str]:
        stamp, nonce = str(int(self._now())), secrets.token_hex(16)
        signed = _signature(key or self._key, stamp, nonce, method, path, body)
        return {"X-Timestamp": stamp, "X-Nonce": nonce, "X-Signature": signed}

    def _check_signature(
        self, books: sqlite3.Connection, method: str, path: str, headers: Mapping[str, str], body: bytes
    ) -> None:
        given = {key.lower(): value for key, value in headers.items()}
        stamp, nonce = given.get("x-timestamp", ""), given.get("x-nonce", "")
        expected = _signature(self._key, stamp, nonce, method, path, body)
        if not hmac.compare_digest(expected.encode(), given.get("x-signature", "").encode()):
            raise _Refused(401, "BAD_SIGNATURE")
        if not stamp.isdecimal() or abs(int(stamp) - self._now()) > CLOCK_SKEW_SECONDS:
            raise _Refused(401, "STALE_REQUEST")
        books.execute("DELETE FROM nonce WHERE at < ?", (self._now() - 2 * CLOCK_SKEW_SECONDS,))
        if books.execute("INSERT OR IGNORE INTO nonce VALUES (?, ?)", (nonce, self._now())).rowcount == 0:
            raise _Refused(401, "REPLAYED_REQUEST")

    # small things
    def _log(self, books: sqlite3.Connection, what: str, order_no: str, fault: str) -> None:
        books.execute(
            "INSERT INTO call (at, what, order_no, fault) VALUES (?, ?, ?, ?)", (self._now(), what, order_no, fault)
        )

    def today(self) -> date:
        """The gateway's business day, in Beijing time."""
        return datetime.fromtimestamp(self._now(), UTC).astimezone(BEIJING).date()

    @contextmanager
    def _books(self) -> Iterator[sqlite3.Connection]:
        """One transaction that takes the write lock at once: two processes never decide about one order together."""
        books = self._connection()
        books.execute("BEGIN IMMEDIATE")
        try:
            yield books
        except BaseException:
            books.execute("ROLLBACK")
            raise
        books.execute("COMMIT")

    def _connection(self) -> sqlite3.Connection:
        """One per thread and process: a forked worker must neither use nor close what its parent opened."""
        if getattr(self._local, "process", None) != os.getpid():
            self._inherited.append(getattr(self._local, "books", None))
            self._local.books = sqlite3.connect(self._file, timeout=20, isolation_level=None)
            self._local.books.row_factory = sqlite3.Row
            self._local.books.execute("PRAGMA synchronous = NORMAL")
            self._local.process = os.getpid()
        books: sqlite3.Connection = self._local.books
        return books


def _create(file: Path) -> None:
    """Makes the file if it is new. Several processes may come at once: who finds it locked tries again."""
    give_up = time.monotonic() + 20
    while True:
        books = sqlite3.connect(file, timeout=5, isolation_level=None)
        try:
            books.execute("PRAGMA journal_mode = WAL")
            books.executescript(_SCHEMA)
            if "kind" not in {row[1] for row in books.execute("PRAGMA table_info(payout)")}:
                books.execute("ALTER TABLE payout ADD COLUMN kind TEXT NOT NULL DEFAULT 'payout'")
            if "original" not in {row[1] for row in books.execute("PRAGMA table_info(payout)")}:
                books.execute("ALTER TABLE payout ADD COLUMN original TEXT NOT NULL DEFAULT ''")
            return
        except sqlite3.OperationalError:
            if time.monotonic() > give_up:
                raise
            time.sleep(0.05)
        finally:
            books.close()


def _signature(key: str, stamp: str, nonce: str, method: str, path: str, body: bytes) -> str:
    text = "\n".join((stamp, nonce, method, path, "")).encode() + body
    return hmac.new(key.encode(), text, hashlib.sha256).hexdigest()


def _move(books: sqlite3.Connection, gateway_no: str, source: str, target: str, cents: int) -> None:
    """Both legs or none; the unique key makes a second movement of one payout impossible."""
    books.executemany(
        "INSERT OR IGNORE INTO movement (gateway_no, account, cents) VALUES (?, ?, ?)",
        [(gateway_no, source, -cents), (gateway_no, target, cents)],
    )


def _free_cents(books: sqlite3.Connection, besides: str) -> int:
    """The merchant's money that no other payout in process will take."""
    held = books.execute("SELECT COALESCE(SUM(cents), 0) FROM movement WHERE account = 'merchant'").fetchone()[0]
    promised = books.execute(
        "SELECT COALESCE(SUM(cents), 0) FROM payout WHERE state = 'PROCESSING' AND kind <> 'collect' AND order_no <> ?", (besides,)
    ).fetchone()[0]
    return int(held) - int(promised)


def _refundable_cents(books: sqlite3.Connection, original: str, besides: str) -> int:
    """What a debit took, less every refund of it that was paid or is under way; nothing for a debit that it does not have."""
    took = books.execute("SELECT cents FROM payout WHERE order_no = ? AND kind = 'collect' AND state = 'SUCCESS'", (original,)).fetchone()
    back = books.execute("SELECT COALESCE(SUM(cents), 0) FROM payout WHERE original = ? AND kind = 'refund' AND state <> 'FAILED' AND order_no <> ?",
                         (original, besides)).fetchone()[0]
    return int(took[0]) - int(back) if took is not None else 0


def _find(books: sqlite3.Connection, order_no: str) -> sqlite3.Row | None:
    row: sqlite3.Row | None = books.execute("SELECT * FROM payout WHERE order_no = ?", (order_no,)).fetchone()
    return row


def _take_fault(books: sqlite3.Connection, kinds: tuple[str, ...], order_no: str) -> str:
    """Uses up one injected fault of these kinds; '' if none waits."""
    for row in books.execute("SELECT * FROM fault WHERE times > 0 ORDER BY id").fetchall():
        if row["kind"] in kinds and row["order_no"] in (None, order_no):
            books.execute("UPDATE fault SET times = times - 1 WHERE id = ?", (row["id"],))
            return str(row["kind"])
    return ""


def _refusal(books: sqlite3.Connection, order: Mapping[str, Any], fate: str) -> str:
    """Why an order that was just taken fails at once; '' if it does not."""
    if order["kind"] == "collect":
        return "ACCOUNT_REFUSED" if fate == "reject" and order["account"][-4:] not in COLLECT_ENDINGS else COLLECT_ENDINGS.get(order["account"][-4:], "")
    if fate == "reject":
        return "ACCOUNT_REFUSED"
    if order["kind"] == "refund" and order["cents"] > _refundable_cents(books, order["original"], besides=order["order_no"]):
        return "REFUND_EXCEEDS_DEBIT"
    return "INSUFFICIENT_BALANCE" if order["cents"] > _free_cents(books, besides=order["order_no"]) else ""


def _ending_fault(account: str) -> str:
    return ENDING_FAULTS.get(account[-4:], "")


def _silence(books: sqlite3.Connection, order_no: str) -> None:
    """Remembers an order to an account that is never answered for."""
    books.execute("INSERT OR IGNORE INTO silent VALUES (?)", (order_no,))


def _is_silent(books: sqlite3.Connection, order_no: str) -> str:
    found = books.execute("SELECT 1 FROM silent WHERE order_no = ?", (order_no,)).fetchone()
    return "query_timeout" if found else ""


def _public(row: sqlite3.Row) -> dict[str, Any]:
    return {key: row[key] for key in ("order_no", "gateway_no", "cents", "currency", "account", "state", "code", "day", "kind")}


def _object_of(body: bytes) -> dict[str, Any]:
    try:
        given = json.loads(body)
    except (ValueError, RecursionError):
        raise _Refused(400, "NOT_JSON") from None
    if not isinstance(given, dict):
        raise _Refused(400, "NOT_AN_OBJECT")
    return given


def _checked_order(given: dict[str, Any]) -> dict[str, Any]:
    order = {"currency": "CNY", "remark": "", "kind": "payout", "original": "", **given}
    if set(order) != {"order_no", "cents", "currency", "account", "name", "remark", "kind", "original"} or order["kind"] not in KINDS:
        raise _Refused(400, "WRONG_FIELDS")
    for key, most in (("order_no", 64), ("account", 40), ("name", 120), ("currency", 3)):
        if not isinstance(order[key], str) or not 0 < len(order[key]) <= most:
            raise _Refused(400, f"WRONG_{key.upper()}")
    if not isinstance(order["remark"], str) or len(order["remark"]) > 200:
        raise _Refused(400, "WRONG_REMARK")
    if not isinstance(order["original"], str) or len(order["original"]) > 64 or bool(order["original"]) != (order["kind"] == "refund"):
        raise _Refused(400, "WRONG_ORIGINAL")
    if isinstance(order["cents"], bool) or not isinstance(order["cents"], int) or not 0 < order["cents"] <= CENTS_MAX:
        raise _Refused(400, "WRONG_CENTS")
    return order


def _day_of(text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise _Refused(400, "WRONG_DAY") from None
