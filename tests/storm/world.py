"""A lender's world that is made once and put back for every trial: a folder, and on PostgreSQL a database made from a template.

Whoever opens a connection does so in a child process (tests/storm/child.py); the test process only copies.
"""

from __future__ import annotations

import re
import shutil
import time
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache, lru_cache
from itertools import count, zip_longest
from pathlib import Path
from random import Random
from typing import Any

import sqlalchemy as sa

from metaloom.app.login_tables import make_login_tables
from metaloom.compile import tenant_sources
from metaloom.plugin import registry
from metaloom.schema_change import publish
from metaloom.storage import Settings, Tenancy, Tenant, postgresql
from metaloom.storage.revisions import Compiler, compiler_with, shared
from metaloom_plugins.gateway_sandbox.simulator import GatewaySimulator
from tests.plugins.lender import ROOT, Lender
from tests.storm.child import answer_of

NAME = "storm"


@cache
def plugins() -> Any:
    return registry.load()


@cache
def compiler() -> Compiler:
    return compiler_with(plugins().manifest())


@cache
def sources() -> tuple[Any, ...]:
    """Those of the demonstration client; compiled here, so that no child has to."""
    found = tuple(tenant_sources(ROOT / "metadata", ROOT / "tenants", "demo"))
    shared(tuple((one.layer, one.path, one.text) for one in found), compiler())
    return found


@dataclass(frozen=True, eq=False)
class World:
    """Where a lender lives. ``facts``: what its maker wrote down (ids, versions)."""

    home: Path
    url: str | None
    facts: Mapping[str, Any]

    @property
    def dialect(self) -> str:
        return "postgresql" if self.url else "sqlite"

    @property
    def settings(self) -> Settings:
        return Settings.from_env({"METALOOM_HOME": str(self.home), "METALOOM_METADATA": str(ROOT / "metadata"),
                                  "METALOOM_TENANTS": str(ROOT / "tenants"), **({"METALOOM_DATABASE_URL": self.url} if self.url else {})})

    def tenant(self) -> Tenant:
        return _tenancy(self).open(NAME)

    def lender(self) -> Lender:
        """The lender on the day and at the hour where it stood; only in a child."""
        tenant = self.tenant()
        shop = Lender(tenant, plugins())
        shop._keys, shop._random = count(100_000), Random(4711)
        if "day" in self.facts:
            day = self.facts["day"]
            shop.real.at = self.facts["real"]
            shop.stage.clock.begin(day)
            shop.stage.next_day(day)
        return shop


def make(home: Path, url: str | None, fill: Any, *given: Any) -> World:
    """A new world, filled in a child by ``fill(lender, *given)``, whose answer becomes its facts."""
    bare, source = World(home, url, {}), sources()

    def build() -> Mapping[str, Any]:
        tenancy = Tenancy(bare.settings, compiler=compiler())
        tenant = tenancy.create(NAME, "测试小贷", after_create=(make_login_tables,))
        publish(tenant, source)
        shop = Lender(tenant, plugins())
        facts = fill(shop, *given) or {}
        return {**facts, "day": shop.stage.today, "real": shop.real.at}

    home.mkdir(parents=True, exist_ok=True)
    if url:
        _administer(url, 'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)', 'CREATE DATABASE "{name}"')
    made = World(home, url, answer_of(build))
    _keep(made)
    return made


def reset(world: World) -> None:
    """The world stands where its maker left it."""
    shutil.rmtree(world.home, ignore_errors=True)
    shutil.copytree(_kept(world.home), world.home)
    if world.url:
        kept = sa.make_url(world.url).database
        _administer(world.url, 'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)', f'CREATE DATABASE "{{name}}" TEMPLATE "{kept}_kept"',
                    'ALTER DATABASE "{name}" SET synchronous_commit = off')


def drop(world: World) -> None:
    """Nothing of the world is left."""
    for home in (world.home, _kept(world.home)):
        shutil.rmtree(home, ignore_errors=True)
    if world.url:
        kept = sa.make_url(world.url).database
        _administer(world.url, 'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)', f'DROP DATABASE IF EXISTS "{kept}_kept" WITH (FORCE)')


def _keep(world: World) -> None:
    shutil.copytree(world.home, _kept(world.home))
    if world.url:
        kept = sa.make_url(world.url).database
        _administer(world.url, f'DROP DATABASE IF EXISTS "{kept}_kept" WITH (FORCE)', f'ALTER DATABASE "{{name}}" RENAME TO "{kept}_kept"')


def _kept(home: Path) -> Path:
    return home.with_name(home.name + ".kept")


def rest(world: World) -> None:
    """This process lets its connections go; engines and what they have compiled stay for the children."""
    tenancy = _tenancy(world)
    for tenant in tenancy._open.values():
        for name in ("read", "write", "bind", "ddl"):
            getattr(tenant._access, name).dispose()
    tenancy._control.close()
    for engine in postgresql._engines.values():
        engine.dispose()


@cache
def _tenancy(world: World) -> Tenancy:
    return Tenancy(world.settings, compiler=compiler())


def _administer(url: str, *statements: str) -> None:
    """On the server of the database, with its name in the statements."""
    here = sa.make_url(url)
    engine = sa.create_engine(here.set(database="postgres"), isolation_level="AUTOCOMMIT", poolclass=sa.NullPool)
    with engine.connect() as conn:
        for statement in statements:
            conn.exec_driver_sql(statement.format(name=here.database))


# -- what is written ------------------------------------------------------------------------------------------------------

LEFT_OUT = frozenset({"ml_job_run", "ml_rate", "ml_control", "ml_stamp", "ml_data_key", "ml_publish", "ml_webhook_call"})
"""How often a worker, a publisher or another system tried, and what has nothing to do with a path."""
TIMES = re.compile(r"(_at|_until|run_after|_on_clock)$")
OTHER = frozenset({"fence", "lease_owner", "worker", "attempts", "last_error", "seal", "hash", "prev_hash", "sealed", "stamp", "request_id"})
"""Columns that tell of tries, clocks and chance, not of what came of the path."""
COUNTER = ("ml_number_counter", "id")
"""Taken by an insert that found its row there already, and not given back."""
CHANCE = tuple((re.compile(pattern), word) for pattern, word in (
    (r"\bG[0-9A-F]{20}\b", "G*"), (r"\bE[0-9A-F]{16}\b", "E*"),                              # numbers that the gateway draws
    (r"\bdemo:t\d+", "demo:*"),                                                                # the request of a lender's person
    (r'"sealed": ?"[^"]*"', '"sealed": "*"'), (r"m1\.[0-9a-f]{8}\.[\w=-]+", "m1.*"),          # ciphertexts
    (r"\bbody_digest=\w+( id=\d+ key=notice-)[0-9a-f]{64}", r"\1*"),                         # of a notice with such a number
    (r"\b[0-9a-f]{24}(?:[0-9a-f]{8})?\b", "*"),                                              # references of messages, numbers of runs of rules
    (r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(\.\d+)?(Z|\+00:00|\+08:00)?", "<time>")))
"""What chance and clocks write."""


BY_KEY = {"ml_scheduled_run": ("platform.scheduled_run", "key"), "lending__payment_notice": ("lending.payment_notice", "event_no")}
OF_RUNS = frozenset({"ml_run_part", "ml_run_error", "lending__loan_day", "lending__loan_provision"})
RUN = re.compile(r'"run": ?(\d+)')
MASS = re.compile(r'(?<="digest": )"[0-9a-f]{64}"')


def dump(tenant: Tenant) -> dict[str, list[str]]:
    """All rows of all tables as text, without times, tries and random numbers; the gateway's books, too."""
    found: dict[str, list[str]] = {}
    with tenant.read() as conn:
        named = {entity: dict(conn.exec_driver_sql(f"SELECT id, '<' || {key} || '>' FROM {table}").all()) for table, (entity, key) in BY_KEY.items()}  # noqa: S608
        for table in _tables(conn):
            if table in LEFT_OUT:
                continue
            rows = conn.exec_driver_sql(f'SELECT * FROM "{table}"').mappings().all()  # noqa: S608 (names out of the catalog)
            if rows:
                names = sorted(name for name in rows[0] if not TIMES.search(name) and name not in OTHER and (table, name) != COUNTER)
                found[table] = sorted(_said(_by_key(table, row, named), names) for row in rows)
    simulator = gateway(tenant)
    with simulator._books() as books:
        found["gateway.payout"] = sorted(f"{row['order_no']} {row['cents']} {row['state']} {row['kind']}" for row in books.execute("SELECT * FROM payout"))
        found["gateway.movement"] = sorted(f"{row['account']} {row['cents']}" for row in books.execute("SELECT * FROM movement"))
    return found


def gateway(tenant: Tenant) -> GatewaySimulator:
    folder = tenant.settings.home / "plugins" / tenant.name / "gateway_sandbox"
    folder.mkdir(parents=True, exist_ok=True)
    return GatewaySimulator(folder / "gateway.sqlite")


def _by_key(table: str, row: Mapping[str, Any], named: Mapping[str, Mapping[int, str]]) -> Mapping[str, Any]:
    """The row with what came in another order by its key: where the scheduler was in the way of a job, or an answer was lost, the next one came
    first. A digest of what a run wrote holds its number."""
    told, runs = dict(row), named["platform.scheduled_run"]
    if table in BY_KEY:
        told["id"] = named[BY_KEY[table][0]][row["id"]]
    if table == "ml_audit":
        told["id"] = "*"
    if table in OF_RUNS and row["run_id"] is not None:
        told["run_id"] = runs[row["run_id"]]
    if row.get("entity") in named:
        told["record_id"] = named[row["entity"]].get(row["record_id"], row["record_id"])
    if table == "ml_audit" and row["after"] and '"mass"' in str(row["after"]):
        told["after"] = MASS.sub("*", RUN.sub(lambda one: f'"run": "{runs.get(int(one[1]), one[1])}"', str(row["after"])))
    return told


def _said(row: Mapping[str, Any], names: list[str]) -> str:
    return _without_chance(" ".join(f"{name}={row[name]!s}" for name in names if row[name] is not None and not hasattr(row[name], "tzinfo")))


@lru_cache(maxsize=100_000)
def _without_chance(text: str) -> str:
    """Most rows are those of the trial before."""
    for pattern, word in CHANCE:
        text = pattern.sub(word, text)
    return text


def _tables(conn: sa.Connection) -> list[str]:
    if conn.dialect.name == "sqlite":
        found = conn.exec_driver_sql("SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%'")
    else:
        found = conn.exec_driver_sql("SELECT tablename FROM pg_tables WHERE schemaname = current_schema()")
    return sorted(found.scalars())


def difference(wanted: Mapping[str, list[str]], found: Mapping[str, list[str]], most: int = 3) -> str:
    """Where two dumps differ, in words; '' when they are one."""
    said = []
    for table in sorted({*wanted, *found}):
        one, other = wanted.get(table, []), found.get(table, [])
        if one != other:
            missing, extra = [row for row in one if row not in other], [row for row in other if row not in one]
            said.append(f"{table}: {len(one)} rows wanted, {len(other)} found")
            said += [f"   {_unlike(*pair)}" for pair in list(zip_longest(missing, extra, fillvalue=""))[:most]]
    return "\n".join(said)


def _unlike(one: str, other: str) -> str:
    """The words in which two rows differ; a row that has no other whole."""
    if not one or not other:
        return f"{'+' if other else '-'} {(one or other)[:300]}"
    words, others = one.split(" "), other.split(" ")
    return f"- {' '.join(word for word in words if word not in others)[:200]} + {' '.join(word for word in others if word not in words)[:200]}"


# -- after a death ------------------------------------------------------------------------------------------------------


def expire(tenant: Tenant) -> None:
    """Leases of the dead are over and pauses behind; numbers that rolled back transactions took on PostgreSQL are given again, so that a
    dump can be compared with that of a run without deaths."""
    if tenant.dialect == "postgresql":
        _alone(tenant)
    past = _past(tenant)
    with tenant.write() as conn:
        conn.exec_driver_sql(f"UPDATE ml_outbox SET lease_until = {past} WHERE lease_until IS NOT NULL")  # noqa: S608
        conn.exec_driver_sql(f"UPDATE ml_run_part SET lease_until = {past} WHERE lease_until IS NOT NULL")  # noqa: S608
    hurry(tenant)
    if tenant.dialect == "postgresql":
        rewind(tenant)


def hurry(tenant: Tenant) -> None:
    """Pauses are behind; leases stand."""
    with tenant.write() as conn:
        conn.exec_driver_sql(f"UPDATE ml_outbox SET run_after = {_past(tenant)} WHERE state IN ('pending', 'running') AND kind <> 'approval.timer'")  # noqa: S608


def _past(tenant: Tenant) -> str:
    return "'2020-01-01T00:00:00.000000Z'" if tenant.dialect == "sqlite" else "timestamptz '2020-01-01'"


def _alone(tenant: Tenant) -> None:
    """The server has noticed the death: until then a row that was not committed keeps an insert of the same key waiting, and a number is lost."""
    for _ in range(600):
        with tenant.read() as conn:
            if not conn.exec_driver_sql("SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND state <> 'idle' "
                                        "AND pid <> pg_backend_pid()").scalar():
                return
        time.sleep(0.05)


def rewind(tenant: Tenant) -> None:
    with tenant.ddl() as conn:
        columns = conn.exec_driver_sql(
            "SELECT table_name, column_name FROM information_schema.columns WHERE table_schema = current_schema() AND "
            "(is_identity = 'YES' OR column_default LIKE 'nextval(%%')").all()
        for table, column in columns:
            conn.exec_driver_sql(f"""SELECT setval(pg_get_serial_sequence('"{table}"', '{column}'), coalesce(max("{column}"), 0) + 1, false) FROM "{table}" """)  # noqa: S608
