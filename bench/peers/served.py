# ruff: noqa: E501 (tables read better in long lines)
"""The pages of ``run.py`` over HTTP: bare Flask with one statement and ours, each served by gunicorn with two processes, as in production.

    .venv/bin/python bench/peers/served.py [--rows 1000000] [--rounds 200] [--database URL] [--clients 8]

Needs PostgreSQL; shares its database with list_detail.py (made once, kept). One client keeps its connection open and asks bare and ours in alternation
and random order; then as many clients as asked for ask each of them for the first list at once, in turns of some seconds. Milliseconds are what the client waits; CPU is that of
the two processes which serve, without the database. Ours checks login, rights, scope, masks and versions, and sends the whole screen; bare checks
nothing, and sends a table.
"""

from __future__ import annotations

import argparse
import http.client
import os
import random
import statistics
import subprocess
import sys
import threading
import time
from collections import defaultdict
from pathlib import Path
from typing import Any
from urllib.parse import quote

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent)]
import http_pages  # noqa: E402
import list_detail as data  # noqa: E402
import sqlalchemy as sa  # noqa: E402
from gunicorn.app.base import BaseApplication  # noqa: E402
from run import addresses, bare_application  # noqa: E402

from metaloom.base import heap  # noqa: E402

MARKER = "page by marker, half way"
SCENARIOS = ("list, first page", "filter status, sort late days", "client by part of a name", MARKER, "detail", "REST list of 100")
PORTS = {"bare": 8471, "ours": 8472}
PROCESSES, THREADS, WARM = 2, 4, 20
TURNS, TURN_SECONDS, WARM_SECONDS = 7, 4.0, 2.0


class Server(BaseApplication):  # type: ignore[misc]
    """One contender; every process opens the tenant for itself."""

    def __init__(self, name: str, given: argparse.Namespace) -> None:
        self.name, self.given = name, given
        super().__init__()

    def load_config(self) -> None:
        for key, value in (("bind", f"127.0.0.1:{PORTS[self.name]}"), ("workers", PROCESSES), ("threads", THREADS), ("worker_class", "gthread"), ("keepalive", 60),
                           ("loglevel", "warning")):
            self.cfg.set(key, value)

    def load(self) -> Any:
        tenancy, tenant = data.open_made(self.given.database)
        tenant.revision()
        app = bare_application(http_pages.Bare(tenant)) if self.name == "bare" else http_pages.create_app(tenancy.settings, tenancy=tenancy)
        heap.settle()
        return app


class Client:
    """One connection to a contender, kept open."""

    def __init__(self, name: str, cookie: str) -> None:
        self.base = "" if name == "bare" else f"/{data.TENANT}"
        self.headers = {"Host": "127.0.0.1"} if name == "bare" else {"Host": "127.0.0.1", "Cookie": cookie, "Accept-Encoding": "gzip"}
        self.conn = http.client.HTTPConnection("127.0.0.1", PORTS[name], timeout=60)

    def ask(self, address: str) -> tuple[float, int]:
        """Milliseconds, bytes."""
        path = quote(self.base + address, safe="/?&=.-")
        began = time.perf_counter()
        self.conn.request("GET", path, headers=self.headers)
        answer = self.conn.getresponse()
        body = answer.read()
        took = (time.perf_counter() - began) * 1000
        if answer.status != 200:
            raise SystemExit(f"{answer.status} for {path}: {body[:300]!r}")
        return took, len(body)


def main() -> None:
    words = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    words.add_argument("--rows", type=int, default=1_000_000)
    words.add_argument("--rounds", type=int, default=200)
    words.add_argument("--clients", type=int, default=8)
    words.add_argument("--database", default=data.SERVER)
    words.add_argument("--serve", choices=sorted(PORTS), help=argparse.SUPPRESS)
    given = words.parse_args()
    if given.serve:
        heap.calm()          # both, as ``metaloom.app.preloaded`` does
        Server(given.serve, given).run()
        return
    tenancy, tenant = data.open_tenant(given.database, given.rows, fresh=False)
    with tenant.read() as conn:
        ids = list(conn.scalars(sa.text("SELECT id FROM bench__ticket WHERE owner_id = 1 AND status = 'open' LIMIT 200")))
    deep = {"ours": f"/e/bench.ticket/?cursor={data.Bench(tenant, given.rows).cursor()}", "bare": f"/after/{given.rows // 2}"}
    ours = http_pages.Ours(tenancy, tenant)
    cookie = f"ml_session={ours.clients['own + office'].get_cookie('ml_session', path=f'/{data.TENANT}').value}"
    serving = {name: subprocess.Popen([sys.executable, __file__, "--serve", name, "--rows", str(given.rows), "--database", given.database]) for name in PORTS}
    try:
        for name in PORTS:
            _wait(name)
        print(f"{given.rows:,} rows; load {os.getloadavg()[0]:.1f}; {given.rounds} rounds; {PROCESSES} processes each; ours with row scope\n")
        print("| | bare: ms (p95), CPU ms, bytes | ours: ms (p95), CPU ms, bytes | × wall | × CPU |\n|---|---|---|---|---|")
        for scenario in SCENARIOS:
            _measure(scenario, serving, cookie, ids, given.rounds, deep if scenario == MARKER else None)
        _crowd(cookie, given)
    finally:
        for one in serving.values():
            one.terminate()
            one.wait(30)
        tenancy.close()


def _wait(name: str) -> None:
    for _ in range(600):
        try:
            http.client.HTTPConnection("127.0.0.1", PORTS[name], timeout=60).request("HEAD", "/")
            return
        except OSError:
            time.sleep(0.1)
    raise SystemExit(f"{name} does not answer")


def _measure(scenario: str, serving: dict[str, Any], cookie: str, ids: list[int], rounds: int, fixed: dict[str, str] | None) -> None:
    """Both in alternation and random order; the first rounds warm the caches of both processes and do not count."""
    dice, walls, cpus = random.Random(3), defaultdict[str, list[float]](list), defaultdict[str, list[float]](list)
    sizes: dict[str, int] = {}
    clients = {name: [Client(name, cookie) for _ in range(PROCESSES)] for name in PORTS}
    for n in range(rounds + WARM):
        for name in dice.sample(sorted(PORTS), len(PORTS)):
            address = fixed[name] if fixed else _asked(name, scenario, ids[n % len(ids)])
            before = _cpu(serving[name].pid)
            took, sizes[name] = clients[name][n % PROCESSES].ask(address)
            if n >= WARM:
                walls[name].append(took)
                cpus[name].append(_cpu(serving[name].pid) - before)
    middle = {name: (statistics.median(walls[name]), statistics.mean(cpus[name])) for name in PORTS}
    cells = [f"{middle[name][0]:.1f} ({data.p95(walls[name]):.1f}), {middle[name][1]:.1f}, {sizes[name]:,}" for name in PORTS]
    ratios = [middle["ours"][place] / middle["bare"][place] for place in (0, 1)]
    print(f"| {scenario} | {' | '.join(cells)} | {ratios[0]:.2f} | {ratios[1]:.2f} |", flush=True)


def _cpu(pid: int) -> float:
    """Milliseconds of CPU that the children of a process have used."""
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return sum(int(Path(task).read_text().split()[0]) for child in children for task in _tasks(child)) / 1e6


def _tasks(child: str) -> list[str]:
    return [str(task / "schedstat") for task in Path(f"/proc/{child}/task").iterdir()]


def _crowd(cookie: str, given: argparse.Namespace) -> None:
    """As many clients as asked for, each on a connection of its own, ask for the first list as fast as it comes: each in turns with the other. Which process
    gets which connection is chance, so every turn makes its own."""
    turns = [{name: _turn(name, cookie, given.clients) for name in PORTS} for _ in range(TURNS)]
    for name in PORTS:
        rates, times = [turn[name][0] for turn in turns], [took for turn in turns for took in turn[name][1]]
        print(f"{given.clients} at once, first list, {name}: {statistics.median(rates):,.0f} a second ({min(rates):,.0f} to {max(rates):,.0f}), "
              f"median {statistics.median(times):.1f} ms, p95 {data.p95(times):.1f} ms", flush=True)
    ratios = sorted(turn["ours"][0] / turn["bare"][0] for turn in turns)
    print(f"ours over bare: {statistics.median(ratios):.2f} ({ratios[0]:.2f} to {ratios[-1]:.2f}); {TURNS} turns of {TURN_SECONDS:.0f} s, load {os.getloadavg()[0]:.1f}")


def _turn(name: str, cookie: str, many: int) -> tuple[float, list[float]]:
    """(requests a second, milliseconds of each); what is answered while the connections warm up does not count."""
    address, times = _asked(name, "list, first page", 1), list[float]()
    begin = time.perf_counter() + WARM_SECONDS

    def work() -> None:
        client = Client(name, cookie)
        while (now := time.perf_counter()) < begin + TURN_SECONDS:
            took = client.ask(address)[0]
            if now >= begin:
                times.append(took)

    threads = [threading.Thread(target=work) for _ in range(many)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return len(times) / TURN_SECONDS, times


def _asked(name: str, scenario: str, id: int) -> str:
    found = addresses("ours, scoped" if name == "ours" else name, scenario, id, 0)
    assert found is not None
    return str(found["get"])


if __name__ == "__main__":
    main()
