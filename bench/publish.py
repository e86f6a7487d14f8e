"""Hot publish under load (decision 41): clients list, save and import on several gunicorn workers while revisions are published.

    python bench/publish.py [--workers 4] [--clients 20] [--seconds 20] [--database-url postgresql+psycopg://…]

Prints requests, failures, the time until each worker served each revision, and answers that mix two revisions (there must
be none: in one revision the list of the customer has the new column, the rule and the role's right, or none of them).
"""

from __future__ import annotations

import argparse
import base64
import json
import os
import re
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.request
from collections import Counter
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
PASSWORD = "correct-horse-7-battery"
ENTITY = "workshop.client"
# Three publishes, each with one thing more. `stage` is the revision's mark: column_1 comes with rule 1 and label 1.
COLUMN = """
overlay:
  - {add: entity/fields/wechat_no, value: {type: text, length: 40, label: {zh: 微信号, en: WeChat}}, after: name}
  - {set: entity/label/en, was: Client, value: Client stage one}
"""
RULE = COLUMN + """
  - {add: entity/rules/long_enough, value: {check: "wechat_no is not null", field: wechat_no, message: {zh: 微信号必填, en: WeChat is required}}}
"""
ROLE = RULE + """
  - {add: access/technician/actions/export}
"""
STAGES = (("column", COLUMN), ("required rule", RULE), ("role", ROLE))


@dataclass
class Result:
    """What the clients saw."""

    requests: int = 0
    kinds: Counter[str] = field(default_factory=Counter)
    failed: list[str] = field(default_factory=list)
    mixed: list[str] = field(default_factory=list)
    live: dict[str, float] = field(default_factory=dict)
    slowest: float = 0.0
    lock: threading.Lock = field(default_factory=threading.Lock)


class Installation:
    """A tenant of the workshop pack in a folder of its own, and the servers over it."""

    def __init__(self, home: Path, url: str | None, workers: int) -> None:
        self.home, self.workers, self.port = home, workers, _free_port()
        self.clients = home / "tenants"
        self.env = {**os.environ, "METALOOM_HOME": str(home / "var"), "METALOOM_TENANTS": str(self.clients), "METALOOM_METADATA": str(ROOT / "metadata"),
                    "METALOOM_MASTER_KEY": base64.b64encode(b"k" * 32).decode(), "METALOOM_SECRET_KEY": "0123456789abcdef" * 4}
        self.env.pop("METALOOM_REDIS_URL", None)
        self.env.pop("METALOOM_DATABASE_URL", None)
        if url:
            self.env["METALOOM_DATABASE_URL"] = url
        self._file("tenant.yaml", "tenant: {label: {zh: 负载, en: Load}, packs: [workshop]}\n")
        self._furnish()

    def _file(self, path: str, text: str) -> None:
        file = self.clients / "load" / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8")

    def _furnish(self) -> None:
        from metaloom import command
        from metaloom.app.login_tables import make_login_tables
        from metaloom.base.clock import SystemClock
        from metaloom.base.text import Text
        from metaloom.compile import tenant_sources
        from metaloom.plugin.registry import installed
        from metaloom.schema_change import publish
        from metaloom.storage import Settings, Tenancy

        self.registry = installed()
        self.tenancy = Tenancy(Settings.from_env(self.env), manifest=self.registry.manifest())
        self.tenant = self.tenancy.create("load", Text("负载", "Load"), after_create=(make_login_tables,))
        self.sources = lambda: tenant_sources(ROOT / "metadata", self.clients, "load")
        publish(self.tenant, self.sources())
        ctx = command.system_context(self.tenant, plugins=self.registry, clock=SystemClock())
        company = command.create_record(ctx, "platform.company", {"code": "C", "name": "C", "business_date": date(2026, 11, 20)}).id
        unit = command.create_record(ctx, "platform.org_unit", {"code": "D", "name": "D", "company": company}).id
        for name in ("reception", "technician"):
            user = command.save_user(ctx, None, {"username": name, "display_name": name, "email": f"{name}@example.cn", "company": company, "org_unit": unit},
                                     password=PASSWORD).id
            command.assign_role(ctx, user, f"workshop.{name}")

    def serve(self) -> subprocess.Popen[bytes]:
        return subprocess.Popen([sys.executable, "-m", "gunicorn", "--workers", str(self.workers), "--threads", "8", "--bind", f"127.0.0.1:{self.port}",
                                 "--log-level", "warning", "--timeout", "60", "metaloom.app.wsgi:application"], env=self.env, cwd=ROOT)

    def publish(self, text: str) -> None:
        from metaloom.schema_change import publish, with_site_layer

        self._file("workshop/service/client/own.yaml", text)
        publish(self.tenant, with_site_layer(self.tenant, self.sources()), reason="bench")

    def close(self) -> None:
        self.tenancy.drop("load")
        self.tenancy.close()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Client:
    """One person with a token; a new connection for each request, so that every worker is asked."""

    def __init__(self, port: int, name: str) -> None:
        self.root, self.token = f"http://127.0.0.1:{port}/load/api/v1", ""
        status, body = self.ask("POST", "/auth/login", {"username": name, "password": PASSWORD})
        if status != 200:
            raise RuntimeError(f"no login: {status} {body[:200]!r}")
        self.token = json.loads(body)["access_token"]

    def ask(self, method: str, path: str, body: Any = None, **headers: str) -> tuple[int, bytes]:
        head = {"Accept-Language": "en", "Content-Type": "application/json", **headers, **({"Authorization": f"Bearer {self.token}"} if self.token else {})}
        request = urllib.request.Request(self.root + path, None if body is None else json.dumps(body).encode(), head, method=method)
        try:
            with urllib.request.urlopen(request, timeout=30) as answer:
                return int(answer.status), answer.read()
        except urllib.error.HTTPError as error:
            return int(error.code), error.read()


def run(installation: Installation, clients: int, seconds: float) -> Result:
    """Start the servers, load them, publish three times meanwhile, stop."""
    server, result, stop = installation.serve(), Result(), threading.Event()
    try:
        _wait(installation.port)
        people = [Client(installation.port, "reception") for _ in range(clients)]
        watcher = Client(installation.port, "technician")
        crowd = [threading.Thread(target=_work, args=(person, number, result, stop), daemon=True) for number, person in enumerate(people)]
        for thread in crowd:
            thread.start()
        for name, text in STAGES:
            time.sleep(seconds / (len(STAGES) + 1))
            installation.publish(text)
            result.live[name] = _live_everywhere(watcher, people[0], name, installation.workers)
        time.sleep(seconds / (len(STAGES) + 1))
        stop.set()
        for thread in crowd:
            thread.join(60)
    finally:
        stop.set()
        server.terminate()
        server.wait(30)
    return result


def _wait(port: int) -> None:
    for _ in range(300):
        try:
            urllib.request.urlopen(f"http://127.0.0.1:{port}/healthz", timeout=2).close()
            return
        except OSError:
            time.sleep(0.2)
    raise RuntimeError("the server does not answer")


def _live_everywhere(watcher: Client, person: Client, stage: str, workers: int) -> float:
    """Seconds after publish until the last answer of the old revision: fresh connections, spread over the workers."""
    started, last_old, probes = time.monotonic(), 0.0, 0
    while time.monotonic() - started < 1.5 or probes < 4 * workers:
        asked = time.monotonic() - started
        probes += 1
        if not _new(watcher, person, stage):
            last_old = asked
    return last_old


def _new(watcher: Client, person: Client, stage: str) -> bool:
    if stage == "column":
        return b"wechat_no" in person.ask("GET", "/openapi.json")[1]
    if stage == "required rule":
        return person.ask("POST", f"/{ENTITY}", _client("probe"))[0] == 400
    return watcher.ask("GET", f"/{ENTITY}/export?format=csv")[0] == 200


def _client(tag: str, **more: Any) -> dict[str, Any]:
    return {"name": f"Client {tag}", "phone": "13800000000", **more}


def _work(person: Client, number: int, result: Result, stop: threading.Event) -> None:
    """List, save, import, read the interface description, over and over."""
    turn = 0
    while not stop.is_set():
        turn += 1
        kind = ("list", "save", "import", "describe")[(turn + number) % 4]
        started = time.monotonic()
        try:
            problem, mixed = _one(person, kind, f"{number}-{turn}")
        except (OSError, ValueError, KeyError) as error:
            problem, mixed = f"{kind}: {type(error).__name__} {error}", ""
        with result.lock:
            result.requests += 1
            result.kinds[kind] += 1
            result.slowest = max(result.slowest, time.monotonic() - started)
            result.failed += [problem] if problem else []
            result.mixed += [mixed] if mixed else []


def _one(person: Client, kind: str, tag: str) -> tuple[str, str]:
    """(why it failed or '', why it mixes two revisions or '')."""
    if kind == "list":
        status, body = person.ask("GET", f"/{ENTITY}?limit=20")
        keys = {"wechat_no" in item for item in json.loads(body)["items"]} if status == 200 else set()
        return ("" if status == 200 else f"list {status} {body[:120]!r}"), ("rows of two revisions in one list" if len(keys) > 1 else "")
    if kind == "save":
        return _saved(*person.ask("POST", f"/{ENTITY}", _client(tag)))
    if kind == "import":
        items = [_client(f"{tag}-{i}") for i in range(10)]
        status, body = person.ask("POST", f"/{ENTITY}/bulk", {"operation": "create", "items": items})
        outcomes = {outcome.get("status") for outcome in json.loads(body)["items"]} if status in (200, 207) else set()
        return ("" if status in (200, 207) and outcomes <= {200, 201, 400} else f"import {status} {outcomes} {body[:160]!r}"), (
            f"an import under two revisions: {outcomes}" if len(outcomes) > 1 else "")
    status, body = person.ask("GET", "/openapi.json")
    text = body.decode()
    column, label = '"wechat_no"' in text, "Client stage one" in text
    return ("" if status == 200 else f"describe {status}"), ("column and label of two revisions" if column is not label else "")


def _saved(status: int, body: bytes) -> tuple[str, str]:
    """A save is taken, or refused by the new rule in words: then the field must be known too."""
    if status == 201:
        return "", ""
    if status == 400 and b"WeChat is required" in body:
        return "", "" if b"wechat_no" in body else "a rule without its field"
    return f"save {status} {body[:160]!r}", ""


def report(result: Result, installation: Installation, seconds: float) -> str:
    """The figures, as printed."""
    live = ", ".join(f"{name} {value:.2f} s" for name, value in result.live.items())
    kinds = ", ".join(f"{name} {number}" for name, number in sorted(result.kinds.items()))
    problems = re.sub(r"\s+", " ", "; ".join(dict.fromkeys(result.failed + result.mixed)))[:600]
    return (f"{installation.tenant.dialect}, {installation.workers} gunicorn workers: {result.requests} requests in {seconds:.0f} s ({kinds}); "
            f"{len(result.failed)} failed, {len(result.mixed)} mixed two revisions; last answer of the old revision after publish: {live}; "
            f"slowest request {result.slowest:.2f} s" + (f"\n{problems}" if problems else ""))


def main() -> int:
    words = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    words.add_argument("--workers", type=int, default=4)
    words.add_argument("--clients", type=int, default=20)
    words.add_argument("--seconds", type=float, default=20)
    words.add_argument("--database-url")
    asked = words.parse_args()
    with tempfile.TemporaryDirectory() as home:
        installation = Installation(Path(home), asked.database_url, asked.workers)
        try:
            result = run(installation, asked.clients, asked.seconds)
        finally:
            installation.close()
    print(report(result, installation, asked.seconds))
    return 1 if result.failed or result.mixed or max(result.live.values(), default=9) > 1 else 0


if __name__ == "__main__":
    sys.exit(main())
