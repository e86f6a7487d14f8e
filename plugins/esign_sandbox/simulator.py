"""The signing service: envelopes in a file of its own, asked over a wire of JSON and signatures. Knows nothing of the engine.

Wire. Every request has ``X-Timestamp`` (seconds), ``X-Nonce`` and ``X-Signature``: HMAC-SHA256 over time, nonce, method and path,
each ended by a line feed, and then the body. Answers are signed in the same way with ``ANSWER`` for the method. Notices have
``NOTICE`` and the path ``/notice``; a notice is ``{"event_no": …, "flow": {…}}`` and comes again until somebody answers 200.

* ``POST /flows`` ``{flow_ref, title, days, files: [{name, base64}], parties: [{key, name, id_no, mobile, step, seal}]}`` → flow
* ``GET /flows/<ref>`` → flow, or 404 ``FLOW_NOT_FOUND``
* ``POST /flows/<ref>/revoke`` ``{reason}`` → flow
* ``GET /flows/<ref>/file`` → ``{base64, sha256, evidence_no, flow_ref}``, or 409 ``NOT_SIGNED``

The last digits of a party's mobile choose what that person does where everybody signs at once: 0002 the service takes no such
flow, 0003 rejects, 0004 never answers, 0000 the line is silent after the flow was made.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import secrets
import sqlite3
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

SCHEMA = """
CREATE TABLE IF NOT EXISTS flow (
    ref TEXT PRIMARY KEY, no TEXT, digest TEXT, title TEXT, state TEXT, parties TEXT, content BLOB, until REAL, evidence TEXT, reason TEXT);
CREATE TABLE IF NOT EXISTS notice (event_no TEXT PRIMARY KEY, ref TEXT, body TEXT, taken INTEGER DEFAULT 0);
CREATE TABLE IF NOT EXISTS house (key TEXT);
"""
OPEN = ("SIGNING", "PARTLY")
DAY = 86_400


@dataclass(frozen=True)
class Answer:
    status: int
    headers: Mapping[str, str]
    body: bytes


class Silence(TimeoutError):
    """The line is silent, whatever was done over there."""


class Signatures:
    """The service. ``sign``, ``reject`` and ``expire`` are what people and time do; :meth:`handle` is the wire."""

    def __init__(self, file: Path, *, now: Callable[[], float], auto_sign: bool = False, key: str = "") -> None:
        self._file, self._now, self._auto = str(file), now, auto_sign
        self._given = key

    def client_key(self) -> str:
        """What both sides share; made on first use."""
        if self._given:
            return self._given
        with self._books() as books:
            found = books.execute("SELECT key FROM house").fetchone()
            if found is None:
                found = (secrets.token_hex(32),)
                books.execute("INSERT INTO house VALUES (?)", found)
        self._given = str(found[0])
        return self._given

    # -- people and time -------------------------------------------------------------------------------------------------

    def sign(self, ref: str, key: str) -> None:
        """One party signs, when it is that party's turn."""
        with self._books() as books:
            flow = self._flow(books, ref)
            assert flow is not None and flow["state"] in OPEN, "nothing to sign"
            parties = json.loads(flow["parties"])
            turn = min(party["step"] for party in parties if not party.get("done"))
            mine = next(party for party in parties if party["key"] == key)
            assert mine["step"] == turn and not mine.get("done"), "not this party's turn"
            mine["done"] = True
            self._move(books, ref, "SIGNED" if all(party.get("done") for party in parties) else "PARTLY", parties)

    def reject(self, ref: str, key: str, reason: str) -> None:
        with self._books() as books:
            books.execute("UPDATE flow SET reason = ? WHERE ref = ?", (f"{key}: {reason}", ref))
            self._move(books, ref, "REJECTED")

    def expire(self) -> None:
        """Time passes: what was not signed in time never will be."""
        with self._books() as books:
            for (ref,) in books.execute("SELECT ref FROM flow WHERE state IN ('SIGNING', 'PARTLY') AND until <= ?", (self._now(),)).fetchall():
                self._move(books, ref, "EXPIRED")

    def notices(self) -> list[tuple[dict[str, str], bytes]]:
        """(headers, body) of what nobody took yet, signed now."""
        with self._books() as books:
            rows = books.execute("SELECT body FROM notice WHERE taken = 0 ORDER BY rowid").fetchall()
        return [(self._signed("NOTICE", "/notice", row[0].encode()), row[0].encode()) for row in rows]

    def taken(self, body: bytes) -> None:
        with self._books() as books:
            books.execute("UPDATE notice SET taken = 1 WHERE event_no = ?", (json.loads(body)["event_no"],))

    def flows(self) -> list[dict[str, Any]]:
        """All flows, in order: what the service knows, whoever asks."""
        with self._books() as books:
            return [self._shown(row) for row in books.execute("SELECT * FROM flow ORDER BY rowid").fetchall()]

    # -- the wire --------------------------------------------------------------------------------------------------------

    def handle(self, method: str, path: str, headers: Mapping[str, str], body: bytes) -> Answer:
        given = {name.lower(): value for name, value in headers.items()}
        wanted = self._mac(given.get("x-timestamp", ""), given.get("x-nonce", ""), method, path, body)
        stamp = given.get("x-timestamp", "")
        if not hmac.compare_digest(wanted, given.get("x-signature", "")) or not stamp.isdecimal() or abs(int(stamp) - self._now()) > 300:
            return self._answer(path, 401, {"code": "BAD_SIGNATURE"})
        parts = path.strip("/").split("/")
        if method == "POST" and parts == ["flows"]:
            return self._create(path, json.loads(body))
        with self._books() as books:
            flow = self._flow(books, parts[1])
            if flow is None:
                return self._answer(path, 404, {"code": "FLOW_NOT_FOUND"})
            if method == "POST" and parts[2:] == ["revoke"]:
                if flow["state"] in OPEN:
                    books.execute("UPDATE flow SET reason = ? WHERE ref = ?", (json.loads(body).get("reason", ""), parts[1]))
                    self._move(books, parts[1], "REVOKED")
                return self._answer(path, 200, self._shown(self._flow(books, parts[1])))
            if parts[2:] == ["file"]:
                if flow["state"] != "SIGNED":
                    return self._answer(path, 409, {"code": "NOT_SIGNED"})
                content = bytes(flow["content"])
                return self._answer(path, 200, {"base64": base64.b64encode(content).decode(), "sha256": hashlib.sha256(content).hexdigest(),
                                                "evidence_no": flow["evidence"], "flow_ref": parts[1]})
            return self._answer(path, 200, self._shown(flow))

    def _create(self, path: str, asked: dict[str, Any]) -> Answer:
        ends = [party["mobile"][-4:] for party in asked["parties"]]
        if "0002" in ends or not asked["files"] or not asked["parties"]:
            return self._answer(path, 422, {"code": "PARTY_UNKNOWN", "message": "签署人实名信息不一致"})
        with self._books() as books:
            digest = hashlib.sha256(json.dumps(asked, sort_keys=True).encode()).hexdigest()
            flow = self._flow(books, asked["flow_ref"])
            if flow is not None:
                if flow["digest"] != digest:
                    return self._answer(path, 422, {"code": "REF_USED", "message": "流程号已用于其他文件"})
                return self._answer(path, 200, self._shown(flow))
            number = "QS" + hashlib.sha256(asked["flow_ref"].encode()).hexdigest()[:18].upper()
            parties = [{**party, "done": bool(party["seal"])} for party in asked["parties"]]
            books.execute("INSERT INTO flow VALUES (?, ?, ?, ?, 'SIGNING', ?, ?, ?, '', '')", (
                asked["flow_ref"], number, digest, asked["title"], json.dumps(parties), base64.b64decode(asked["files"][0]["base64"]),
                self._now() + asked["days"] * DAY))
            if self._auto:
                self._everybody(books, asked["flow_ref"], parties)
            shown = self._shown(self._flow(books, asked["flow_ref"]))
        if "0000" in ends:
            raise Silence("the sandbox was asked to answer too late")
        return self._answer(path, 200, shown)

    def _everybody(self, books: sqlite3.Connection, ref: str, parties: list[dict[str, Any]]) -> None:
        ends = [party["mobile"][-4:] for party in parties]
        if "0003" in ends:
            books.execute("UPDATE flow SET reason = '客户拒绝签署' WHERE ref = ?", (ref,))
            self._move(books, ref, "REJECTED")
        elif "0004" not in ends:
            self._move(books, ref, "SIGNED", [{**party, "done": True} for party in parties])

    # -- books -----------------------------------------------------------------------------------------------------------

    def _move(self, books: sqlite3.Connection, ref: str, state: str, parties: list[dict[str, Any]] | None = None) -> None:
        if parties is not None:
            books.execute("UPDATE flow SET parties = ? WHERE ref = ?", (json.dumps(parties), ref))
        books.execute("UPDATE flow SET state = ? WHERE ref = ?", (state, ref))
        flow = self._flow(books, ref)
        assert flow is not None
        if state == "SIGNED":
            evidence = "CZ" + hashlib.sha256(flow["no"].encode()).hexdigest()[:20].upper()
            mark = f"\n% signed evidence={evidence} parties={len(json.loads(flow['parties']))}\n".encode()
            books.execute("UPDATE flow SET evidence = ?, content = ? WHERE ref = ?", (evidence, bytes(flow["content"]) + mark, ref))
        shown = self._shown(self._flow(books, ref))
        count = books.execute("SELECT count(*) FROM notice").fetchone()[0]
        event = f"{flow['no']}-{count + 1}"
        books.execute("INSERT INTO notice VALUES (?, ?, ?, 0)", (event, ref, json.dumps({"event_no": event, "flow": shown}, ensure_ascii=False)))

    def _flow(self, books: sqlite3.Connection, ref: str) -> Any:
        return books.execute("SELECT * FROM flow WHERE ref = ?", (ref,)).fetchone()

    def _shown(self, flow: Any) -> dict[str, Any]:
        return {"flow_ref": flow["ref"], "flow_no": flow["no"], "state": flow["state"], "evidence_no": flow["evidence"], "reason": flow["reason"],
                "title": flow["title"], "done": [party["key"] for party in json.loads(flow["parties"]) if party.get("done")]}

    def _answer(self, path: str, status: int, content: Mapping[str, Any]) -> Answer:
        body = json.dumps(content, ensure_ascii=False).encode()
        return Answer(status, self._signed("ANSWER", path, body), body)

    def _signed(self, method: str, path: str, body: bytes) -> dict[str, str]:
        stamp, nonce = str(int(self._now())), secrets.token_hex(16)
        return {"X-Timestamp": stamp, "X-Nonce": nonce, "X-Signature": self._mac(stamp, nonce, method, path, body)}

    def _mac(self, stamp: str, nonce: str, method: str, path: str, body: bytes) -> str:
        return hmac.new(self.client_key().encode(), f"{stamp}\n{nonce}\n{method}\n{path}\n".encode() + body, "sha256").hexdigest()

    @contextmanager
    def _books(self) -> Iterator[sqlite3.Connection]:
        with closing(sqlite3.connect(self._file, timeout=10, isolation_level=None)) as books:
            books.row_factory = sqlite3.Row
            books.executescript(SCHEMA)
            books.execute("BEGIN IMMEDIATE")
            try:
                yield books
            except BaseException:
                books.execute("ROLLBACK")
                raise
            books.execute("COMMIT")
