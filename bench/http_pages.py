# ruff: noqa: E501 (SQL and data read better in long lines)
"""Whole pages at a million rows: the real application beside bare Flask + one SQL statement + Jinja, in the same run.

    .venv/bin/python bench/http_pages.py [--rows 1000000] [--rounds 40] [--database URL] [--profile NAME]

Needs PostgreSQL; shares its database with list_detail.py (made once, kept). Both sides answer through Flask's test client,
in random order, in one process: login cookie, rights, menu, headers, gzip on our side; one autocommit statement, a compiled
Jinja table and no gzip on the other. CPU is this process's (the database's is not in it). Statements are those that reach
the driver; left out are BEGIN with its SETs and the look at the published revision (at most one in 0.3 s for a whole process). More
than two end the run with an error; a REST list also counts what the person reads (in a transaction of its own).
"""

from __future__ import annotations

import argparse
import cProfile
import pstats
import random
import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import flask
import psycopg
import sqlalchemy as sa

sys.path.insert(0, str(Path(__file__).parent))
import list_detail as data

from metaloom.app import create_app

PEOPLE = {"all": (2, ("bench.all",)), "own + office": (1, ("bench.own", "bench.office"))}
STATEMENTS_MAX, REST_MAX, WARM = 2, 4, 4
HEADS = ("编号", "标题", "客户", "类型", "金额", "已付", "未付", "逾期天数", "到期", "经办", "状态", "创建时间")

TABLE = """<!doctype html><html lang="zh-CN"><head><meta charset="utf-8"><title>工单</title></head><body><h1>工单</h1>
<table><thead><tr>{% for head in heads %}<th>{{ head }}</th>{% endfor %}</tr></thead><tbody>
{% for row in rows %}<tr>{% for cell in row %}<td>{{ cell if cell is not none else '-' }}</td>{% endfor %}</tr>{% endfor %}
</tbody></table></body></html>"""
FACTS = """<!doctype html><html lang="zh-CN"><head><meta charset="utf-8"><title>工单</title></head><body><h1>{{ row.code }}</h1>
<dl>{% for name, value in row.items() %}<dt>{{ name }}</dt><dd>{{ value if value is not none else '-' }}</dd>{% endfor %}</dl></body></html>"""


@dataclass
class Times:
    """What one contender took: wall and CPU milliseconds of each round, most statements, bytes as sent."""

    wall: list[float] = field(default_factory=list)
    cpu: list[float] = field(default_factory=list)
    statements: int = 0
    size: int = 0


class Bare:
    """What one would write by hand: five routes, each one statement on an open autocommit connection."""

    def __init__(self, tenant: Any) -> None:
        self.by_hand = data.Bare(tenant)
        self.conn = self.by_hand.conn
        app = flask.Flask("bare")
        self.table, self.facts = app.jinja_env.from_string(TABLE), app.jinja_env.from_string(FACTS)
        select = "SELECT " + data.Bare.COLUMNS.format(t=self.by_hand.t, c=self.by_hand.c) + " WHERE t.archived_at IS NULL "
        order = "ORDER BY t.created_at DESC, t.id DESC LIMIT "
        app.add_url_rule("/list", "list", lambda: self.rows(select + order + "20"))
        app.add_url_rule("/filtered", "filtered", lambda: self.rows(
            select + "AND t.status = 'late' AND t.late_days IS NOT NULL ORDER BY t.late_days DESC, t.id DESC LIMIT 20"))
        app.add_url_rule("/after/<int:id>", "after", lambda id: self.rows(
            select + "AND (t.created_at, t.id) < (%s, %s) " + order + "20", data.START + data.timedelta(seconds=id * 60), id))
        app.add_url_rule("/detail/<int:id>", "detail", self.detail)
        app.add_url_rule("/json", "json", lambda: self.json(order + "100"))
        self.client = app.test_client()

    def rows(self, sql: str, *values: Any) -> str:
        return self.table.render(heads=HEADS, rows=[row[1:] for row in self.conn.execute(sql, values).fetchall()])

    def named(self, sql: str, *values: Any) -> list[dict[str, Any]]:
        return self.conn.cursor(row_factory=psycopg.rows.dict_row).execute(sql, values).fetchall()

    def whole(self) -> str:
        return (f"SELECT t.*, c.name AS client_name, u.display_name AS reviewer_name FROM {self.by_hand.t} t "
                f"LEFT JOIN {self.by_hand.c} c ON c.id = t.client_id LEFT JOIN ab_user u ON u.id = t.reviewer_id WHERE t.archived_at IS NULL ")

    def detail(self, id: int) -> str:
        return self.facts.render(row=self.named(self.whole() + "AND t.id = %s", id)[0])

    def json(self, rest: str) -> Any:
        return flask.jsonify(self.named(self.whole() + rest))


class Ours:
    """The application with two people logged in, by cookie for pages and by the same cookie for the API."""

    def __init__(self, tenancy: Any, tenant: Any) -> None:
        self.app = create_app(tenancy.settings, tenancy=tenancy)
        self.tenant, self.sent = tenant, 0
        for name in ("read", "write"):
            sa.event.listen(getattr(tenant._access, name), "before_cursor_execute", self._count)
        self.clients = {who: self._enter(*facts) for who, facts in PEOPLE.items()}

    def _count(self, conn: Any, cursor: Any, statement: str, *_: Any) -> None:
        self.sent += not statement.startswith("BEGIN") and " FROM ml_pointer" not in " ".join(statement.split())

    def _enter(self, user_id: int, roles: tuple[str, ...]) -> Any:
        held = self.tenant.revision().tables.engine.role_assignment
        with self.tenant.write() as conn:
            conn.execute(held.delete().where(held.c.user_id == user_id))
            for role in (*roles, "platform.staff"):
                conn.execute(held.insert().values(user_id=user_id, role=role))
        token = self.app.extensions["metaloom"].logins.begin(
            self.tenant, user_id, {"_user_id": str(user_id), "_fresh": True, "tenant": data.TENANT, "auth_stamp": 1, "csrf_token": "0" * 40}, "127.0.0.1", "bench")
        client = self.app.test_client()
        client.set_cookie("ml_session", "s." + token, path=f"/{data.TENANT}")
        return client

    def get(self, who: str, path: str) -> Any:
        self.sent = 0
        return self.clients[who].get(f"/{data.TENANT}{path}", headers={"Accept-Encoding": "gzip"})


class Bench:
    def __init__(self, tenancy: Any, tenant: Any, rows: int) -> None:
        self.ours, self.bare, self.middle = Ours(tenancy, tenant), Bare(tenant), rows // 2
        self.reader = data.Bench(tenant, rows)

    def scenarios(self) -> dict[str, tuple[Callable[[int], str], Callable[[int], str]]]:
        """Name → our address and the bare one, in round n."""
        deep, page = self.reader.cursor(), "/e/bench.ticket/"
        return {
            "list, first 20": (lambda n: page, lambda n: "/list"),
            "filter status, sort late days": (lambda n: page + "?f.status=late&sort=-late_days", lambda n: "/filtered"),
            "page by marker, half way": (lambda n: f"{page}?cursor={deep}", lambda n: f"/after/{self.middle}"),
            "detail": (lambda n: f"/e/bench.ticket/{self.reader.ticket(n)}", lambda n: f"/detail/{self.reader.ticket(n)}"),
            "REST list of 100": (lambda n: "/api/v1/bench.ticket?limit=100", lambda n: "/json"),
        }

    def run(self, rounds: int) -> None:
        print("| | bare: ms (p95), CPU ms, bytes | " + " | ".join(f"{who}: ms (p95), CPU ms, × wall, × CPU, bytes" for who in PEOPLE) + " | statements |")
        print("|" + "---|" * (len(PEOPLE) + 3))
        for name, (ours, theirs) in self.scenarios().items():
            times = self.measure(ours, theirs, rounds, REST_MAX if name.startswith("REST") else STATEMENTS_MAX)
            bare = times["bare"]
            cells = [_cell(bare)] + [_cell(times[who], bare) for who in PEOPLE]
            print(f"| {name} | " + " | ".join(cells) + f" | {max(times[who].statements for who in PEOPLE)} |", flush=True)

    def measure(self, ours: Callable[[int], str], theirs: Callable[[int], str], rounds: int, most: int) -> dict[str, Times]:
        """All in alternation and random order; the first rounds warm caches and do not count."""
        times = {"bare": Times(), **{who: Times() for who in PEOPLE}}
        dice = random.Random(5)
        for n in range(rounds + WARM):
            for who in dice.sample(sorted(times), len(times)):
                wall, cpu = time.perf_counter(), time.process_time()
                answer = self.bare.client.get(theirs(n)) if who == "bare" else self.ours.get(who, ours(n))
                body = answer.get_data()
                cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
                assert answer.status_code == 200, (who, answer.status_code, body[:300])
                if n < WARM:
                    continue
                one = times[who]
                one.wall.append(wall * 1000)
                one.cpu.append(cpu * 1000)
                one.statements, one.size = max(one.statements, self.ours.sent if who != "bare" else 1), len(body)
                if one.statements > most:
                    raise SystemExit(f"{ours(n)} sent {one.statements} statements for {who}; {most} are allowed")
        return times

    def profile(self, name: str, order: str) -> None:
        """Where the CPU of one of our pages goes."""
        address = next(ours for known, (ours, _) in self.scenarios().items() if known.startswith(name))
        for n in range(10):
            self.ours.get("own + office", address(n))
        watch = cProfile.Profile(time.process_time)
        watch.enable()
        for n in range(100):
            self.ours.get("own + office", address(n))
        watch.disable()
        pstats.Stats(watch).sort_stats(order).print_stats(70)


def _cell(one: Times, bare: Times | None = None) -> str:
    wall, cpu = statistics.median(one.wall), statistics.median(one.cpu)
    ratios = f", {wall / statistics.median(bare.wall):.2f} ×, {cpu / statistics.median(bare.cpu):.2f} ×" if bare else ""
    return f"{wall:.1f} ({data.p95(one.wall):.1f}), {cpu:.1f}{ratios}, {one.size:,}"


def main() -> None:
    words = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    words.add_argument("--rows", type=int, default=1_000_000)
    words.add_argument("--rounds", type=int, default=40)
    words.add_argument("--database", default=data.SERVER)
    words.add_argument("--profile", metavar="NAME", help="show where the CPU of this scenario goes (list, filter, page, detail, REST)")
    words.add_argument("--order", default="tottime", help="order of the profile (tottime, cumulative)")
    given = words.parse_args()
    tenancy, tenant = data.open_tenant(given.database, given.rows, fresh=False)
    try:
        bench = Bench(tenancy, tenant, given.rows)
        if given.profile:
            bench.profile(given.profile, given.order)
        else:
            with open("/proc/loadavg") as load:
                print(f"{given.rows:,} rows; load {load.read().split()[0]}; {given.rounds} rounds\n")
            bench.run(given.rounds)
    finally:
        tenancy.close()


if __name__ == "__main__":
    main()
