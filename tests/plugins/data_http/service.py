"""A data service for tests: the other side of the wire, on this machine, with code of its own and faults on demand.

It checks app, time, nonce and signature of every question, answers each request number once (a repetition gets the same answer
and costs nothing), and signs. ``faults`` are used up one per question, in order.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import threading
import time
from base64 import b64decode, b64encode
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa

APP, KEY = "A100", "shared-key-of-the-test-service"
DATA = {
    "bureau": {"report_no": "R1", "report_date": "2025-01-14", "score": 642, "accounts": 5, "open_accounts": 2, "credit_total": "86000.00",
               "balance": "41200.50", "overdue_accounts": 1, "overdue_amount": "0.00", "overdue_months_max": 1, "queries_1m": 2, "secret_extra": "x"},
    "blacklist": {"level": "high", "reason": "失信被执行人", "listed_on": "2024-03-01"},
    "social_security": {"months": 38, "base": "8200.00", "employer": "某机械厂", "paying": "yes"},
    "carrier": {"result": "match", "online_months": 61, "state": "normal"},
    "kyc3": {"result": "match"}, "kyc4": {"result": "mismatch"}, "face": {"result": "match", "score": "98.20"},
}


class Service:
    """What the service knows and did. ``public_pem`` is its key for RSA; ``client_pem`` the client's."""

    def __init__(self) -> None:
        self.faults: list[str] = []
        self.nobody: set[str] = set()
        self.charged: list[str] = []
        self.asked: list[dict[str, Any]] = []
        self.nonces: set[str] = set()
        self.now = 0.0
        self.rsa = False
        self._answers: dict[str, bytes] = {}
        self._own = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        self._client = rsa.generate_private_key(public_exponent=65537, key_size=2048)

    @property
    def public_pem(self) -> str:
        return self._own.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo).decode()

    @property
    def client_pem(self) -> str:
        return self._client.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()).decode()

    def genuine(self, path: str, headers: Any, body: bytes) -> bool:
        stamp, nonce = headers["X-Timestamp"], headers["X-Nonce"]
        if headers["X-App-Id"] != APP or abs(float(stamp) - self.now) > 300 or nonce in self.nonces:
            return False
        self.nonces.add(nonce)
        text = b"\n".join((b"POST", path.encode(), stamp.encode(), nonce.encode(), hashlib.sha256(body).hexdigest().encode()))
        if not self.rsa:
            return hmac.compare_digest(hmac.new(KEY.encode(), text, "sha256").hexdigest(), headers["X-Signature"])
        try:
            self._client.public_key().verify(b64decode(headers["X-Signature"]), text, padding.PKCS1v15(), hashes.SHA256())
        except InvalidSignature:
            return False
        return True

    def signature(self, path: str, headers: Any, answer: bytes) -> str:
        text = "\n".join(("ANSWER", path, headers["X-Timestamp"], headers["X-Nonce"], hashlib.sha256(answer).hexdigest())).encode()
        if self.rsa:
            return b64encode(self._own.sign(text, padding.PKCS1v15(), hashes.SHA256())).decode()
        return hmac.new(KEY.encode(), text, "sha256").hexdigest()

    def answer(self, kind: str, question: dict[str, Any]) -> bytes:
        number, id_no = question["request_no"], question["subject"]["id_no"]
        if number not in self._answers:
            self.charged.append(number)
            found = {"code": "0001"} if id_no in self.nobody else {"code": "0000", "data": DATA[kind]}
            self._answers[number] = json.dumps({**found, "request_no": number, "order_no": f"O{len(self.charged)}",
                                                "subject_digest": hashlib.sha256(id_no.encode()).hexdigest()}, ensure_ascii=False).encode()
        return self._answers[number]


@contextmanager
def running() -> Iterator[tuple[Service, str]]:
    """(the service, its address)."""
    service = Service()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *args: Any) -> None:
            pass

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            question = json.loads(body)
            service.asked.append(question)
            fault = service.faults.pop(0) if service.faults else ""
            if not service.genuine(self.path, self.headers, body):
                self.say(401, b'{"code": "1001"}')
                return
            if fault == "silent":
                time.sleep(0.6)
                return
            if fault.isdecimal():
                self.say(int(fault), b"<html>bad gateway</html>")
                return
            answer = service.answer(self.path.rsplit("/", 1)[1], question)
            self.faulty(fault, answer)

        def faulty(self, fault: str, answer: bytes) -> None:
            said = json.loads(answer)
            if fault == "lost":  # done and charged over there, but nobody hears of it
                self.close_connection = True
                return
            changed = {"html": b"<html>login</html>", "quota": b'{"code": "2001", "request_no": "%s"}' % said["request_no"].encode(),
                       "huge": b'"' + b"x" * 3_000_000 + b'"', "list": b"[]", "twice": answer[:-1] + b', "code": "0001"}',
                       "nan": answer.replace(b'642', b'NaN'), "float": answer.replace(b'"41200.50"', b'41200.5'),
                       "negative": answer.replace(b'"41200.50"', b'"-1.00"'), "other_person": json.dumps({**said, "subject_digest": "0" * 64}).encode(),
                       "other_request": json.dumps({**said, "request_no": "CX-other"}).encode(), "no_data": json.dumps({**said, "data": None}).encode(),
                       "no_result": json.dumps({**said, "data": {}}).encode()}.get(fault, answer)
            signature = service.signature(self.path, self.headers, changed)
            if fault == "tampered":
                changed = changed.replace(b"642", b"842")
            if fault == "unsigned":
                signature = ""
            if fault == "old_answer":
                signature = service.signature(self.path, {**dict(self.headers), "X-Nonce": "0" * 32}, changed)
            if fault == "drip":
                self.head(200, len(changed), signature)
                for byte in changed:
                    self.wfile.write(bytes([byte]))
                    self.wfile.flush()
                    time.sleep(0.05)
                return
            if fault == "cut":
                self.head(200, len(changed), signature)
                self.wfile.write(changed[: len(changed) // 2])
                self.close_connection = True
                return
            self.say(200, changed, signature)

        def say(self, status: int, body: bytes, signature: str = "") -> None:
            self.head(status, len(body), signature)
            self.wfile.write(body)

        def head(self, status: int, length: int, signature: str) -> None:
            self.send_response(status)
            self.send_header("Content-Length", str(length))
            self.send_header("X-Signature", signature)
            self.end_headers()

    class Server(ThreadingHTTPServer):
        daemon_threads = True

        def handle_error(self, *args: Any) -> None:  # a client that hung up
            pass

    server = Server(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
    try:
        yield service, f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()
