"""A tenant with the club pack, two companies and people in every role: the world of the command tests."""

from __future__ import annotations

import sys
from datetime import UTC, date, datetime
from decimal import Decimal
from itertools import count
from pathlib import Path

import sqlalchemy as sa

from metaloom import schema_change
from metaloom.access import plan_for
from metaloom.base.clock import FixedClock
from metaloom.command import Context, assign_role, create_record, run_action, save_user, system_context
from metaloom.compile import read_sources
from metaloom.plugin.registry import Place, load
from metaloom.storage import Settings, Tenancy
from metaloom.storage.revisions import compiler_with

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
PLUGINS = HERE / "plugins"
NOW = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
TODAY = date(2026, 3, 1)
ID_CARDS = ("11010519491231002X", "440308199001011234", "320311770706001")
_numbers = count(1)


def plugins(*more):
    if str(PLUGINS) not in sys.path:
        sys.path.insert(0, str(PLUGINS))
    found = load([Place(PLUGINS / "club_desk", "club_desk"), *more])
    assert not found.diagnostics, found.diagnostics
    return found


def sources():
    return read_sources({"engine": ROOT / "metadata"}, ("platform",)) + read_sources({"pack": ROOT / "tests" / "packs"}, ("club",))


class Club:
    """``ctx("clerk")`` asks as a person: clerk, chief, boss (a second chief), stranger (clerk of the other company), guest."""

    def __init__(self, home: Path, url: str, name: str, more=(), places=()) -> None:
        """``more``: sources besides the club's own; ``places``: plugins besides its desk."""
        self.registry = plugins(*places)
        settings = Settings.from_env({"METALOOM_HOME": str(home), "METALOOM_DATABASE_URL": url})
        self.tenancy = Tenancy(settings, compiler=compiler_with(self.registry.manifest()))
        self.clock = FixedClock(NOW)
        self.tenant = self.tenancy.create(name, "俱乐部")
        schema_change.publish(self.tenant, (*sources(), *more))
        self.system = system_context(self.tenant, plugins=self.registry, clock=self.clock)
        self.people: dict[str, int] = {}
        self._fill()

    def _fill(self) -> None:
        self.north = create_record(self.system, "platform.company", {"code": "N", "name": "北店", "business_date": TODAY}).id
        self.south = create_record(self.system, "platform.company", {"code": "S", "name": "南店", "business_date": TODAY}).id
        self.desk = create_record(self.system, "platform.org_unit", {"code": "N1", "name": "北店前台", "company": self.north}).id
        self.far = create_record(self.system, "platform.org_unit", {"code": "S1", "name": "南店前台", "company": self.south}).id
        for name, role, company, unit in (
            ("clerk", "club.clerk", self.north, self.desk), ("chief", "club.chief", self.north, self.desk),
            ("boss", "club.chief", self.north, self.desk), ("stranger", "club.clerk", self.south, self.far),
            ("far_chief", "club.chief", self.south, self.far), ("guest", "club.guest", self.north, self.desk),
            ("admin", "platform.admin", self.north, self.desk),
        ):
            self.add_person(name, role, company, unit)
        self.plan = create_record(self.ctx("chief"), "club.plan", {
            "code": "A", "name": "甲", "fee_min": Decimal("1.00"), "fee_max": Decimal("500.00"), "places": 1000}).id

    def add_person(self, name: str, role: str, company: int, unit: int, staff_no: str | None = None) -> int:
        user = save_user(self.system, None, {
            "username": name, "display_name": name, "email": f"{name}@example.com", "company": company, "org_unit": unit,
            "staff_no": staff_no}).id
        assign_role(self.system, user, role, company=company if role.startswith("club") else None)
        self.people[name] = user
        return user

    def ctx(self, person: str, **more) -> Context:
        revision = self.tenant.revision()
        with self.tenant.read() as conn:
            plan = plan_for(conn, revision, self.people[person])
        return Context(tenant=self.tenant, revision=revision, actor=plan.actor, plan=plan, clock=self.clock,
                       plugins=self.registry, **more)

    # -- short words for tests -----------------------------------------------------------------------------------------

    def new(self, **values):
        """A draft member, made by the clerk."""
        return create_record(self.ctx("clerk"), "club.member", self.values(**values))

    def values(self, **values):
        return {"name": f"会员{next(_numbers)}", "plan": self.plan, "fee": Decimal("100.00"), **values}

    def active(self, **values) -> int:
        """An admitted member."""
        member = self.new(**values)
        run_action(self.ctx("chief"), "club.member", member.id, "admit", {}, member.row_version)
        return member.id

    def row(self, entity: str, record_id: int) -> dict:
        """What is stored, by column."""
        with self.tenant.read() as conn:
            table = self.tenant.revision().tables.of(entity)
            return dict(conn.execute(sa.select(table).where(table.c.id == record_id)).mappings().one())

    def version(self, record_id: int, entity: str = "club.member") -> int:
        return self.row(entity, record_id)["row_version"]

    def number_of(self, entity: str, **where) -> int:
        with self.tenant.read() as conn:
            table = self.tenant.revision().tables.of(entity)
            conditions = [table.c[name] == value for name, value in where.items()]
            return conn.scalar(sa.select(sa.func.count()).select_from(table).where(*conditions))

    def engine_rows(self, table: str, *conditions) -> list[dict]:
        with self.tenant.read() as conn:
            found = getattr(self.tenant.revision().tables.engine, table)
            return [dict(row) for row in conn.execute(sa.select(found).order_by(found.c.id)).mappings()
                    if all(condition(row) for condition in conditions)]

    def dump(self) -> dict[str, int]:
        """Row counts of everything a command may write: nothing changed when two dumps are equal."""
        catalog = self.tenant.revision().catalog
        counts = {address: self.number_of(address) for address, e in catalog.entities.items() if e.pack == "club"}
        for table in ("audit", "outbox", "ledger_entry", "ledger_leg", "idempotency"):
            counts[table] = len(self.engine_rows(table))
        return counts

    def close(self) -> None:
        self.tenancy.drop(self.tenant.name)
        self.tenancy.close()
