"""The whole house under load: web processes, workers, Redis and fifty clients, while processes are killed and revisions are published.

    python -m tests.storm.house [--minutes 10] [--clients 50] [--seed 1] [--database URL]

A lender is made and served as in production: gunicorn with two processes, two workers, a Redis of its own. The clients come by REST, each a person
with rights of their own: four tenths of what they do are receipts, with officers who draw on limits, managers who decide, finance that pays out, and
readers. Meanwhile a worker is killed twice a minute and a web process once, a revision is published each minute, and Redis is killed every two minutes
and comes back empty.

What moves money is repeated under its key until it has an answer. In the end nothing waits any more, and: every receipt that was accepted is booked
once and no other is; every payout that was accepted made one loan; the bank account has moved by exactly that; ``doctor --invariants`` finds nothing.
Ends with 1 when anything is otherwise, or when an answer was a 5xx other than 503, or more than one in a hundred was 503. Needs redis-server; without
``--database`` on SQLite.
"""

from __future__ import annotations

import argparse
import base64
import contextlib
import http.client
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import uuid
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal as D
from pathlib import Path
from random import Random
from typing import Any
from zoneinfo import ZoneInfo

import sqlalchemy as sa

from metaloom.app.demo import PASSWORD
from metaloom.app.login_tables import make_login_tables
from metaloom.compile import tenant_sources
from metaloom.plugin import registry
from metaloom.schema_change import publish, with_site_layer
from metaloom.storage import Settings, Tenancy
from tests.plugins.lender import ROOT, Lender
from tests.plugins.loan_payments import desk

NAME = "house"
LOANS, LIMITS = 10, 10
SMALL = D("1000.00")
GIVE_UP = 90.0
"""Seconds after which a request that moves money is no longer repeated."""
WEIGHTS = {"repay": 40, "draw": 10, "decide": 15, "pay": 15, "read": 20}


@dataclass
class Seen:
    """What the clients saw. ``repaid``: serial number → amount of what was accepted; ``paid``: drawdowns whose payout was accepted."""

    answers: Counter[tuple[str, int]] = field(default_factory=Counter)
    broken: Counter[str] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)
    unanswered: list[str] = field(default_factory=list)
    repaid: dict[str, D] = field(default_factory=dict)
    paid: set[int] = field(default_factory=set)
    waits: dict[str, list[float]] = field(default_factory=dict)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def answer(self, kind: str, status: int, body: bytes, seconds: float) -> None:
        with self.lock:
            self.answers[kind, status] += 1
            self.waits.setdefault(kind, []).append(seconds)
            if (status >= 500 and status != 503) or status in (400, 401, 403, 404, 422):
                self.wrong.append(f"{kind} {status} {body[:300].decode(errors='replace')}")


class House:
    """A lender, and the processes that serve it. ``url``: PostgreSQL, or None for SQLite."""

    def __init__(self, home: Path, url: str | None) -> None:
        self.home, self.clients = home, home / "tenants"
        self.port, self.redis_port = _free_port(), _free_port()
        self.env = {**os.environ, "METALOOM_HOME": str(home / "var"), "METALOOM_TENANTS": str(self.clients), "METALOOM_METADATA": str(ROOT / "metadata"),
                    "METALOOM_MASTER_KEY": base64.b64encode(b"k" * 32).decode(), "METALOOM_SECRET_KEY": "0123456789abcdef" * 4,
                    "METALOOM_REDIS_URL": f"redis://127.0.0.1:{self.redis_port}/0"}
        self.env.pop("METALOOM_DATABASE_URL", None)
        if url:
            self.env["METALOOM_DATABASE_URL"] = url
        self._file("tenant.yaml", "tenant: {label: {zh: 负载, en: Load}, packs: [lending, workshop]}\n")
        self.redis, self.web, self.workers = self._redis(), None, list[subprocess.Popen[bytes]]()
        self._furnish()

    def _file(self, path: str, text: str) -> None:
        file = self.clients / NAME / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8")

    def _furnish(self) -> None:
        plugins = registry.load()
        self.tenancy = Tenancy(Settings.from_env(self.env), manifest=plugins.manifest())
        self.tenant = self.tenancy.create(NAME, "负载", after_create=(make_login_tables,))
        publish(self.tenant, self.sources())
        self.shop = shop = Lender(self.tenant, plugins)
        shop.day(datetime.now(ZoneInfo("Asia/Shanghai")).date())
        desk.channel(shop, "MAIN")
        product = shop.product(limit_mode="revolving")
        self.loans = [shop.loan(product, amount=D(50000)) for _ in range(LOANS)]
        self.limits = [(limit, account) for _, account, limit in (shop.limit(product, amount=D(400000)) for _ in range(LIMITS))]
        shop.settle_outside()
        self.bank = shop.account("1002") + shop.account("1012")

    def sources(self) -> Any:
        return tenant_sources(ROOT / "metadata", self.clients, NAME)

    def publish(self, number: int) -> None:
        self._file("workshop/service/client/own.yaml", f"overlay:\n  - {{set: entity/label/en, was: Client, value: Client {number}}}\n")
        publish(self.tenant, with_site_layer(self.tenant, self.sources()), reason="storm")

    # -- processes

    def _redis(self) -> subprocess.Popen[bytes]:
        return subprocess.Popen(["redis-server", "--port", str(self.redis_port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"],
                                stdout=subprocess.DEVNULL, cwd=self.home)

    def _worker(self) -> subprocess.Popen[bytes]:
        return subprocess.Popen([sys.executable, "-m", "metaloom", "worker"], env=self.env, cwd=ROOT, stdout=subprocess.DEVNULL)

    def open(self) -> None:
        self.web = subprocess.Popen([sys.executable, "-m", "gunicorn", "--workers", "2", "--threads", "8", "--bind", f"127.0.0.1:{self.port}",
                                     "--log-level", "critical", "--timeout", "60", "metaloom.app.wsgi:application"], env=self.env, cwd=ROOT)
        self.workers = [self._worker() for _ in range(2)]
        for _ in range(300):
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port), 1):
                return
            time.sleep(0.2)
        raise RuntimeError("the server does not answer")

    def kill_worker(self, number: int) -> None:
        self.workers[number].kill()
        self.workers[number].wait()
        self.workers[number] = self._worker()

    def kill_web_process(self, dice: Random) -> None:
        assert self.web is not None
        children = Path(f"/proc/{self.web.pid}/task/{self.web.pid}/children").read_text().split()
        if children:
            with contextlib.suppress(ProcessLookupError):
                os.kill(int(dice.choice(children)), signal.SIGKILL)

    def kill_redis(self) -> None:
        self.redis.kill()
        self.redis.wait()
        time.sleep(3)
        self.redis = self._redis()

    def close(self) -> None:
        for ones in ([self.web] if self.web else [], self.workers, [self.redis]):    # who uses something ends before it does
            for one in ones:
                one.terminate()
            for one in ones:
                try:
                    one.wait(30)
                except subprocess.TimeoutExpired:
                    one.kill()

    def drop(self) -> None:
        self.tenancy.drop(NAME)
        self.tenancy.close()

    # -- the end

    def settle(self, seconds: float = 180) -> int:
        """Waits until the workers have nothing to do; how much is left."""
        table, until, left = self.tenant.revision().tables.engine.outbox, time.monotonic() + seconds, 0
        while time.monotonic() < until:
            with self.tenant.read() as conn:
                left = conn.scalar(sa.select(sa.func.count()).where(table.c.state.in_(("pending", "running")), table.c.kind == "call"))
            if not left:
                return 0
            time.sleep(1)
        return int(left)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Client:
    """A person's token; one connection, opened again when it was lost."""

    def __init__(self, port: int, seen: Seen, token: str = "") -> None:
        self.port, self.seen, self.token, self._line = port, seen, token, None

    def login(self, name: str) -> str:
        status, body, _ = self.ask("login", "POST", "/auth/login", {"username": name, "password": PASSWORD})
        if status != 200:
            raise RuntimeError(f"no login for {name}: {status} {body[:200]!r}")
        self.token = json.loads(body)["access_token"]
        return self.token

    def ask(self, kind: str, method: str, path: str, body: Any = None, **headers: str) -> tuple[int, bytes, str]:
        """(status, body, ETag); OSError where no answer came."""
        head = {"Accept-Language": "en", "Content-Type": "application/json", **{name.replace("_", "-"): value for name, value in headers.items()}}
        if self.token:
            head["Authorization"] = f"Bearer {self.token}"
        begun = time.monotonic()
        if self._line is None:
            self._line = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        try:
            self._line.request(method, f"/{NAME}/api/v1{path}", None if body is None else json.dumps(body).encode(), head)
            answer = self._line.getresponse()
            said = answer.read()
        except (OSError, http.client.HTTPException) as error:
            self._line.close()
            self._line = None
            with self.seen.lock:
                self.seen.broken[kind] += 1
            raise OSError(str(error)) from error
        self.seen.answer(kind, answer.status, said, time.monotonic() - begun)
        return answer.status, said, answer.headers.get("ETag", "")

    def surely(self, kind: str, path: str, given: Any, etag: str, key: str) -> tuple[int, bytes]:
        """An action that moves money, repeated under its key until it has an answer that is one."""
        until = time.monotonic() + GIVE_UP
        while time.monotonic() < until:
            try:
                status, body, _ = self.ask(kind, "POST", path, {"input": given}, If_Match=etag, Idempotency_Key=key)
            except OSError:
                time.sleep(0.2)
                continue
            if status == 503 or (status == 409 and b'"audit.in_progress"' in body):     # the first try is still at it
                time.sleep(0.2)
                continue
            return status, body
        with self.seen.lock:
            self.seen.unanswered.append(f"{kind} {path} {key}")
        return 0, b""

    def items(self, kind: str, path: str) -> list[dict[str, Any]]:
        status, body, _ = self.ask(kind, "GET", path)
        return json.loads(body)["items"] if status == 200 else []


class Crowd:
    """What the clients do."""

    def __init__(self, house: House, seen: Seen, seed: int) -> None:
        self.house, self.seen, self.seed = house, seen, seed
        first = Client(house.port, seen)
        self.tokens = {who: first.login(who) for who in ("officer", "manager", "finance", "service")}
        self.stop = threading.Event()

    def person(self, number: int) -> None:
        dice = Random(f"{self.seed} {number}")
        lines = {who: Client(self.house.port, self.seen, token) for who, token in self.tokens.items()}
        kinds: dict[str, Callable[[dict[str, Client], Random], None]] = {
            "repay": self.repay, "draw": self.draw, "decide": self.decide, "pay": self.pay, "read": self.read}
        while not self.stop.is_set():
            kind = dice.choices(list(WEIGHTS), list(WEIGHTS.values()))[0]
            try:
                kinds[kind](lines, dice)
            except OSError:
                time.sleep(0.1)
            except (KeyError, ValueError) as error:
                with self.seen.lock:
                    self.seen.wrong.append(f"{kind}: {type(error).__name__} {error}")

    def repay(self, lines: dict[str, Client], dice: Random) -> None:
        """A receipt of its own serial number; a version that moved on is read again."""
        line, loan = lines["finance"], dice.choice(self.house.loans)
        amount, serial = D(dice.randint(100, 9999)) / 100, uuid.UUID(int=dice.getrandbits(128)).hex
        status, _, etag = line.ask("look", "GET", f"/lending.loan/{loan}")
        if status != 200:
            return
        given = {"kind": "due", "amount": f"{amount:.2f}", "value_date": str(self.house.shop.stage.today), "source": "transfer", "bank_serial_no": serial}
        status, body = line.surely("repay", f"/lending.loan/{loan}/repay", given, etag, serial)
        if status == 200:
            with self.seen.lock:
                self.seen.repaid[serial] = amount
        elif status not in (0, 412):
            with self.seen.lock:
                self.seen.wrong.append(f"repay {status} {body[:200]!r}")

    def draw(self, lines: dict[str, Client], dice: Random) -> None:
        line, (limit, account) = lines["officer"], dice.choice(self.house.limits)
        given = {"limit": limit, "amount": str(SMALL), "term_months": 6, "repay_method": "EQUAL_INSTALMENT", "payout_account": account,
                 "purpose": "working_capital"}
        status, body, etag = line.ask("draw", "POST", "/lending.drawdown", given, Idempotency_Key=uuid.UUID(int=dice.getrandbits(128)).hex)
        if status == 201:
            made = json.loads(body)["id"]
            line.ask("submit", "POST", f"/lending.drawdown/{made}/submit", {"input": {}}, If_Match=etag)

    def decide(self, lines: dict[str, Client], dice: Random) -> None:
        waiting = lines["manager"].items("tasks", "/task?box=todo&limit=20")
        if waiting:
            task = dice.choice(waiting)
            status, body, _ = lines["manager"].ask("look", "GET", f"/case/{task['case']['id']}")
            if status == 200:
                lines["manager"].ask("decide", "POST", f"/task/{task['id']}/decide", {
                    "decision": "pass", "opinion": "同意", "record_version": json.loads(body)["record_version"]})

    def pay(self, lines: dict[str, Client], dice: Random) -> None:
        line = lines["finance"]
        ready = line.items("to pay", "/lending.drawdown?status=approved&limit=20&fields=id,status")
        if ready:
            one = dice.choice(ready)["id"]
            status, _, etag = line.ask("look", "GET", f"/lending.drawdown/{one}")
            if status == 200 and line.surely("pay", f"/lending.drawdown/{one}/payout", {}, etag, uuid.UUID(int=dice.getrandbits(128)).hex)[0] == 200:
                with self.seen.lock:
                    self.seen.paid.add(one)

    def read(self, lines: dict[str, Client], dice: Random) -> None:
        path = dice.choice(("/lending.loan?limit=20", f"/lending.loan/{dice.choice(self.house.loans)}", "/lending.instalment?limit=100",
                            "/lending.drawdown?limit=20", "/lending.repayment?limit=50&sort=-id"))
        lines["service" if "repayment" not in path else "finance"].ask("read", "GET", path)


def trouble(house: House, seed: int, stop: threading.Event, did: Counter[str]) -> None:
    """A worker dies every half minute, a web process and a revision each minute, Redis every other minute."""
    dice, half = Random(f"{seed} trouble"), 0
    while not stop.wait(15 if half == 0 else 30):
        half += 1
        house.kill_worker(dice.randrange(2))
        did["workers killed"] += 1
        if half % 2:
            house.publish(half)
            did["revisions published"] += 1
        else:
            house.kill_web_process(dice)
            did["web processes killed"] += 1
        if half % 4 == 3:
            house.kill_redis()
            did["Redis killed"] += 1


def held(house: House, seen: Seen) -> Iterator[str]:
    """What is not as it must be in the end."""
    shop = house.shop
    if left := house.settle():
        yield f"{left} calls still wait"
    booked = {row["bank_serial_no"]: row for row in shop.rows("repayment") if row["bank_serial_no"]}
    for serial in seen.repaid.keys() - booked.keys():
        yield f"receipt {serial} was accepted and is lost"
    unsure = {line.split()[-1] for line in seen.unanswered}
    for serial in booked.keys() - seen.repaid.keys() - unsure:
        yield f"receipt {serial} is booked and was refused"
    for serial, amount in seen.repaid.items():
        if serial in booked and booked[serial]["amount"] != amount:
            yield f"receipt {serial}: {booked[serial]['amount']} instead of {amount}"
    paid = {one for one in seen.paid if shop.row("drawdown", one)["loan_id"] is not None}
    if seen.paid - paid:
        yield f"payouts accepted that made no loan: {sorted(seen.paid - paid)[:5]}"
    loans = [row["drawdown_id"] for row in shop.rows("loan")]
    if len(loans) != len(set(loans)):
        yield "a drawdown made two loans"
    came = sum((row["amount"] for row in booked.values()), D(0))
    went = SMALL * sum(1 for row in shop.rows("drawdown", amount=SMALL) if row["loan_id"] is not None)
    moved = shop.account("1002") + shop.account("1012") - house.bank
    if moved != came - went:
        yield f"the bank accounts moved by {moved} instead of {came - went}"
    told = subprocess.run([sys.executable, "-m", "metaloom", "doctor", "--invariants", "--tenant", NAME], env=house.env, cwd=ROOT,
                          capture_output=True, text=True, check=False)
    if told.returncode:
        yield f"doctor: {told.stdout[-2000:]}{told.stderr[-500:]}"


def run(house: House, minutes: float, clients: int, seed: int) -> list[str]:
    """Serves, loads, troubles, and tells what is wrong; prints the table."""
    seen, did = Seen(), Counter[str]()
    house.open()
    try:
        crowd = Crowd(house, seen, seed)
        people = [threading.Thread(target=crowd.person, args=(number,), daemon=True) for number in range(clients)]
        other = threading.Thread(target=trouble, args=(house, seed, crowd.stop, did), daemon=True)
        begun = time.monotonic()
        for one in (*people, other):
            one.start()
        time.sleep(minutes * 60)
        crowd.stop.set()
        for one in (*people, other):
            one.join(GIVE_UP + 60)
        seconds = time.monotonic() - begun
        wrong = [*seen.wrong, *(f"no answer: {one}" for one in seen.unanswered), *held(house, seen)]
    finally:
        house.close()
    total, busy = sum(seen.answers.values()), sum(count for (_, status), count in seen.answers.items() if status == 503)
    if busy > total / 100:
        wrong.append(f"{busy} of {total} answers were 503")
    print(f"{house.tenant.dialect}: {clients} clients, {seconds:.0f} s, {total} answers, {busy} of them 503, {sum(seen.broken.values())} broken connections; "
          f"{', '.join(f'{count} {name}' for name, count in sorted(did.items()))}")
    for kind in sorted(seen.waits):
        waits = sorted(seen.waits[kind])
        said = ", ".join(f"{status}: {count}" for (name, status), count in sorted(seen.answers.items()) if name == kind)
        print(f"  {kind:8} median {waits[len(waits) // 2] * 1000:6.0f} ms, p95 {waits[len(waits) * 95 // 100] * 1000:6.0f} ms   {said}")
    accepted = len(seen.repaid) + len(seen.paid)
    print(f"  {len(seen.repaid)} receipts and {len(seen.paid)} payouts accepted, {accepted / seconds:.1f} a second; {len(wrong)} things wrong")
    for line in wrong[:20]:
        print("   ", line)
    return wrong


def main() -> int:
    words = argparse.ArgumentParser(prog="python -m tests.storm.house", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    words.add_argument("--minutes", type=float, default=10)
    words.add_argument("--clients", type=int, default=50)
    words.add_argument("--seed", type=int, default=1)
    words.add_argument("--database")
    asked = words.parse_args()
    if shutil.which("redis-server") is None:
        raise SystemExit("redis-server is not installed")
    with tempfile.TemporaryDirectory() as home:
        house = House(Path(home), asked.database)
        try:
            return 1 if run(house, asked.minutes, asked.clients, asked.seed) else 0
        finally:
            house.drop()


if __name__ == "__main__":
    sys.exit(main())
