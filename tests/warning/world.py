"""A tenant with permits that run out, visits that must be paid and crates that follow their permit: the world of the warning tests."""

from __future__ import annotations

from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from metaloom import schema_change
from metaloom.access import plan_for
from metaloom.base.clock import FixedClock
from metaloom.command import (
    Context,
    assign_role,
    create_record,
    evaluate_warnings,
    move_business_date,
    run_action,
    save_user,
    system_context,
)
from metaloom.compile import Source, read_sources
from metaloom.record import Reader
from metaloom.storage import Settings, Tenancy

ROOT = Path(__file__).parents[2]
ALERT = "platform.alert"
TODAY = date(2026, 3, 1)
EXPIRY, VISIT_DUE, CRATE_DUE = "depot.permit/expiry", "depot.permit/visit_due", "depot.crate/unpacked"

PACK = """
pack: {version: 1.0.0, format: 1, label: {zh: 仓库, en: Depot}}
roles:
  keeper: {label: {zh: 保管员, en: Keeper}}
  chief: {label: {zh: 主管, en: Chief}}
  clerk: {label: {zh: 文员, en: Clerk}}
choices:
  kind:
    label: {zh: 种类, en: Kind}
    items: {dry: {label: {zh: 干货, en: Dry}}, cold: {label: {zh: 冷藏, en: Cold}}}
overlay:
  - {add: platform/choices/alert_measure/items/renew, value: {label: {zh: 换证, en: Renew}}}
  - {add: platform.alert/entity/fields/permit, value: {type: link, entity: depot.permit, read_only: true, label: {zh: 许可证, en: Permit}}}
  - {add: platform.alert/entity/fields/worth, value: {type: money, read_only: true, label: {zh: 金额, en: Worth}}}
  - {add: platform.alert/access/depot.keeper, value: {scope: self, actions: [list, read, acknowledge, handle, snooze, ignore, reopen, history, export]}}
  - {add: platform.alert/access/depot.chief, value: {scope: company, actions: [list, read, acknowledge, handle, snooze, ignore, reopen, history, export]}}
  - {add: platform.alert/access/depot.clerk, value: {scope: company, actions: [list, read]}}
"""

PERMIT = """
entity:
  label: {zh: 许可证, en: Permit}
  title: code
  owned_by: [company, org_unit, user]
  fields:
    code: {type: text, required: true, label: {zh: 编号, en: Code}}
    kind: {type: choice, choices: kind, default: "'dry'", label: {zh: 种类, en: Kind}}
    valid_to: {type: date, label: {zh: 到期日, en: Valid to}}
    granted_on: {type: date, label: {zh: 发证日, en: Granted}}
    worth: {type: money, label: {zh: 金额, en: Worth}}
    fee: {type: money, label: {zh: 费用, en: Fee}}
    active: {type: boolean, default: true, label: {zh: 有效, en: Active}}
    phone: {type: phone, mask: phone, label: {zh: 电话, en: Phone}}
warnings:
  expiry:
    label: {zh: 许可证到期, en: Permit expires}
    when: "active and valid_to <= add_days(business_date(), 30)"
    due: valid_to
    level:
      - {red: "valid_to < business_date()"}
      - {orange: "valid_to <= add_days(business_date(), 7)"}
      - {yellow: "valid_to <= add_days(business_date(), 15)"}
    subject: {zh: "许可证 {code}（{kind}，{worth} 元）于 {valid_to} 到期", en: "Permit {code} ({kind}, {worth}) ends on {valid_to}"}
    set: {permit: id, worth: "worth + fee"}
    receivers: [{field: owner}, {role: chief}]
    measures: [renew, other]
    note: required
    escalate:
      - {after: 7 days, to: [{role: chief}], level: orange}
      - {after: 14 days, to: [{role: chief}], level: red}
    again: {after: 10 days, on_rise: true}
  visit_due:
    label: {zh: 该检查了, en: A visit is due}
    when: "active and granted_on is not null"
    missing: {entity: visit, field: permit, where: "state == 'done'", at: done_on, since: "add_days(business_date(), -90)"}
    subject: {zh: "许可证 {code} 九十天内没有检查", en: "Permit {code} has had no visit for ninety days"}
access:
  keeper: {scope: self, actions: [list, read, create, edit, delete, history]}
  chief: {scope: company, actions: [list, read, edit, transfer, delete, history]}
  clerk: {scope: company, actions: [list, read], fields: {worth: hidden}}
"""

VISIT = """
entity:
  label: {zh: 检查, en: Visit}
  title: state
  scope_from: permit
  delete: physical
  fields:
    permit: {type: link, entity: permit, required: true, label: {zh: 许可证, en: Permit}}
    done_on: {type: date, label: {zh: 检查日, en: Done on}}
    state: {type: choice, choices: visit_state, required: true, default: "'done'", label: {zh: 状态, en: State}}
choices:
  visit_state:
    label: {zh: 检查状态, en: State of a visit}
    items: {done: {label: {zh: 已完成, en: Done}}, planned: {label: {zh: 计划, en: Planned}}}
access:
  keeper: {scope: self, actions: [list, read, create, edit, delete]}
  chief: {scope: company, actions: [list, read, create]}
"""

CRATE = """
entity:
  label: {zh: 货箱, en: Crate}
  title: code
  scope_from: permit
  fields:
    permit: {type: link, entity: permit, required: true, label: {zh: 许可证, en: Permit}}
    code: {type: text, required: true, label: {zh: 箱号, en: Code}}
    unpack_by: {type: date, label: {zh: 最晚拆箱, en: Unpack by}}
warnings:
  unpacked:
    label: {zh: 拆箱到期, en: Crate waits}
    when: "unpack_by < business_date()"
    due: unpack_by
    subject: {zh: "货箱 {code}", en: "Crate {code}"}
    set: {permit: permit}
    receivers: [{field: owner}]
    on: [job]
access:
  keeper: {scope: self, actions: [list, read, create, edit]}
  chief: {scope: company, actions: [list, read]}
"""

FILES = {"depot/pack.yaml": PACK, "depot/yard/module.yaml": "module: {label: {zh: 场地, en: Yard}}", "depot/yard/permit/entity.yaml": PERMIT,
         "depot/yard/visit/entity.yaml": VISIT, "depot/yard/crate/entity.yaml": CRATE}


def sources(**changed: str) -> tuple[Source, ...]:
    """The engine's pack and the depot; ``permit=…`` replaces the text of an entity's file."""
    own = (Source("pack", path, changed.get(path.split("/")[-2], text)) for path, text in FILES.items())
    return (*read_sources({"engine": ROOT / "metadata"}, ("platform",)), *own)


class Depot:
    """``ctx("keeper")`` asks as a person: keeper and other are keepers of the north, chief and clerk too; far keeps the south."""

    def __init__(self, home: Path, url: str, name: str) -> None:
        self.tenancy = Tenancy(Settings.from_env({"METALOOM_HOME": str(home), "METALOOM_DATABASE_URL": url}))
        self.clock = FixedClock(datetime(2026, 3, 1, 2, 0, tzinfo=UTC))
        self.tenant = self.tenancy.create(name, "仓库")
        schema_change.publish(self.tenant, sources())
        self.people: dict[str, int] = {}
        self.system = self._system()
        self.north = create_record(self.system, "platform.company", {"code": "N", "name": "北", "business_date": TODAY}).id
        self.south = create_record(self.system, "platform.company", {"code": "S", "name": "南", "business_date": TODAY}).id
        self.units = {c: create_record(self.system, "platform.org_unit", {"code": f"U{c}", "name": f"U{c}", "company": c}).id for c in (self.north, self.south)}
        for person, role, company in (("keeper", "keeper", self.north), ("other", "keeper", self.north), ("chief", "chief", self.north),
                                      ("clerk", "clerk", self.north), ("far", "keeper", self.south), ("far_chief", "chief", self.south)):
            self.people[person] = save_user(self.system, None, {
                "username": person, "display_name": person, "email": f"{person}@example.com", "company": company, "org_unit": self.units[company]}).id
            assign_role(self.system, self.people[person], f"depot.{role}", company=company)

    def _system(self) -> Context:
        from metaloom.plugin.registry import Registry
        return system_context(self.tenant, plugins=Registry(), clock=self.clock)

    def ctx(self, person: str) -> Context:
        revision = self.tenant.revision()
        with self.tenant.read() as conn:
            plan = plan_for(conn, revision, self.people[person])
        return Context(tenant=self.tenant, revision=revision, actor=plan.actor, plan=plan, clock=self.clock, plugins=self.system.plugins)

    def make(self, entity: str, person: str = "keeper", **values: Any) -> int:
        return create_record(self.ctx(person), f"depot.{entity}", values).id

    def insert(self, entity: str, rows: list[dict[str, Any]]) -> None:
        """Rows laid straight into the table: no command saw them, so only the job can."""
        revision = self.tenant.revision()
        table = revision.tables.of(f"depot.{entity}")
        base = {"row_version": 1, "created_at": self.clock.now(), "updated_at": self.clock.now()}
        with self.tenant.write() as conn:
            conn.execute(table.insert(), [{**base, **row} for row in rows])

    def alter(self, entity: str, record_id: int, **columns: Any) -> None:
        """A change that no command saw."""
        table = self.tenant.revision().tables.of(entity if "." in entity else f"depot.{entity}")
        with self.tenant.write() as conn:
            conn.execute(table.update().where(table.c.id == record_id).values(**columns))

    def day(self, day: date, *companies: int) -> None:
        for company in companies or (self.north, self.south):
            move_business_date(self.system, company, day)

    def run(self, *rules: str, **more: Any):
        return evaluate_warnings(self._system(), list(rules) or None, **more)

    def alerts(self, record_id: int | None = None, rule: str = EXPIRY) -> list[dict[str, Any]]:
        a = self.tenant.revision().tables.of(ALERT)
        query = sa.select(a).where(a.c.rule == rule).order_by(a.c.id)
        with self.tenant.read() as conn:
            rows = conn.execute(query if record_id is None else query.where(a.c.record_id == record_id)).mappings().all()
        return [dict(row) for row in rows]

    def alert(self, record_id: int, rule: str = EXPIRY) -> dict[str, Any]:
        return self.alerts(record_id, rule)[-1]

    def do(self, person: str, alert: dict[str, Any], action: str, reason: str = "", **given: Any):
        version = next(a["row_version"] for a in self.alerts(rule=alert["rule"]) if a["id"] == alert["id"])
        return run_action(self.ctx(person), ALERT, alert["id"], action, given, version, reason)

    def seen(self, person: str, **asked: Any):
        """The alerts that a person's list shows."""
        ctx = self.ctx(person)
        with self.tenant.read() as conn:
            reader = Reader(conn, self.tenant, ctx.revision, ctx.plan, locale="zh")
            return list(reader.list(ALERT, view=ctx.revision.catalog.lists[f"{ALERT}/main"], limit=200, **asked).rows)

    def messages(self, person: str) -> list[dict[str, Any]]:
        table = self.tenant.revision().tables.engine.message
        with self.tenant.read() as conn:
            return [dict(row) for row in conn.execute(sa.select(table).where(table.c.receiver_id == self.people[person]).order_by(table.c.id)).mappings()]

    def close(self) -> None:
        self.tenancy.drop(self.tenant.name)
        self.tenancy.close()
