"""The simulator over HTTP, for adapters that want a real line, and a few words for the shell.

python -m metaloom_plugins.gateway_sandbox.server serve  FILE [--port 8190] [--hang 5]
python -m metaloom_plugins.gateway_sandbox.server inject FILE timeout_after_accept [--times 1] [--order NO]
python -m metaloom_plugins.gateway_sandbox.server show   FILE [--day 2026-01-31]
python -m metaloom_plugins.gateway_sandbox.server settle FILE
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Sequence
from datetime import date
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from .simulator import FAULTS, GatewaySimulator, NoAnswer

BODY_MAX = 64 * 1024


class GatewayServer(ThreadingHTTPServer):
    """Listens on 127.0.0.1. `hang_seconds` is how long a time-out keeps the line open before it is cut."""

    daemon_threads = True

    def __init__(self, gateway: GatewaySimulator, port: int = 0, hang_seconds: float = 0) -> None:
        super().__init__(("127.0.0.1", port), _Handler)
        self.gateway, self.hang_seconds = gateway, hang_seconds

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class _Handler(BaseHTTPRequestHandler):
    server: GatewayServer
    timeout = 30

    def do_GET(self) -> None:
        self._answer(b"")

    def do_POST(self) -> None:
        size = self.headers.get("Content-Length", "")
        if not size.isdecimal() or int(size) > BODY_MAX:
            self.send_error(413)
            return
        self._answer(self.rfile.read(int(size)))

    def _answer(self, body: bytes) -> None:
        try:
            answer = self.server.gateway.handle(self.command, self.path, dict(self.headers.items()), body)
        except NoAnswer:
            time.sleep(self.server.hang_seconds)
            self.close_connection = True
            return
        self.send_response(answer.status)
        for name, value in answer.headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(answer.body)))
        self.end_headers()
        self.wfile.write(answer.body)

    def log_message(self, format: str, *args: object) -> None:
        """Silent: the calls are in the simulator's own table."""


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description="A payment gateway to practise with.")
    words = parser.add_subparsers(dest="word", required=True)
    serve, inject, show, settle = (words.add_parser(word) for word in ("serve", "inject", "show", "settle"))
    for word in (serve, inject, show, settle):
        word.add_argument("file", type=Path)
    serve.add_argument("--port", type=int, default=8190)
    serve.add_argument("--hang", type=float, default=5)
    inject.add_argument("fault", choices=sorted(FAULTS))
    inject.add_argument("--times", type=int, default=1)
    inject.add_argument("--order")
    show.add_argument("--day", type=date.fromisoformat, default=None)
    given = parser.parse_args(arguments)
    gateway = GatewaySimulator(given.file)
    if given.word == "serve":
        _serve(GatewayServer(gateway, given.port, given.hang))
    elif given.word == "inject":
        gateway.inject(given.fault, times=given.times, order_no=given.order)
    elif given.word == "settle":
        gateway.settle_all()
    else:
        _show(gateway, given.day)


def _serve(server: GatewayServer) -> None:
    print(f"gateway on {server.url}, merchant key {server.gateway.merchant_key()}", flush=True)
    try:
        server.serve_forever()
    except KeyboardInterrupt:
        server.server_close()


def _show(gateway: GatewaySimulator, day: date | None) -> None:
    lines = gateway.statement(day or gateway.today())
    print(json.dumps({"balances": gateway.balances(), "lines": lines}, ensure_ascii=False, indent=1))


if __name__ == "__main__":
    main()
