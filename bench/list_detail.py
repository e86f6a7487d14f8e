# ruff: noqa: E501 (SQL and data read better in long lines)
"""Lists and details at a million rows, through the scoped reader, beside bare Flask + SQL in the same run.

    .venv/bin/python bench/list_detail.py [--rows 1000000] [--rounds 60] [--database URL] [--profile]

Needs PostgreSQL. Makes a database of its own (metaloom_bench) once and keeps it for the next run with the same number of
rows; `--fresh` makes it anew. A neutral entity: tickets (25 fields) of clients, owned by companies and people.
The reference is what one would write by hand: one SQL statement, a Flask route, a Jinja table; it checks no rights, hides
no field, and its list does not know who may do what with a row.
"""

from __future__ import annotations

import argparse
import random
import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import flask
import psycopg
import sqlalchemy as sa

from metaloom.access import AccessPlan, Actor, Assignment, OrgTree, Unit
from metaloom.compile import read_sources
from metaloom.compile.source import Source
from metaloom.expression import Env
from metaloom.record import Filter, Reader, encode_display
from metaloom.schema_change import publish
from metaloom.storage import Settings, Tenancy

ROOT = Path(__file__).resolve().parents[1]
SERVER = "postgresql+psycopg://root@127.0.0.1:5432/postgres"
DATABASE, TENANT = "metaloom_bench", "bench"
COMPANIES, UNITS_EACH, PEOPLE = 3, 3, 30
START = datetime(2024, 1, 1, tzinfo=UTC)

PACK = """
pack: {version: 1.0.0, format: 1, label: {zh: 测量, en: Bench}, depends: {platform: ">=1.0"}}
roles:
  all: {label: {zh: 全部, en: All}}
  office: {label: {zh: 公司, en: Office}}
  own: {label: {zh: 本人, en: Own}}
choices:
  kind: {label: {zh: 类型, en: Kind}, items: {build: {label: {zh: 建设, en: Build}, colour: blue}, fix: {label: {zh: 维修, en: Fix}, colour: green}, ask: {label: {zh: 咨询, en: Ask}}}}
menu:
  desk: {label: {zh: 测量, en: Bench}, icon: ticket, items: {ticket: {list: ticket, label: {zh: 工单, en: Tickets}}, client: {list: client, label: {zh: 客户, en: Clients}}}}
"""
MODULE = "module: {label: {zh: 测量, en: Bench}}\n"
CLIENT = """
entity:
  label: {zh: 客户, en: Client}
  title: name
  owned_by: [company, org_unit, user]
  fields:
    client_no: {type: text, length: 20, label: {zh: 编号, en: Number}}
    name: {type: text, length: 60, search: contains, pinyin: true, label: {zh: 名称, en: Name}}
access:
  all: {scope: all, actions: [list, read, create, edit]}
  office: {scope: company, actions: [list, read]}
  own: {scope: self, actions: [list, read, edit]}
"""
TICKET_FIELDS = {
    "code": "type: text, length: 20, unique: true", "title": "type: text, length: 60", "client": "type: link, entity: client", "kind": "type: choice, choices: kind",
    "amount": "type: money", "paid": "type: money", "open_amount": "type: money", "rate": "type: rate", "days": "type: integer", "late_days": "type: integer",
    "starts_on": "type: date", "ends_on": "type: date", "closed_at": "type: datetime", "urgent": "type: boolean", "place": "type: text", "phone_note": "type: text, length: 30",
    "grade": "type: text, length: 10", "score": "type: decimal", "steps": "type: integer", "source": "type: text, length: 20", "remark": "type: long_text", "hint": "type: text",
    "reviewer": "type: user", "batch": "type: text, length: 20", "status": "type: state",
}
TICKET = """
entity:
  label: {zh: 工单, en: Ticket}
  title: code
  owned_by: [company, org_unit, user]
  fields:
""" + "".join(f"    {name}: {{{spec}, label: {{zh: {name}, en: {name}}}}}\n" for name, spec in TICKET_FIELDS.items()) + """
  indexes: {by_state: [status, late_days], by_company: [company, created_at]}
lifecycle:
  field: status
  initial: open
  states: {open: {label: {zh: 进行中, en: Open}, colour: green, editable: true}, late: {label: {zh: 逾期, en: Late}, colour: red}, done: {label: {zh: 完成, en: Done}, final: true}}
  transitions: {finish: {from: [open, late], to: done, label: {zh: 完成, en: Finish}}, slip: {from: [open], to: late, label: {zh: 逾期, en: Slip}}}
list:
  columns: [code, title, client, kind, amount, paid, open_amount, late_days, ends_on, reviewer, status, created_at]
  search: [code, status, kind, client]
  more: [ends_on, amount, reviewer, late_days]
  sort: [-created_at]
  totals: [amount]
access:
  all: {scope: all, actions: [list, read, create, edit, export, history]}
  office: {scope: company, actions: [list, read, export], fields: {remark: hidden, hint: hidden}}
  own: {scope: self, actions: [list, read, edit]}
"""


def sources() -> tuple[Source, ...]:
    files = {"bench/pack.yaml": PACK, "bench/desk/module.yaml": MODULE, "bench/desk/client/entity.yaml": CLIENT, "bench/desk/ticket/entity.yaml": TICKET}
    return (*read_sources({"engine": ROOT / "metadata"}, ("platform",)), *(Source("pack", path, text) for path, text in files.items()))


# -- data ------------------------------------------------------------------------------------------------------------


def open_tenant(server: str, rows: int, fresh: bool) -> tuple[Tenancy, Any]:
    """The tenant of the bench with its rows; made when missing or of another size."""
    admin = sa.create_engine(server, isolation_level="AUTOCOMMIT", poolclass=sa.NullPool)
    url = sa.make_url(server).set(database=DATABASE).render_as_string(hide_password=False)
    with admin.connect() as conn:
        there = conn.scalar(sa.text("SELECT 1 FROM pg_database WHERE datname = :name"), {"name": DATABASE})
        if there and not fresh and _size(conn) == rows:
            tenancy, tenant = _tenancy(url)
            publish(tenant, sources(), reason="bench")     # the words and lists of today over the rows of then
            return tenancy, tenant
        conn.execute(sa.text(f'DROP DATABASE IF EXISTS "{DATABASE}" WITH (FORCE)'))
        conn.execute(sa.text(f'CREATE DATABASE "{DATABASE}"'))
    tenancy, _ = _tenancy(url, make=True)
    tenant = tenancy.open(TENANT)
    publish(tenant, sources(), reason="bench")
    started = time.perf_counter()
    fill(tenant, rows)
    with admin.connect() as conn:
        conn.execute(sa.text(f"COMMENT ON DATABASE \"{DATABASE}\" IS '{rows}'"))
    print(f"made {rows:,} rows in {time.perf_counter() - started:.0f} s")
    return tenancy, tenant


def open_made(server: str) -> tuple[Tenancy, Any]:
    """The tenant as :func:`open_tenant` left it, for one of several processes."""
    return _tenancy(sa.make_url(server).set(database=DATABASE).render_as_string(hide_password=False))


def _tenancy(url: str, *, make: bool = False) -> tuple[Tenancy, Any]:
    home = ROOT / "var" / "bench"
    home.mkdir(parents=True, exist_ok=True)
    tenancy = Tenancy(Settings(home=home, database_url=url, master_key=b"b" * 32, secret_key="0123456789abcdef" * 2))
    return tenancy, tenancy.create(TENANT, "Bench") if make else tenancy.open(TENANT)


def _size(conn: sa.Connection) -> int:
    """Rows of the bench as the last complete filling noted them; 0 when it was never finished."""
    note = conn.scalar(sa.text("SELECT shobj_description(oid, 'pg_database') FROM pg_database WHERE datname = :name"), {"name": DATABASE})
    return int(note) if note else 0


def fill(tenant: Any, rows: int) -> None:
    """Rows by COPY; indexes are put aside meanwhile."""
    tables = tenant.revision().tables
    with tenant.ddl() as conn:
        raw = conn.connection.driver_connection
        company, unit = tables.of("platform.company").name, tables.of("platform.org_unit").name
        for i in range(1, COMPANIES + 1):
            raw.execute(f"INSERT INTO {company} (id, row_version, created_at, updated_at, code, name) OVERRIDING SYSTEM VALUE "
                        f"VALUES ({i}, 1, now(), now(), 'c{i}', '公司{i}')")
        for i in range(1, COMPANIES * UNITS_EACH + 1):
            raw.execute(f"INSERT INTO {unit} (id, row_version, created_at, updated_at, code, name, company_id) OVERRIDING SYSTEM VALUE "
                        f"VALUES ({i}, 1, now(), now(), 'u{i}', '部门{i}', {(i - 1) // UNITS_EACH + 1})")
        for i in range(1, PEOPLE + 1):
            raw.execute("INSERT INTO ab_user (id, row_version, created_at, updated_at, first_name, last_name, username, email, active, display_name, company_id, org_unit_id) "
                        f"OVERRIDING SYSTEM VALUE VALUES ({i}, 1, now(), now(), '', '', 'p{i}', 'p{i}@x.cn', true, '员工{i}', {company_of(i)}, {unit_of(i)})")
        for address, made in (("bench.client", client_rows(rows // 5)), ("bench.ticket", ticket_rows(rows))):
            copy(raw, tables.of(address).name, made)
    with tenant.autocommit_ddl() as conn:
        conn.exec_driver_sql("VACUUM ANALYZE")


def copy(raw: Any, table: str, rows: Iterator[dict[str, Any]]) -> None:
    indexes = raw.execute("SELECT indexname, indexdef FROM pg_indexes WHERE tablename = %s AND schemaname = current_schema() "
                          "AND indexname NOT LIKE '%%_pkey'", [table]).fetchall()
    for name, _ in indexes:
        raw.execute(f'DROP INDEX "{name}"')
    first = next(rows)
    columns = ", ".join(first)
    with raw.cursor().copy(f"COPY {table} ({columns}) FROM STDIN") as sink:
        sink.write_row(tuple(first.values()))
        for row in rows:
            sink.write_row(tuple(row.values()))
    for _, definition in indexes:
        raw.execute(definition)


def company_of(person: int) -> int:
    return (person - 1) % COMPANIES + 1


def unit_of(person: int) -> int:
    return (company_of(person) - 1) * UNITS_EACH + (person - 1) // COMPANIES % UNITS_EACH + 1


def _base(i: int, owner: int) -> dict[str, Any]:
    at = START + timedelta(seconds=i * 60)
    return {"id": i, "row_version": 1, "created_at": at, "created_by": owner, "updated_at": at, "updated_by": owner, "company_id": company_of(owner),
            "org_unit_id": unit_of(owner), "owner_id": owner}


SURNAMES, GIVEN = "王李张刘陈杨黄赵周吴徐孙马朱胡", "伟芳娜秀英敏静丽强磊军洋勇艳杰娟涛明超兰霞平刚桂"


def client_rows(number: int) -> Iterator[dict[str, Any]]:
    dice = random.Random(1)
    for i in range(1, number + 1):
        yield {**_base(i, dice.randint(1, PEOPLE)), "client_no": f"K{i:07d}", "name": dice.choice(SURNAMES) + "".join(dice.choices(GIVEN, k=2))}


def ticket_rows(number: int) -> Iterator[dict[str, Any]]:
    dice = random.Random(2)
    for i in range(1, number + 1):
        cents, late = dice.randint(1_000, 99_999_999), max(0, dice.randint(-60, 90))
        yield {
            **_base(i, dice.randint(1, PEOPLE)), "code": f"T{i:08d}", "title": f"工单 {i % 5000}", "client_id": dice.randint(1, max(number // 5, 1)),
            "kind": dice.choice(("build", "fix", "ask")), "amount": f"{cents / 100:.2f}", "paid": f"{cents // 3 / 100:.2f}", "open_amount": f"{(cents - cents // 3) / 100:.2f}",
            "rate": "0.12000000", "days": i % 365, "late_days": late or None, "starts_on": f"2025-{i % 12 + 1:02d}-{i % 28 + 1:02d}", "ends_on": f"2026-{i % 12 + 1:02d}-{i % 28 + 1:02d}",
            "closed_at": None, "urgent": i % 9 == 0, "place": f"街道 {i % 300}", "phone_note": None, "grade": "AB"[i % 2], "score": "1.5000", "steps": i % 7, "source": "web",
            "remark": "备注 " * 5, "hint": None, "reviewer_id": dice.randint(1, PEOPLE), "batch": f"B{i // 1000}", "status": ("open", "late", "done")[i % 3],
        }


# -- measuring -------------------------------------------------------------------------------------------------------


def main() -> None:
    words = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    words.add_argument("--rows", type=int, default=1_000_000)
    words.add_argument("--rounds", type=int, default=60)
    words.add_argument("--database", default=SERVER)
    words.add_argument("--fresh", action="store_true")
    words.add_argument("--profile", action="store_true", help="show where the time of the first page goes")
    given = words.parse_args()
    tenancy, tenant = open_tenant(given.database, given.rows, given.fresh)
    bench = Bench(tenant, given.rows)
    try:
        if given.profile:
            return bench.profile()
        bench.run(given.rounds)
        bench.export()
    finally:
        tenancy.close()


class Bench:
    """The scenarios: each as a function for the reader and one for the reference."""

    def __init__(self, tenant: Any, rows: int) -> None:
        self.tenant, self.rows, self.revision = tenant, rows, tenant.revision()
        self.view = self.revision.catalog.lists["bench.ticket/main"]
        self.org = OrgTree.of(Unit(i, (i - 1) // UNITS_EACH + 1, None, f"u{i}", f"u{i}") for i in range(1, COMPANIES * UNITS_EACH + 1))
        self.plans = {"all": self.plan("all"), "office": self.plan("office"), "own + office": self.plan("own", "office")}
        self.bare = Bare(tenant)

    def plan(self, *roles: str) -> AccessPlan:
        actor = Actor(1, "p1", "p1", roles=tuple(Assignment(f"bench.{role}") for role in roles), company_id=company_of(1), org_unit_id=unit_of(1))
        return AccessPlan(self.revision, actor, self.org)

    @contextmanager
    def reader(self, who: str) -> Iterator[Reader]:
        with self.tenant.read() as conn:
            yield Reader(conn, self.tenant, self.revision, self.plans[who], Env())

    def scenarios(self) -> dict[str, tuple[Callable[[Reader, int], Any], Callable[[int], Any]]]:
        state = [Filter("status", "eq", "late")]
        deep = self.cursor()
        return {
            "list, first 20": (lambda r, n: r.list("bench.ticket", view=self.view), lambda n: self.bare.list()),
            "filter status, sort late days": (lambda r, n: r.list("bench.ticket", view=self.view, filters=state, sort=["-late_days"]), lambda n: self.bare.filtered()),
            "page by marker, half way": (lambda r, n: r.list("bench.ticket", view=self.view, cursor=deep), lambda n: self.bare.keyset(self.rows // 2)),
            "page 400 by number": (lambda r, n: r.list("bench.ticket", view=self.view, page=400), lambda n: self.bare.numbered(400)),
            "detail": (lambda r, n: r.get("bench.ticket", self.ticket(n)), lambda n: self.bare.detail(self.ticket(n))),
            "client by part of a name": (lambda r, n: r.list("bench.ticket", view=self.view, filters=[Filter("client.name", "contains", "桂英")]), lambda n: self.bare.named()),
            "count, capped": (lambda r, n: r.count("bench.ticket"), lambda n: self.bare.count()),
            "total of the whole filter": (lambda r, n: r.totals("bench.ticket", ["amount"], filters=state), lambda n: self.bare.total()),
        }

    def ticket(self, n: int) -> int:
        """A ticket of person 1's own, another one each time."""
        if not hasattr(self, "_tickets"):
            with self.tenant.read() as conn:
                table = self.revision.tables.of("bench.ticket")
                self._tickets = list(conn.scalars(sa.select(table.c.id).where(table.c.owner_id == 1).limit(500)))
        return int(self._tickets[n % len(self._tickets)])

    def cursor(self) -> str:
        """The marker of a page half way down, made as the reader makes it."""
        from metaloom.record.paging import Key, Order, seal
        from metaloom.record.paths import path

        order = Order(tuple(Key(name, None, True, False, path(self.revision, "bench.ticket", name).field) for name in ("created_at", "id")))  # type: ignore[arg-type]
        middle = self.rows // 2
        return seal(order, (START + timedelta(seconds=middle * 60), middle), backwards=False, bound_to=f"{TENANT}|bench.ticket",
                    sign=lambda text: self.tenant.secrets.blind("record/cursor", text))

    def run(self, rounds: int) -> None:
        print(f"{self.rows:,} rows, {len(self.revision.catalog.entities['bench.ticket'].fields)} fields; milliseconds, median (p95); one connection, no network\n")
        print(f"| {'':32} | {'bare Flask + SQL':>16} | " + " | ".join(f"{'reader, ' + who:>28}" for who in self.plans) + " | statements |")
        print("|" + "---|" * (len(self.plans) + 3))
        for name, (ours, theirs) in self.scenarios().items():
            times, statements = self.measure(ours, theirs, rounds)
            reference = statistics.median(times["bare"])
            cells = [f"{statistics.median(times[who]):7.2f} ({p95(times[who]):6.2f}) {statistics.median(times[who]) / reference:5.2f} ×" for who in self.plans]
            print(f"| {name:32} | {reference:7.2f} ({p95(times['bare']):6.2f}) | " + " | ".join(f"{cell:>28}" for cell in cells) + f" | {statements:>10} |", flush=True)

    def measure(self, ours: Callable[[Reader, int], Any], theirs: Callable[[int], Any], rounds: int) -> tuple[dict[str, list[float]], int]:
        """All in alternation, so that a noisy moment hits everyone; the first rounds warm caches and do not count."""
        times: dict[str, list[float]] = {"bare": [], **{who: [] for who in self.plans}}
        sent = [0]
        started, deadline = time.perf_counter(), 12.0
        dice = random.Random(3)
        for n in range(rounds + 3):
            for who in dice.sample(sorted(times), len(times)):
                before = time.perf_counter()
                if who == "bare":
                    theirs(n)
                else:
                    with self.reader(who) as reader:
                        with counted(reader.conn, sent):
                            found = ours(reader, n)
                        for row in getattr(found, "rows", ()):
                            encode_display(self.revision, row, "zh", reader.zone)
                times[who].append((time.perf_counter() - before) * 1000)
            if time.perf_counter() - started > deadline and n >= 8:
                break
        return {who: found[3:] for who, found in times.items()}, sent[0]

    def export(self) -> None:
        """A file of a tenth of the rows, beside COPY of the same columns."""
        prefix = "T000" if self.rows >= 1_000_000 else "T0000"
        before = time.perf_counter()
        with self.bare.conn.cursor().copy(f"COPY (SELECT {self.bare.COLUMNS.format(t=self.bare.t, c=self.bare.c)} WHERE t.code LIKE '{prefix}%') TO STDOUT CSV") as source:
            for _ in source:
                pass
        print(f"\nCOPY by hand: {time.perf_counter() - before:.1f} s", end="")
        with self.reader("own + office") as reader, open("/dev/null", "wb") as sink:
            for kind in ("csv", "xlsx"):
                before = time.perf_counter()
                number = reader.export("bench.ticket", format=kind, file=sink, view=self.view, filters=[Filter("code", "prefix", prefix)])
                print(f"; {kind} of {number:,} rows: {time.perf_counter() - before:.1f} s", end="")
        print()

    def profile(self) -> None:
        import cProfile
        import pstats

        with self.reader("own + office") as reader:
            for _ in range(5):
                reader.list("bench.ticket", view=self.view)
            watch = cProfile.Profile()
            watch.enable()
            for _ in range(100):
                page = reader.list("bench.ticket", view=self.view)
                for row in page:
                    encode_display(self.revision, row, "zh", reader.zone)
            watch.disable()
        pstats.Stats(watch).sort_stats("cumulative").print_stats(45)


def p95(times: list[float]) -> float:
    return sorted(times)[min(len(times) - 1, int(len(times) * 0.95))]


@contextmanager
def counted(conn: sa.Connection, into: list[int]) -> Iterator[None]:
    sent = 0

    def note(*_: Any) -> None:
        nonlocal sent
        sent += 1

    sa.event.listen(conn, "before_cursor_execute", note)
    yield
    into[0] = max(sent, 1)


class Bare:
    """Hand-written SQL behind a Flask route with a Jinja table, on a psycopg connection of its own."""

    COLUMNS = ("t.id, t.code, t.title, c.name, t.kind, t.amount, t.paid, t.open_amount, t.late_days, t.ends_on, u.display_name, t.status, t.created_at "
               "FROM {t} t LEFT JOIN {c} c ON c.id = t.client_id LEFT JOIN ab_user u ON u.id = t.reviewer_id")
    PAGE = "<table>{% for row in rows %}<tr>{% for cell in row %}<td>{{ cell }}</td>{% endfor %}</tr>{% endfor %}</table>"

    def __init__(self, tenant: Any) -> None:
        tables = tenant.revision().tables
        self.t, self.c = tables.of("bench.ticket").name, tables.of("bench.client").name
        with tenant.ddl() as conn:
            path = conn.exec_driver_sql("SHOW search_path").scalar()
        url = sa.make_url(tenant.settings.database_url)
        self.conn = psycopg.connect(host=url.host, port=url.port, user=url.username, dbname=url.database, autocommit=True, options=f"-c search_path={path.replace(' ', '')}", prepare_threshold=None)
        app = flask.Flask("bare")
        self.sql, self.values = "", ()
        app.add_url_rule("/", view_func=lambda: flask.render_template_string(self.PAGE, rows=self.conn.execute(self.sql, self.values).fetchall()))
        self.client = app.test_client()

    def ask(self, sql: str, *values: Any) -> str:
        self.sql, self.values = sql, values
        return self.client.get("/").text

    def select(self, rest: str, *values: Any) -> str:
        return self.ask("SELECT " + self.COLUMNS.format(t=self.t, c=self.c) + " " + rest, *values)

    def list(self) -> str:
        return self.select("WHERE t.archived_at IS NULL ORDER BY t.created_at DESC, t.id DESC LIMIT 20")

    def filtered(self) -> str:
        return self.select("WHERE t.archived_at IS NULL AND t.status = 'late' AND t.late_days IS NOT NULL ORDER BY t.late_days DESC, t.id DESC LIMIT 20")

    def keyset(self, middle: int) -> str:
        at = START + timedelta(seconds=middle * 60)
        return self.select("WHERE t.archived_at IS NULL AND (t.created_at, t.id) < (%s, %s) ORDER BY t.created_at DESC, t.id DESC LIMIT 20", at, middle)

    def numbered(self, page: int) -> str:
        return self.select(f"WHERE t.archived_at IS NULL ORDER BY t.created_at DESC, t.id DESC LIMIT 20 OFFSET {(page - 1) * 20}")

    def detail(self, id: int) -> str:
        return self.ask(f"SELECT t.*, c.name AS client_name, u.display_name FROM {self.t} t LEFT JOIN {self.c} c ON c.id = t.client_id "
                        "LEFT JOIN ab_user u ON u.id = t.reviewer_id WHERE t.id = %s", id)

    def named(self) -> str:
        return self.select("WHERE t.archived_at IS NULL AND c.name LIKE '%%桂英%%' ORDER BY t.created_at DESC, t.id DESC LIMIT 20")

    def count(self) -> str:
        return self.ask(f"SELECT count(*) FROM (SELECT 1 FROM {self.t} WHERE archived_at IS NULL LIMIT 10001) x")

    def total(self) -> str:
        return self.ask(f"SELECT sum(amount) FROM {self.t} WHERE archived_at IS NULL AND status = 'late'")


if __name__ == "__main__":
    main()
