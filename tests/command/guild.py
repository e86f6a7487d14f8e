"""A tenant with the guild pack: people in every role, requests to decide about. The world of the approval tests."""

from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal
from itertools import count
from pathlib import Path

import sqlalchemy as sa

from metaloom import schema_change
from metaloom.access import plan_for
from metaloom.approval import codec, replay
from metaloom.base.clock import FixedClock
from metaloom.command import (
    Context,
    approval_rows,
    assign_role,
    create_record,
    decide_task,
    move_case,
    save_user,
    start_approval,
    system_context,
)
from metaloom.compile import read_sources
from metaloom.storage import Settings, Tenancy

ROOT = Path(__file__).parents[2]
NOW = datetime(2026, 3, 2, 2, 0, tzinfo=UTC)          # a Monday, 10:00 in the tenant's zone
TODAY = date(2026, 3, 2)
REQUEST, PAPER = "guild.request", "guild.paper"
PEOPLE = (
    ("clerk", "guild.clerk"), ("clerk2", "guild.clerk"), ("checker", "guild.checker"), ("master", "guild.master"), ("judge1", "guild.judge"),
    ("judge2", "guild.judge"), ("judge3", "guild.judge"), ("payer", "guild.payer"), ("blind", "guild.blind"), ("admin", "platform.admin"),
)  # fmt: skip
_numbers = count(1)


def sources(change=lambda text: text):
    """The engine's pack and the guild; ``change`` may alter the text of the chains."""
    read = read_sources({"engine": ROOT / "metadata"}, ("platform",)) + read_sources({"pack": ROOT / "tests" / "packs"}, ("guild",))
    return tuple(_changed(source, change) for source in read)


def _changed(source, change):
    from dataclasses import replace

    return replace(source, text=change(source.text)) if source.path.endswith("request/approval.yaml") else source


class Guild:
    """``ctx("clerk")`` asks as a person. ``start`` and ``decide`` are the two commands that most tests need."""

    def __init__(self, home: Path, url: str, name: str) -> None:
        self.tenancy = Tenancy(Settings.from_env({"METALOOM_HOME": str(home), "METALOOM_DATABASE_URL": url}))
        self.clock = FixedClock(NOW)
        self.tenant = self.tenancy.create(name, "行会")
        schema_change.publish(self.tenant, sources())
        self.system = system_context(self.tenant, plugins=None, clock=self.clock)
        self.people: dict[str, int] = {}
        self.company = create_record(self.system, "platform.company", {"code": "G", "name": "总会", "business_date": TODAY}).id
        self.other = create_record(self.system, "platform.company", {"code": "H", "name": "分会", "business_date": TODAY}).id
        self.top = create_record(self.system, "platform.org_unit", {"code": "G0", "name": "总部", "company": self.company}).id
        self.unit = create_record(self.system, "platform.org_unit", {"code": "G1", "name": "一室", "company": self.company, "parent": self.top}).id
        for person, role in PEOPLE:
            self.add_person(person, role)

    def add_person(self, name: str, *roles: str, company: int | None = None, **more) -> int:
        """A person with roles limited to the company (the administrator's is not)."""
        place = company or self.company
        user = save_user(self.system, None, {"username": name, "display_name": name, "email": f"{name}@example.com", "company": place,
                                             "org_unit": self.unit if place == self.company else None, **more}).id
        for role in roles:
            assign_role(self.system, user, role, company=None if role.startswith("platform") else place)
        self.people[name] = user
        return user

    def ctx(self, person: str, **more) -> Context:
        revision = self.tenant.revision()
        with self.tenant.read() as conn:
            plan = plan_for(conn, revision, self.people[person])
        return Context(tenant=self.tenant, revision=revision, actor=plan.actor, plan=plan, clock=self.clock, **more)

    # -- short words for tests -----------------------------------------------------------------------------------------

    def request(self, who: str = "clerk", **values) -> int:
        values = {"name": f"事项{next(_numbers)}", "amount": Decimal("500.00"), "purpose": "修缮", **values}
        return create_record(self.ctx(who), REQUEST, values).id

    def start(self, chain: str = "main", record: int | None = None, who: str = "clerk", **more) -> int:
        """A case of the chain about a new request (or the one given)."""
        record = record if record is not None else self.request(who)
        return start_approval(self.ctx(who), REQUEST, record, chain, **more).results["case"]

    def open_task(self, case: int, person: str | None = None, step: str | None = None) -> int:
        """The one open task of the case (of the person, at the step)."""
        found = [t for t in self.tasks(case) if t["status"] == "open" and (person is None or t["assignee_id"] == self.people[person])
                 and step in (None, t["step"])]
        assert len(found) == 1, [(t["step"], t["kind"], t["status"], t["assignee_id"]) for t in self.tasks(case)]
        return found[0]["id"]

    def decide(self, case: int, person: str, decision: str = "pass", opinion: str = "可", step: str | None = None, **more):
        task = self.open_task(case, person, step)
        more.setdefault("record_version", self.version(self.case(case)["record_id"], self.case(case)["entity"]))
        return decide_task(self.ctx(person), task, decision, opinion, **more)

    def move(self, case: int, person: str, kind: str, task: int | None = None, **data):
        given = {"task_id": task} if task is not None else {"case_id": case}
        return move_case(self.ctx(person), kind, data=data, **given)

    def rows(self, table: str, **where) -> list[dict]:
        with self.tenant.read() as conn:
            found = getattr(self.tenant.revision().tables.engine, table)
            wanted = [found.c[name] == value for name, value in where.items()]
            return [dict(row) for row in conn.execute(sa.select(found).where(*wanted).order_by(found.c.id)).mappings()]

    def tasks(self, case: int) -> list[dict]:
        return self.rows("approval_task", case_id=case)

    def case(self, case: int) -> dict:
        return self.rows("approval_case", id=case)[0]

    def record(self, record_id: int, entity: str = REQUEST) -> dict:
        with self.tenant.read() as conn:
            table = self.tenant.revision().tables.of(entity)
            return dict(conn.execute(sa.select(table).where(table.c.id == record_id)).mappings().one())

    def version(self, record_id: int, entity: str = REQUEST) -> int:
        return self.record(record_id, entity)["row_version"]

    def log(self, case: int) -> list[str]:
        return [row["kind"] for row in self.rows("approval_event", case_id=case)]

    def check(self, *cases: int) -> None:
        """The case rebuilt from its log equals the stored one, and the rows of its tasks say the same."""
        for case in cases or [row["id"] for row in self.rows("approval_case")]:
            row = self.case(case)
            with self.tenant.read() as conn:
                rebuilt = replay(approval_rows.events(conn, self.tenant.revision().tables, case))
            assert codec.dump_state(rebuilt) == row["state"], case
            assert codec.load_state(row["state"]) == rebuilt
            assert row["status"] == rebuilt.status
            tasks = {t["task_no"]: t for t in self.tasks(case)}
            assert {no: (t.status, t.assignee, t.decision or None) for no, t in rebuilt.tasks.items()} == {
                no: (t["status"], t["assignee_id"], t["decision"]) for no, t in tasks.items()}, case

    def close(self) -> None:
        self.tenancy.drop(self.tenant.name)
        self.tenancy.close()
