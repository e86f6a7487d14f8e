"""A tenant with the hire pack and a provider that does what it is told: the world of the process tests."""

from __future__ import annotations

import sys
from contextlib import suppress
from datetime import UTC, date, datetime, timedelta
from itertools import count
from pathlib import Path

import sqlalchemy as sa

from metaloom import schema_change
from metaloom.access import plan_for
from metaloom.base.clock import FixedClock
from metaloom.command import (
    Context,
    assign_role,
    create_record,
    handle_process,
    run_action,
    save_user,
    system_context,
    wake_runs,
)
from metaloom.command.process_run import dump_state, load_state
from metaloom.compile import read_sources
from metaloom.job import run_due
from metaloom.lifecycle import RunEvent, replay
from metaloom.plugin.registry import Place, load
from metaloom.storage import Settings, Tenancy
from metaloom.storage.revisions import compiler_with
from metaloom.worker.handlers import handlers

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
PLUGINS = HERE / "plugins"
NOW = datetime(2026, 3, 2, 2, 0, tzinfo=UTC)          # a Monday, 10:00 in the tenant's zone
TODAY = date(2026, 3, 2)
ORDER = "hire.rental"
PEOPLE = (("clerk", "hire.clerk"), ("clerk2", "hire.clerk"), ("chief", "hire.chief"), ("guest", "hire.guest"), ("admin", "platform.admin"),
          ("both", "hire.clerk"))
_numbers = count(1)


def plugins():
    if str(PLUGINS) not in sys.path:
        sys.path.insert(0, str(PLUGINS))
    found = load([Place(PLUGINS / "hire_desk", "hire_desk")])
    assert not found.diagnostics, found.diagnostics
    return found


def sources(change=lambda text: text):
    """The engine's pack and the hire pack; ``change`` may alter the text of the order."""
    from dataclasses import replace

    read = read_sources({"engine": ROOT / "metadata"}, ("platform",)) + read_sources({"pack": ROOT / "tests" / "packs"}, ("hire",))
    return tuple(replace(s, text=change(s.text)) if s.path.endswith("rental/entity.yaml") else s for s in read)


class Hire:
    """``ctx("clerk")`` asks as a person; ``drain`` is the worker; ``pass_time`` moves the clock and wakes what is due then."""

    def __init__(self, home: Path, url: str, name: str) -> None:
        self.registry = plugins()
        settings = Settings.from_env({"METALOOM_HOME": str(home), "METALOOM_DATABASE_URL": url})
        self.tenancy = Tenancy(settings, compiler=compiler_with(self.registry.manifest()))
        self.clock = FixedClock(NOW)
        self.tenant = self.tenancy.create(name, "租赁")
        schema_change.publish(self.tenant, sources())
        self.system = system_context(self.tenant, plugins=self.registry, clock=self.clock)
        self.company = create_record(self.system, "platform.company", {"code": "H", "name": "总店", "business_date": TODAY}).id
        self.unit = create_record(self.system, "platform.org_unit", {"code": "H1", "name": "前台", "company": self.company}).id
        self.people: dict[str, int] = {}
        for person, role in PEOPLE:
            self.people[person] = save_user(self.system, None, {"username": person, "display_name": person, "email": f"{person}@example.com",
                                                                "company": self.company, "org_unit": self.unit}).id
            assign_role(self.system, self.people[person], role, company=None if role.startswith("platform") else self.company)
        assign_role(self.system, self.people["both"], "hire.chief", company=self.company)

    def told(self):
        """The provider's own memory."""
        from hire_desk.oracle import Oracle

        class Folder:
            folder = self.tenant.settings.home / "plugins" / self.tenant.name / "hire_desk"

        return Oracle(Folder)

    def ctx(self, person: str, **more) -> Context:
        revision = self.tenant.revision()
        with self.tenant.read() as conn:
            plan = plan_for(conn, revision, self.people[person])
        return Context(tenant=self.tenant, revision=revision, actor=plan.actor, plan=plan, clock=self.clock, plugins=self.registry, **more)

    # -- short words for tests -----------------------------------------------------------------------------------------

    def order(self, who: str = "clerk", **values) -> int:
        return create_record(self.ctx(who), ORDER, {"name": f"单{next(_numbers)}", **values}).id

    def act(self, who: str, record: int, action: str, **given):
        return run_action(self.ctx(who), ORDER, record, action, given, self.record(record)["row_version"])

    def asked(self, who: str = "clerk", **values) -> tuple[int, int]:
        """An order that was submitted, and its run."""
        record = self.order(who, **values)
        self.act(who, record, "submit")
        return record, self.runs(record)[-1]["id"]

    def drain(self, rounds: int = 30) -> None:
        for _ in range(rounds):
            if not run_due(self.tenant, handlers(self.registry, self.clock)):
                return
        raise AssertionError("the outbox does not come to rest")

    def step(self, row) -> dict:
        """One outbox row by hand, as a worker does."""
        return handle_process(self.tenant, row, plugins=self.registry, clock=self.clock)

    def take_over(self, row) -> None:
        """The worker that gets a row whose first one died: does it, and settles it."""
        self.step(row)
        with self.tenant.write() as conn:
            table = self.tenant.revision().tables.engine.outbox
            conn.execute(table.update().where(table.c.id == row["id"]).values(state="done"))

    def pass_time(self, **amount) -> None:
        self.clock.at += timedelta(**amount)
        wake_runs(system_context(self.tenant, plugins=self.registry, clock=self.clock))
        self.drain()

    def rows(self, table: str, **where) -> list[dict]:
        with self.tenant.read() as conn:
            found = getattr(self.tenant.revision().tables.engine, table)
            wanted = [found.c[name] == value for name, value in where.items()]
            return [dict(row) for row in conn.execute(sa.select(found).where(*wanted).order_by(found.c.id)).mappings()]

    def runs(self, record: int) -> list[dict]:
        return self.rows("process_run", entity=ORDER, record_id=record)

    def run(self, run_id: int) -> dict:
        return self.rows("process_run", id=run_id)[0]

    def log(self, run_id: int) -> list[str]:
        return [row["kind"] for row in self.rows("process_step", run_id=run_id)]

    def pending(self, run_id: int) -> list[dict]:
        return [row for row in self.rows("outbox", kind="process.step", state="pending") if row["payload"]["run"] == run_id]

    def record(self, record_id: int, entity: str = ORDER) -> dict:
        with self.tenant.read() as conn:
            table = self.tenant.revision().tables.of(entity)
            return dict(conn.execute(sa.select(table).where(table.c.id == record_id)).mappings().one())

    def calls(self, record: int) -> list[dict]:
        """What the provider was asked about an order."""
        name = self.record(record)["name"]
        return [call for call in self.told().calls() if call["subject"]["name"] == name]

    def check(self) -> None:
        """Every run is what its log says, and has a way on while it is open."""
        for row in self.rows("process_run"):
            events = self.rows("process_step", run_id=row["id"])
            assert [e["seq"] for e in events] == [*range(1, row["seq"] + 1)], row["id"]
            rebuilt = replay(RunEvent(e["kind"], e["data"]) for e in events)
            assert dump_state(rebuilt) == row["state"], row["id"]
            assert load_state(row["state"]) == rebuilt
            assert (rebuilt.status, rebuilt.ended) == (row["status"], row["finished_at"] is not None)
            assert (row["open_key"] is None) == rebuilt.ended

    def close(self) -> None:
        with suppress(Exception):
            self.tenancy.drop(self.tenant.name)
        self.tenancy.close()
