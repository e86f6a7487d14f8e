# ruff: noqa: E501 (tables and data read better in long lines)
"""The same pages of the same rows: bare Flask with one statement, ours, Flask-AppBuilder's ModelView and Django's admin, in one run.

    .venv/bin/pip install -r bench/peers/requirements.txt
    .venv/bin/python bench/peers/run.py [--rows 1000000] [--rounds 40] [--database URL] [--clients 8]

Needs PostgreSQL; shares its database with list_detail.py (made once, kept). Every contender is a process of its own that answers through
its framework's test client; in each round all of them answer, in random order, one at a time. Statements include everything but BEGIN,
SET and ROLLBACK. With ``--clients`` as many of each contender's processes answer the first list at once. Ours checks rights, scope,
masks and versions; bare checks nothing, the peers whether the person may see the table.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent)]
import http_pages  # noqa: E402
import list_detail as data  # noqa: E402
import sqlalchemy as sa  # noqa: E402
from peer import serve  # noqa: E402

SCENARIOS = ("list, first page", "filter status, sort late days", "client by part of a name", "page 400", "detail", "form of a record", "new record", "REST list of 100")
WARM = 3


def addresses(who: str, name: str, id: int, marker: int) -> dict[str, Any] | None:
    """What to ask a contender for; None where it has no such page (ours goes by markers, not by numbers)."""
    ours = {"list, first page": "/e/bench.ticket/", "filter status, sort late days": "/e/bench.ticket/?f.status=late&sort=-late_days",
            "client by part of a name": "/e/bench.client/?q=桂英", "detail": f"/e/bench.ticket/{id}",
            "form of a record": f"/e/bench.ticket/{id}/edit", "REST list of 100": "/api/v1/bench.ticket?limit=100"}
    table = {
        "bare": {"list, first page": "/list", "filter status, sort late days": "/filtered", "detail": f"/detail/{id}", "REST list of 100": "/json",
                 "client by part of a name": "/named", "page 400": "/page"},
        "ours": ours, "ours, scoped": ours,
        "FAB": {"list, first page": "/ticketview/list/", "filter status, sort late days": "/ticketview/list/?_flt_3_status=late&_oc_TicketView=late_days&_od_TicketView=desc",
                "client by part of a name": "/clientview/list/?_flt_2_name=桂英", "page 400": "/ticketview/list/?page_TicketView=400", "detail": f"/ticketview/show/{id}",
                "form of a record": f"/ticketview/edit/{id}"},
        "Django": {"list, first page": "/auth/ticket/", "filter status, sort late days": "/auth/ticket/?status__exact=late&o=-8", "client by part of a name": "/auth/client/?q=桂英",
                   "page 400": "/auth/ticket/?p=400", "detail": f"/auth/ticket/{id}/change/", "form of a record": f"/auth/ticket/{id}/change/"},
    }
    if name == "new record":
        return {"save": marker} if who not in ("bare", "ours, scoped") else None   # the scoped person only edits
    found = table[who].get(name)
    return {"get": found} if found else None


class Contender:
    """One process; ``ask`` sends it a question and waits."""

    def __init__(self, name: str, *command: str) -> None:
        self.name = name
        self.process = subprocess.Popen([sys.executable, *command], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=HERE,
                                        env={**os.environ, "PYTHONPATH": str(HERE)})
        self.read()

    def read(self) -> dict[str, Any]:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            if line.startswith("{"):
                return json.loads(line)
        raise SystemExit(f"{self.name} ended")

    def ask(self, question: dict[str, Any]) -> dict[str, Any]:
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps(question) + "\n")
        self.process.stdin.flush()
        return self.read()

    def end(self) -> None:
        self.process.terminate()
        self.process.wait(20)


def bare_application(bare: http_pages.Bare) -> Any:
    """The bare routes, with those that only the peers are asked for besides."""
    app = bare.client.application
    select = "SELECT " + data.Bare.COLUMNS.format(t=bare.by_hand.t, c=bare.by_hand.c) + " WHERE t.archived_at IS NULL "
    app.add_url_rule("/page", "page", lambda: bare.rows(select + "ORDER BY t.created_at DESC, t.id DESC LIMIT 20 OFFSET 8000"))
    app.add_url_rule("/named", "named", lambda: bare.rows(
        f"SELECT id, client_no, name, created_at FROM {bare.by_hand.c} WHERE name LIKE '%%桂英%%' AND archived_at IS NULL ORDER BY id DESC LIMIT 20"))
    return app


def serve_ours(url: str, rows: int, who: str) -> None:
    """A contender process: the application, or the bare routes."""
    tenancy, tenant = data.open_tenant(url, rows, fresh=False)
    ours = http_pages.Ours(tenancy, tenant)
    if who == "bare":
        client = bare_application(http_pages.Bare(tenant)).test_client()
        serve(lambda address: _got(client.get(address)), lambda _: 0, lambda: 1)
        return
    person = "all" if who == "ours" else "own + office"
    client, ticket = ours.clients[person], {"code": "", "title": "t", "client": "1", "kind": "fix", "amount": "10.00", "late_days": "1", "ends_on": "2026-05-05", "place": "x"}
    sent = [0]

    def reset() -> int:
        found, sent[0] = ours.sent - sent[0], ours.sent
        return found

    def get(address: str) -> tuple[int, int]:
        return _got(client.get(f"/{data.TENANT}{address}", headers={"Accept-Encoding": "gzip"}))

    def save(number: int) -> int:
        answer = client.post(f"/{data.TENANT}/e/bench.ticket/new", data={**ticket, "code": f"M{number}", "csrf_token": token})
        if answer.status_code not in (302, 303):
            print("not saved", file=sys.stderr)
        return answer.status_code

    page = client.get(f"/{data.TENANT}/e/bench.ticket/new").text
    token = page.split('name="csrf-token" content="')[1].split('"')[0]
    serve(get, save, reset)


def _got(answer: Any) -> tuple[int, int]:
    return answer.status_code, len(answer.data)


def start(name: str, url: str, rows: int, schema: str) -> Contender:
    if name == "Django":
        place = sa.make_url(url)
        return Contender(name, "django_admin.py", place.host or "127.0.0.1", str(place.port or 5432), place.username or "", data.DATABASE, schema)
    if name == "FAB":
        return Contender(name, "fab_modelview.py", sa.make_url(url).set(database=data.DATABASE).render_as_string(hide_password=False), schema)
    return Contender(name, "run.py", "--serve", name, "--database", url, "--rows", str(rows), "--name", data.DATABASE)


def main() -> None:
    words = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    words.add_argument("--rows", type=int, default=1_000_000)
    words.add_argument("--rounds", type=int, default=40)
    words.add_argument("--clients", type=int, default=8)
    words.add_argument("--database", default=data.SERVER)
    words.add_argument("--name", default=data.DATABASE, help="the database that is made and kept")
    words.add_argument("--serve", help=argparse.SUPPRESS)
    given = words.parse_args()
    data.DATABASE = given.name
    if given.serve:
        serve_ours(given.database, given.rows, given.serve)
        return
    tenancy, tenant = data.open_tenant(given.database, given.rows, fresh=False)
    with tenant.read() as conn:
        schema = str(conn.scalar(sa.text("SELECT current_schema()")))
        ids = list(conn.scalars(sa.text("SELECT id FROM bench__ticket WHERE owner_id = 1 AND status = 'open' LIMIT 200")))
    with tenant.ddl() as conn:      # the rows came with their ids
        for table in ("bench__ticket", "bench__client"):
            conn.execute(sa.text(f"SELECT setval(pg_get_serial_sequence('{table}', 'id'), (SELECT max(id) FROM {table}))"))
    tenancy.close()
    print(f"{given.rows:,} rows; load {os.getloadavg()[0]:.1f}; {given.rounds} rounds; median ms (p95), × bare by wall / by CPU, statements\n")
    names = ("bare", "ours", "ours, scoped", "FAB", "Django")
    contenders = {name: start(name, given.database, given.rows, schema) for name in names}
    try:
        print("| | " + " | ".join(names) + " |\n" + "|---" * (len(names) + 1) + "|")
        for scenario in SCENARIOS:
            _row(scenario, _measure(contenders, scenario, given.rounds, ids), names)
    finally:
        for one in contenders.values():
            one.end()
    if given.clients > 1:
        for name in ("bare", "ours", "FAB", "Django"):
            _crowd(name, given, schema)


def _measure(contenders: dict[str, Contender], scenario: str, rounds: int, ids: list[int]) -> dict[str, list[dict[str, Any]]]:
    """All in alternation and random order; the first rounds warm caches and do not count."""
    dice, found = random.Random(3), {}
    for n in range(rounds + WARM):
        for name in dice.sample(sorted(contenders), len(contenders)):
            question = addresses(name, scenario, ids[n % len(ids)], time.time_ns() // 1000 % 10**12)
            if question is None:
                continue
            answer = contenders[name].ask(question)
            if answer["status"] not in (200, 302, 303):
                raise SystemExit(f"{name}, {scenario}: {answer['status']} for {question}")
            if "save" in question and answer["status"] == 200:
                raise SystemExit(f"{name} did not save")
            if n >= WARM:
                found.setdefault(name, []).append(answer)
    return found


def _row(scenario: str, found: dict[str, list[dict[str, Any]]], names: tuple[str, ...]) -> None:
    def middle(name: str, what: str) -> float:
        return statistics.median(one[what] for one in found[name])

    cells = []
    for name in names:
        if name not in found:
            cells.append("–")
            continue
        ratio = f" {middle(name, 'wall') / middle('bare', 'wall'):.1f} / {middle(name, 'cpu') / middle('bare', 'cpu'):.1f} ×," if "bare" in found and name != "bare" else ""
        cells.append(f"{middle(name, 'wall'):.1f} ({data.p95([one['wall'] for one in found[name]]):.1f}),{ratio} {max(one['statements'] for one in found[name])}")
    print(f"| {scenario} | " + " | ".join(cells) + " |", flush=True)


def _crowd(name: str, given: argparse.Namespace, schema: str) -> None:
    """As many processes as clients ask for the first list at once."""
    crowd = [start(name, given.database, given.rows, schema) for _ in range(given.clients)]
    question = addresses(name, "list, first page", 1, 0)
    assert question is not None
    at_once(name, [lambda one=one: float(one.ask(question)["wall"]) for one in crowd], given.rounds)  # type: ignore[misc]
    for one in crowd:
        one.end()


def at_once(name: str, clients: Sequence[Callable[[], float]], rounds: int) -> None:
    """Each client asks for the first list as fast as it comes, and answers with the milliseconds that it took."""
    times: list[float] = []

    def work(ask: Callable[[], float]) -> None:
        times.extend([ask() for _ in range(rounds + WARM)][WARM:])

    threads = [threading.Thread(target=work, args=(ask,)) for ask in clients]
    began = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    rate = len(clients) * (rounds + WARM) / (time.perf_counter() - began)
    print(f"{len(clients)} at once, first list, {name}: median {statistics.median(times):.1f} ms, p95 {data.p95(times):.1f} ms, {rate:.1f} a second", flush=True)


if __name__ == "__main__":
    main()
