# ruff: noqa: C408, E501 (rows read better as dict(...); the YAML lines are long)
"""A small neutral world for reading and writing tests: projects with tasks, owned by people of two companies."""

from __future__ import annotations

from contextlib import contextmanager
from datetime import UTC, date, datetime
from decimal import Decimal
from types import SimpleNamespace

import sqlalchemy as sa

from metaloom.access import AccessPlan, Actor, Assignment, OrgTree, Unit
from metaloom.compile import Source, compile_catalog
from metaloom.expression import Env
from metaloom.record import Reader
from metaloom.storage import Revision, Settings, Tables, Tenancy

PLATFORM = """
pack: {version: 1.0.0, format: 1, label: {zh: 平台, en: Platform}}
"""
COMPANY = """
entity:
  label: {zh: 公司, en: Company}
  title: name
  natural_key: [code]
  shared: true
  fields:
    code: {type: text, required: true, unique: true, label: {zh: 编码, en: Code}}
    name: {type: text, required: true, label: {zh: 名称, en: Name}}
    business_date: {type: date, label: {zh: 营业日, en: Business date}}
"""
ORG_UNIT = """
entity:
  label: {zh: 部门, en: Unit}
  title: name
  shared: true
  fields:
    code: {type: text, required: true, label: {zh: 编码, en: Code}}
    name: {type: text, required: true, label: {zh: 名称, en: Name}}
    company: {type: company, required: true, label: {zh: 公司, en: Company}}
    parent: {type: org_unit, label: {zh: 上级, en: Parent}}
"""
USER = """
entity:
  label: {zh: 用户, en: User}
  title: display_name
  storage: engine
  table: ab_user
  shared: true
  delete: never
  fields:
    username: {type: text, length: 128, label: {zh: 账号, en: Username}}
    display_name: {type: text, length: 100, label: {zh: 姓名, en: Name}}
"""
CLIENT = """
entity:
  label: {zh: 客户, en: Client}
  title: name
  subtitle: client_no
  natural_key: [client_no]
  owned_by: [company, org_unit, user]
  related: {projects: {entity: project, field: client, label: {zh: 项目, en: Projects}}}
  fields:
    client_no: {type: text, length: 20, required: true, unique: true, label: {zh: 客户编号, en: Client number}}
    name: {type: text, length: 60, required: true, search: contains, pinyin: true, label: {zh: 名称, en: Name}}
    id_no: {type: id_card, unique: true, encrypted: true, mask: id_card, search: exact, label: {zh: 证件号, en: ID number}}
    mobile: {type: phone, encrypted: true, mask: phone, search: last4, label: {zh: 手机, en: Mobile}}
    level: {type: choice, choices: level, label: {zh: 级别, en: Level}}
    income: {type: money, label: {zh: 收入, en: Income}}
access:
  own: {scope: self, actions: [list, read, create, edit, export, history]}
  office: {scope: company, actions: [list, read, export, history]}
  masked_reader: {scope: company, actions: [list, read], fields: {income: hidden}}
  all_clients: {scope: all, actions: [list, read, export]}
"""
PROJECT = """
entity:
  label: {zh: 项目, en: Project}
  title: name
  natural_key: [code]
  owned_by: [company, org_unit, user]
  fields:
    code: {type: text, length: 20, required: true, unique: true, label: {zh: 编号, en: Code}}
    name: {type: text, length: 100, required: true, pinyin: true, label: {zh: 名称, en: Name}}
    client: {type: link, entity: client, label: {zh: 客户, en: Client}}
    budget: {type: money, min: 0, label: {zh: 预算, en: Budget}}
    margin: {type: rate, label: {zh: 毛利率, en: Margin}}
    hours: {type: integer, min: 0, max: 100000, label: {zh: 工时, en: Hours}}
    starts_on: {type: date, label: {zh: 开始, en: Starts}}
    meets_at: {type: time, label: {zh: 例会, en: Meeting}}
    closed_at: {type: datetime, label: {zh: 关闭于, en: Closed at}}
    urgent: {type: boolean, label: {zh: 加急, en: Urgent}}
    kinds: {type: multi_choice, choices: kind, label: {zh: 类型, en: Kinds}}
    tags: {type: tags, label: {zh: 标签, en: Tags}}
    reviewer: {type: user, label: {zh: 复核人, en: Reviewer}}
    secret: {type: text, label: {zh: 内部备注, en: Secret}}
    notes: {type: rich_text, label: {zh: 说明, en: Notes}}
    extra: {type: json, label: {zh: 附加, en: Extra}}
    files: {type: attachment, label: {zh: 附件, en: Files}}
    tasks: {type: child, entity: task, label: {zh: 任务, en: Tasks}}
    total: {type: money, computed: "budget * 2", label: {zh: 总额, en: Total}}
    status: {type: state, label: {zh: 状态, en: Status}}
  rules:
    budget_by_hours: {check: "budget >= hours", message: {zh: "预算不能低于工时 {hours}", en: "The budget is below the hours {hours}"}, field: budget, when: "urgent == true"}
  unique:
    one_name: {fields: [name, client], message: {zh: 该客户已有同名项目, en: This client has a project of that name}}
  indexes:
    by_budget: {fields: [budget]}
lifecycle:
  field: status
  initial: draft
  states:
    draft: {label: {zh: 草稿, en: Draft}, colour: grey, editable: true}
    open: {label: {zh: 进行中, en: Open}, colour: green, editable: true}
    done: {label: {zh: 完成, en: Done}, colour: blue, final: true}
  transitions:
    start: {from: [draft], to: open, label: {zh: 启动, en: Start}}
    finish: {from: [open], to: done, label: {zh: 完成, en: Finish}}
list:
  columns: [code, name, client, client.level, budget, status, created_at]
  search: [name, status]
  sort: [-created_at]
  totals: [budget]
  tabs:
    all: {label: {zh: 全部, en: All}}
    open: {label: {zh: 进行中, en: Open}, filter: "status == 'open'"}
    big: {label: {zh: 大项目, en: Big}, filter: "budget > 500 and client.level == 'gold'"}
access:
  own: {scope: self, actions: [list, read, create, edit, export, history], fields: {"*": write}}
  own_secret: {scope: self, actions: [list, read], fields: {"*": hidden, name: read, secret: read, budget: read}}
  office: {scope: company, actions: [list, read, export, history], fields: {secret: hidden, budget: hidden}}
  everything: {scope: all, actions: [list, read, create, edit, export, history]}
  tree: {scope: dept_tree, actions: [list, read]}
  unit: {scope: dept, actions: [list, read]}
  north: {scope: custom, units: [north], actions: [list, read]}
  checker: {scope: assigned, assigned_field: reviewer, actions: [list, read, approve]}
  big: {scope: expression, condition: "budget > 500 and org_unit == user.org_unit", actions: [list, read]}
  nobody: {scope: none, actions: [list, read, create]}
"""
TASK = """
entity:
  label: {zh: 任务, en: Task}
  title: title
  child_of: {entity: project, field: project}
  delete: physical
  fields:
    project: {type: link, entity: project, required: true, label: {zh: 项目, en: Project}}
    title: {type: text, length: 50, required: true, label: {zh: 标题, en: Title}}
    hours: {type: integer, min: 0, label: {zh: 工时, en: Hours}}
"""
INVOICE = """
entity:
  label: {zh: 发票, en: Invoice}
  title: number
  scope_from: project
  fields:
    number: {type: text, required: true, unique: true, label: {zh: 号码, en: Number}}
    project: {type: link, entity: project, required: true, label: {zh: 项目, en: Project}}
    amount: {type: money, label: {zh: 金额, en: Amount}}
access:
  own: {scope: self, actions: [list, read]}
  office: {scope: company, actions: [list, read]}
"""
NOTE = """
entity:
  label: {zh: 公告, en: Notice}
  title: title
  shared: true
  fields:
    title: {type: text, required: true, label: {zh: 标题, en: Title}}
access:
  office: {scope: all, actions: [list, read]}
"""
DEMO = """
pack: {version: 1.0.0, format: 1, label: {zh: 演示, en: Demo}}
roles:
  own: {label: {zh: 本人, en: Own}}
  own_secret: {label: {zh: 本人机密, en: Own secrets}}
  office: {label: {zh: 公司, en: Office}}
  everything: {label: {zh: 全部, en: Everything}}
  tree: {label: {zh: 部门树, en: Tree}}
  unit: {label: {zh: 部门, en: Unit}}
  north: {label: {zh: 北区, en: North}}
  checker: {label: {zh: 复核, en: Checker}}
  big: {label: {zh: 大额, en: Big}}
  nobody: {label: {zh: 无, en: Nobody}}
  masked_reader: {label: {zh: 脱敏, en: Masked reader}}
  all_clients: {label: {zh: 全部客户, en: All clients}}
choices:
  level: {label: {zh: 级别, en: Level}, items: {gold: {label: {zh: 金, en: Gold}, colour: yellow}, iron: {label: {zh: 铁, en: Iron}}, lead: {label: {zh: 铅, en: Lead}, hidden: true}}}
  kind: {label: {zh: 类型, en: Kind}, items: {build: {label: {zh: 建设, en: Build}}, fix: {label: {zh: 维修, en: Fix}}}}
"""
MODULE = "module: {label: {zh: 模块, en: Module}}\n"

FILES = {
    "platform/pack.yaml": PLATFORM, "platform/base/module.yaml": MODULE,
    "platform/base/company/entity.yaml": COMPANY, "platform/base/org_unit/entity.yaml": ORG_UNIT,
    "platform/base/user/entity.yaml": USER,
    "demo/pack.yaml": DEMO, "demo/work/module.yaml": MODULE,
    "demo/work/client/entity.yaml": CLIENT, "demo/work/project/entity.yaml": PROJECT, "demo/work/task/entity.yaml": TASK,
    "demo/work/invoice/entity.yaml": INVOICE, "demo/work/note/entity.yaml": NOTE,
}


def catalog():
    return compile_catalog(tuple(Source("engine" if path.startswith("platform") else "pack", path, text) for path, text in FILES.items()))


NOW = datetime(2026, 11, 1, 8, tzinfo=UTC)
# companies 1, 2; units: 1 head (company 1) > 2 north > 3 north-east ; 4 south (company 1) ; 5 other (company 2)
UNITS = (Unit(1, 1, None, "head", "总部"), Unit(2, 1, 1, "north", "北区"), Unit(3, 1, 2, "north_east", "东北"),
         Unit(4, 1, 1, "south", "南区"), Unit(5, 2, None, "other", "二公司"))
PEOPLE = {1: ("ann", 1, 2), 2: ("bob", 1, 3), 3: ("cai", 1, 4), 4: ("dee", 2, 5)}
PHONES = {1: "13256785917", 2: "13912345678", 3: "13700001111", 4: "13800002222"}
ID_CARDS = {1: "11010119900307109X", 2: "11010119900307811X", 3: "110101199003070775", 4: "110101199003076229"}


class World:
    """One tenant with people, clients and projects; ``as_(user, roles…)`` gives a reader."""

    def __init__(self, tenancy: Tenancy, name: str, made) -> None:
        self.tenancy, self.catalog = tenancy, made
        tables = Tables(made)
        self.tenant = tenancy.create(name, name, after_create=[lambda conn: self._make_tables(conn, tables)])
        self.revision = Revision(1, made.digest, made, tables, self.tenant.dialect)
        self.org = OrgTree.of(UNITS)

    def _make_tables(self, conn, tables: Tables) -> None:
        for entity in self.catalog.entities.values():
            if entity.storage != "engine":
                tables.of(entity.address).create(conn)

    def fill(self) -> None:
        t = self.revision.tables.of
        with self.tenant.write() as conn:
            for i, (username, company, unit) in PEOPLE.items():
                conn.execute(self.revision.tables.engine.user.insert().values(
                    id=i, username=username, display_name=username.title(), email=f"{username}@x.cn", company_id=company,
                    org_unit_id=unit, active=True))
            self._rows(conn, "platform.company", [dict(code="c1", name="一公司"), dict(code="c2", name="二公司")])
            self._rows(conn, "platform.org_unit", [
                dict(id=u.id, code=u.code, name=u.name, company_id=u.company_id, parent_id=u.parent_id) for u in UNITS])
            self._rows(conn, "demo.client", [self.client_row(i) for i in PEOPLE])
            self._rows(conn, "demo.project", [self.project_row(i) for i in range(1, 9)])
            self._rows(conn, "demo.task", [dict(project_id=i, title=f"task {i}", hours=i) for i in range(1, 9)])
            self._rows(conn, "demo.invoice", [dict(number=f"I{i}", project_id=i, amount=Decimal(i)) for i in range(1, 9)])
            self._rows(conn, "demo.note", [dict(title="hello")])
        if self.tenant.dialect == "postgresql":  # the rows above named their ids; later ones are numbered by the database
            with self.tenant.ddl() as conn:
                for entity in ("demo.client", "demo.project", "demo.task"):
                    conn.execute(sa.text(f"SELECT setval(pg_get_serial_sequence('{t(entity).name}', 'id'), 90000)"))

    def _rows(self, conn, entity: str, rows: list[dict]) -> None:
        table = self.revision.tables.of(entity)
        for row in rows:
            conn.execute(table.insert().values(**{"row_version": 1, "created_at": NOW, "updated_at": NOW, **row}))

    def client_row(self, i: int) -> dict:
        secrets = self.tenant.secrets
        username, company, unit = PEOPLE[i]
        name = {1: "张三", 2: "李四", 3: "王五", 4: "赵六"}[i]
        from metaloom.record import pinyin
        from metaloom.record.filters import last4_address

        id_no, mobile = "demo.client/field/id_no", "demo.client/field/mobile"
        return dict(
            id=i, client_no=f"K{i:03d}", name=name, name__py=pinyin.companion(name), level="gold" if i % 2 else "iron",
            income=Decimal(i * 1000), company_id=company, org_unit_id=unit, owner_id=i,
            id_no=secrets.encrypt(id_no, ID_CARDS[i]), id_no__bx=secrets.blind(id_no, ID_CARDS[i]),
            mobile=secrets.encrypt(mobile, PHONES[i]), mobile__bx=secrets.blind(mobile, PHONES[i]),
            mobile__l4=secrets.blind(last4_address(mobile), PHONES[i][-4:]))

    def project_row(self, i: int) -> dict:
        owner = (i - 1) % 4 + 1
        _, company, unit = PEOPLE[owner]
        return dict(
            id=i, code=f"P{i}", name=f"项目{i}", name__py=f"xiangmu{i} xm{i}", client_id=owner, budget=Decimal(i * 100), hours=i,
            starts_on=date(2026, 1, i), status="open" if i > 4 else "draft", secret=f"secret {i}", reviewer_id=5 - owner,
            company_id=company, org_unit_id=unit, owner_id=owner, tags=["a", "红"] if i == 1 else None, margin=Decimal("0.125"))

    def actor(self, user: int, *roles: str, company: int | None = None, unit: int | None = None) -> Actor:
        username, own_company, own_unit = PEOPLE[user]
        held = tuple(Assignment(f"demo.{role}", company, unit) for role in roles)
        return Actor(user, username, username.title(), roles=held, company_id=own_company, org_unit_id=own_unit)

    def env(self, actor: Actor) -> Env:
        return Env(business_date=date(2026, 11, 1), now=NOW, user_id=actor.user_id, roles=actor.role_addresses,
                   user={"id": actor.user_id, "username": actor.username, "name": actor.display_name, "company": actor.company_id,
                         "org_unit": actor.org_unit_id, "companies": (actor.company_id,), "org_units": (actor.org_unit_id,),
                         "roles": tuple(actor.role_addresses)})

    @contextmanager
    def as_(self, user: int, *roles: str, **limits):
        actor = self.actor(user, *roles, **limits)
        with self.tenant.read() as conn:
            yield Reader(conn, self.tenant, self.revision, AccessPlan(self.revision, actor, self.org), self.env(actor))


@contextmanager
def statements(conn: sa.Connection):
    """The SQL texts sent while the block runs."""
    sent: list[str] = []

    def note(connection, cursor, statement, parameters, context, executemany):
        sent.append(statement)

    engine = conn.engine
    sa.event.listen(engine, "before_cursor_execute", note)
    try:
        yield sent
    finally:
        sa.event.remove(engine, "before_cursor_execute", note)


def settings(home, url=None) -> Settings:
    return Settings(home=home, database_url=url, master_key=b"k" * 32, secret_key="s" * 32)


__all__ = ["NOW", "World", "SimpleNamespace", "catalog", "settings", "statements"]
