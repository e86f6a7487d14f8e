"""The signing service as a server of its own, for tests and for trying an installation: it answers requests and sends notices."""

from __future__ import annotations

import http.client
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import urlsplit

from .simulator import Answer, Signatures, Silence


@contextmanager
def serving(service: Signatures, port: int = 0) -> Iterator[Server]:
    """The server while it runs, on this machine only."""
    server = Server(service, port)
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()


class Server(ThreadingHTTPServer):
    """``faults`` are used up one per request: ``silent`` (after the work is done), ``503``, ``html``, ``forged``, ``other``, ``odd``."""

    daemon_threads = True

    def __init__(self, service: Signatures, port: int) -> None:
        super().__init__(("127.0.0.1", port), Handler)
        self.service, self.faults = service, list[str]()

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    def notify(self, url: str) -> list[int]:
        """Sends what nobody took yet; the statuses that came back. What was answered with 200 does not come again."""
        found = []
        parts = urlsplit(url)
        for headers, body in self.service.notices():
            connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=10)
            connection.request("POST", parts.path, body=body, headers={"Content-Type": "application/json", **headers})
            found.append(connection.getresponse().status)
            connection.close()
            if found[-1] == 200:
                self.service.taken(body)
        return found

    def handle_error(self, *args: Any) -> None:
        """A client that hung up is no news."""


class Handler(BaseHTTPRequestHandler):
    server: Server

    def log_message(self, *args: Any) -> None:
        """Silent."""

    def do_GET(self) -> None:
        self._serve(b"")

    def do_POST(self) -> None:
        self._serve(self.rfile.read(int(self.headers.get("Content-Length") or 0)))

    def _serve(self, body: bytes) -> None:
        fault = self.server.faults.pop(0) if self.server.faults else ""
        if fault == "503":
            return self._say(Answer(503, {}, b"<html>busy</html>"))
        try:
            answer = self.server.service.handle(self.command, self.path, dict(self.headers.items()), body)
        except Silence:
            self.close_connection = True
            return None
        if fault == "silent":
            self.close_connection = True
            return None
        return self._say(self._spoiled(fault, answer))

    def _spoiled(self, fault: str, answer: Answer) -> Answer:
        service = self.server.service
        if fault == "html":
            return Answer(200, answer.headers, b"<html>login</html>")
        if fault == "forged":
            return Answer(answer.status, answer.headers, answer.body.replace(b"SIGNING", b"SIGNED"))
        if fault in ("other", "odd"):
            said = {**json.loads(answer.body), **({"flow_ref": "HT-other"} if fault == "other" else {"state": "PERHAPS"})}
            return service._answer(self.path, answer.status, said)
        return answer

    def _say(self, answer: Answer) -> None:
        self.send_response(answer.status)
        for name, value in answer.headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(answer.body)))
        self.end_headers()
        self.wfile.write(answer.body)
