"""Two tenants with one small pack, four roles, and an application that serves them."""

from __future__ import annotations

import itertools
import json
from datetime import UTC, date, datetime
from pathlib import Path

from metaloom.command.password import hashed
from metaloom.compile import Source, compile_catalog, read_sources
from metaloom.plugin.registry import Place, load
from metaloom.schema_change import publish
from metaloom.storage import Settings, Tenancy

ROOT = Path(__file__).resolve().parents[2]
NOW = datetime(2026, 11, 20, 1, tzinfo=UTC)
PASSWORD = "correct horse 7 battery"
SENTINEL = "ZZ"
PACK = """
pack: {version: 1.0.0, format: 1, label: {zh: 仓库, en: Depot}, depends: {platform: ">=1.0"}}
roles:
  clerk: {label: {zh: 文员, en: Clerk}}
  chief: {label: {zh: 主管, en: Chief}}
  reader: {label: {zh: 查看, en: Reader}}
  cashier: {label: {zh: 出纳, en: Cashier}}
  packer: {label: {zh: 打包, en: Packer}}
choices:
  colour:
    label: {zh: 颜色, en: Colour}
    items: {red: {label: {zh: 红, en: Red}}, blue: {label: {zh: 蓝, en: Blue}}, old: {label: {zh: 旧, en: Old}, hidden: true}}
number_series:
  order_no: {pattern: "DD{yyyyMMdd}{seq:6}", per: [company, day], mode: gapless, label: {zh: 单号, en: Order number}}
jobs:
  tidy: {label: {zh: 整理, en: Tidy}, steps: [{notify: {roles: [chief], subject: {zh: "完成", en: Done}}}]}
dashboards:
  desk:
    label: {zh: 工作台, en: Desk}
    roles: [clerk]
    widgets:
      count: {type: number, label: {zh: 订单数, en: Orders}, entity: sale}
      total: {type: number, label: {zh: 金额, en: Amount}, entity: sale, measure: sum(amount)}
      states: {type: pie, label: {zh: 按状态, en: By state}, entity: sale, group: status}
      trend: {type: trend, label: {zh: 趋势, en: Trend}, entity: sale, date: created_at, period: last_30_days}
      latest: {type: table, label: {zh: 最近订单, en: Latest}, entity: sale, columns: [order_no, amount]}
      links: {type: links}
menu:
  depot:
    label: {zh: 仓库, en: Depot}
    icon: box
    order: 10
    items:
      orders: {list: sale, label: {zh: 订单, en: Orders}}
      buyers: {list: buyer, label: {zh: 买家, en: Buyers}}
"""
MODULE = "module: {label: {zh: 业务, en: Business}}\n"
BUYER = """
entity:
  label: {zh: 买家, en: Buyer}
  title: name
  icon: users
  natural_key: [code]
  owned_by: [company, user]
  related:
    sales: {entity: sale, field: buyer, label: {zh: 订单, en: Orders}}
  fields:
    code: {type: text, length: 20, required: true, unique: true, fixed: true, label: {zh: 编号, en: Code}}
    name: {type: text, length: 60, required: true, mask: name, search: exact, label: {zh: 姓名, en: Name}}
    mobile: {type: phone, encrypted: true, mask: phone, search: last4, label: {zh: 手机, en: Mobile}}
    secret: {type: text, length: 60, label: {zh: 内部评语, en: Verdict}}
    photo: {type: attachment, label: {zh: 照片, en: Photo}}
list: {columns: [code, name], search: [name], sort: [code]}
access:
  clerk: {scope: self, actions: [list, read, create, edit, history], fields: {"*": write, secret: hidden}}
  chief: {scope: company, actions: [list, read, create, edit, delete, restore, export, history, transfer, print], fields: {"*": write}}
  reader: {scope: company, actions: [list, read, print], fields: {"*": read, secret: hidden, mobile: masked, photo: hidden, name: read}}
  cashier: {scope: company, actions: [list, read], fields: {"*": read, secret: hidden, mobile: masked, name: read}}
  packer: {scope: company, actions: [list, read, edit], fields: {"*": write, name: masked, secret: hidden}}
"""
ORDER = """
entity:
  label: {zh: 订单, en: Order}
  title: order_no
  subtitle: note
  owned_by: [company, user]
  fields:
    order_no: {type: auto_number, series: order_no, label: {zh: 单号, en: Number}}
    buyer: {type: link, entity: buyer, required: true, label: {zh: 买家, en: Buyer}}
    amount: {type: money, required: true, min: 0.01, max: 1000000, label: {zh: 金额, en: Amount}}
    pieces: {type: integer, min: 1, max: 1000, label: {zh: 件数, en: Pieces}}
    share: {type: rate, label: {zh: 比例, en: Share}}
    colour: {type: choice, choices: colour, label: {zh: 颜色, en: Colour}}
    tags: {type: tags, label: {zh: 标签, en: Tags}}
    due_on: {type: date, label: {zh: 到期, en: Due}}
    urgent: {type: boolean, label: {zh: 加急, en: Urgent}}
    note: {type: text, length: 200, label: {zh: 备注, en: Note}}
    extra: {type: json, label: {zh: 附加, en: Extra}}
    lines: {type: child, entity: sale_line, label: {zh: 明细, en: Lines}}
    paid: {type: money, read_only: true, label: {zh: 已付, en: Paid}}
    twice: {type: money, computed: "amount * 2", label: {zh: 两倍, en: Twice}}
    status: {type: state, label: {zh: 状态, en: Status}}
  rules:
    red_is_cheap: {check: "amount <= 5000", when: "colour == 'red'", field: amount, message: {zh: 红色不超过五千, en: Red costs five thousand at most}}
lifecycle:
  field: status
  initial: draft
  states:
    draft: {label: {zh: 草稿, en: Draft}, colour: grey, editable: true}
    sent: {label: {zh: 已提交, en: Sent}, colour: blue}
    done: {label: {zh: 完成, en: Done}, colour: green, final: true}
  transitions:
    send: {from: [draft], to: sent, label: {zh: 提交, en: Send}}
    finish: {from: [sent], to: done, label: {zh: 完成, en: Finish}}
actions:
  send:
    label: {zh: 提交, en: Send}
    bulk: true
    steps:
      - transition: send
  finish:
    label: {zh: 完成, en: Finish}
    asks_reason: true
    maker_is_not: created_by
    input:
      grade: {type: integer, min: 1, max: 5, required: true, label: {zh: 评分, en: Grade}}
    steps:
      - set: {pieces: input.grade}
      - transition: finish
list:
  columns: [order_no, buyer, amount, status]
  search: [status, colour]
  sort: [-created_at]
  totals: [amount]
  tabs:
    all: {label: {zh: 全部, en: All}}
    big: {label: {zh: 大额, en: Big}, filter: "amount > 500"}
approval:
  review:
    label: {zh: 订单复核, en: Review}
    subject: {zh: "{order_no}", en: "{order_no}"}
    start: {roles: [clerk]}
    results: {approved: [{transition: send}]}
    steps:
      look:
        label: {zh: 复核, en: Look}
        who: [{role: chief}]
        outputs: {grade: {type: integer, min: 1, max: 5, required: true, label: {zh: 评分, en: Grade}}}
        fields: {note: write}
  hand:
    label: {zh: 手写签名, en: By hand}
    subject: {zh: "{order_no}", en: "{order_no}"}
    start: {roles: [clerk]}
    steps: {look: {label: {zh: 复核, en: Look}, who: [{role: chief}], signature: drawn}}
prints:
  slip:
    label: {zh: 出货单, en: Slip}
    title: {zh: "出货单 {order_no}", en: "Slip {order_no}"}
    reference: {zh: "买家 {buyer.name}", en: "Buyer {buyer.name}"}
    blocks:
      facts: {fields: [buyer, buyer.mobile, buyer.secret, amount, note]}
      words: {text: {zh: "备注：{note}；评语：{buyer.secret}。", en: "Note: {note}; verdict: {buyer.secret}."}}
      lines: {label: {zh: 货物, en: Goods}, rows: lines, columns: [what, quantity], totals: [quantity]}
      said: {label: {zh: 复核意见, en: Opinions}, opinions: review}
      signed: {sign: [{zh: 收货人, en: Receiver}]}
  done:
    label: {zh: 完成单, en: Done}
    when: "status == 'done'"
    message: {zh: 订单完成后才能打印, en: Print it when the sale is done}
    blocks: {facts: {fields: [order_no]}}
lists:
  urgent: {label: {zh: 加急, en: Urgent}, filter: "urgent == true", columns: [order_no, amount], sort: [order_no]}
access:
  clerk: {scope: self, actions: [list, read, create, edit, history, send], fields: {"*": write}}
  chief: {scope: company, actions: [list, read, create, edit, delete, restore, export, import, history, transfer, send, finish], fields: {"*": write}}
  reader: {scope: company, actions: [list, read], fields: {"*": read, note: hidden}}
  cashier: {scope: company, actions: [list, read, pay], fields: {"*": read}}
"""
LINE = """
entity:
  label: {zh: 明细, en: Line}
  title: what
  child_of: {entity: sale, field: sale}
  delete: physical
  fields:
    sale: {type: link, entity: sale, required: true, label: {zh: 订单, en: Order}}
    what: {type: text, length: 60, required: true, label: {zh: 品名, en: What}}
    quantity: {type: integer, min: 1, max: 1000, required: true, label: {zh: 数量, en: Quantity}}
"""
PAYMENT = """
entity:
  label: {zh: 付款, en: Payment}
  title: amount
  scope_from: sale
  delete: never
  fields:
    sale: {type: link, entity: sale, required: true, label: {zh: 订单, en: Order}}
    amount: {type: money, required: true, label: {zh: 金额, en: Amount}}
access:
  chief: {scope: company, actions: [list, read]}
  cashier: {scope: company, actions: [list, read]}
"""
FILES = {
    "depot/pack.yaml": PACK, "depot/trade/module.yaml": MODULE, "depot/trade/buyer/entity.yaml": BUYER,
    "depot/trade/sale/entity.yaml": ORDER, "depot/trade/sale_line/entity.yaml": LINE, "depot/trade/payment/entity.yaml": PAYMENT,
}
# username → (company, role); ids in this order from 1
PEOPLE = {"clerk": (1, "clerk"), "chief": (1, "chief"), "reader": (1, "reader"), "cashier": (1, "cashier"), "clerk2": (1, "clerk"),
          "other": (2, "chief"), "nobody": (1, None),
          "lockme": (1, "clerk"), "keeper": (1, None)}
_NUMBERS = itertools.count(1)
ROLES = ("clerk", "chief", "reader", "cashier")


def till_registry():
    """The one plugin of the tests."""
    registry = load([Place(Path(__file__).parent / "till", "tests.api.till")])
    assert not registry.diagnostics, registry.diagnostics
    return registry


def sources() -> tuple[Source, ...]:
    engine = read_sources({"engine": ROOT / "metadata"}, ("platform",))
    return (*engine, *(Source("pack", path, text) for path, text in FILES.items()))


class World:
    """An application over a fresh home; ``client(tenant)`` makes a test client."""

    def __init__(self, home: Path, url: str | None = None) -> None:
        from metaloom.app import create_app

        self.registry = till_registry()
        self.settings = Settings(home=home, database_url=url, master_key=b"k" * 32, secret_key="0123456789abcdef" * 4,
                                 file_size_max=1024 * 1024)

        def compiler(texts):
            return compile_catalog(tuple(Source(*text) for text in texts), plugins=self.registry.manifest())

        self.tenancy = Tenancy(self.settings, compiler=compiler)
        self.tenants = {name: self._tenant(name) for name in ("one", "two")}
        self.app = create_app(self.settings, tenancy=self.tenancy, registry=self.registry)

    def _tenant(self, name: str):
        tenant = self.tenancy.create(name, name)
        publish(tenant, sources())
        revision = tenant.revision()
        with tenant.write() as conn:
            self._people(conn, revision)
        return tenant

    def _people(self, conn, revision) -> None:
        secret = hashed(PASSWORD)
        company = revision.tables.of("platform.company")
        for number in (1, 2):
            conn.execute(company.insert().values(code=f"C{number}", name=f"Company {number}", active=True, row_version=1,
                                                 business_date=date(2026, 11, 20), created_at=NOW, updated_at=NOW))
        for id, (username, (place, role)) in enumerate(PEOPLE.items(), 1):
            made = conn.execute(revision.tables.engine.user.insert().values(
                username=username, display_name=username.title(), email=f"{username}@example.cn", company_id=place, active=True,
                password=secret))
            assert made.inserted_primary_key[0] == id
            for held in (f"depot.{role}" if role else None, "platform.staff", "platform.admin" if username == "keeper" else None):
                if held:
                    conn.execute(revision.tables.engine.role_assignment.insert().values(user_id=id, role=held))

    def client(self, tenant: str = "one") -> Caller:
        return Caller(self, tenant)

    def close_all(self) -> None:
        for name in self.tenants:
            self.tenancy.drop(name)
        self.tenancy.close()


class Caller:
    """Speaks to one tenant's API as one person."""

    def __init__(self, world: World, tenant: str) -> None:
        self.world, self.tenant, self.token = world, tenant, ""
        self.http = world.app.test_client(use_cookies=False)

    def login(self, username: str, password: str = PASSWORD) -> Caller:
        answer = self.post("/auth/login", {"username": username, "password": password})
        assert answer.status_code == 200, answer.get_data(as_text=True)
        self.token = answer.json["access_token"]
        return self

    def call(self, method: str, path: str, body=None, *, raw: bytes | None = None, **headers: str):
        sent = {"Accept-Language": "en", **({"Authorization": f"Bearer {self.token}"} if self.token else {}),
                **{name.replace("_", "-"): value for name, value in headers.items()}}
        data = raw if raw is not None else (json.dumps(body).encode() if body is not None else None)
        kind = {"content_type": sent.pop("Content-Type", "application/json")} if data is not None else {}
        return self.http.open(f"/{self.tenant}/api/v1{path}", method=method, data=data, headers=sent, **kind)

    def get(self, path: str, **headers: str):
        return self.call("GET", path, **headers)

    def post(self, path: str, body=None, **headers: str):
        return self.call("POST", path, body, **headers)

    def patch(self, path: str, body=None, **headers: str):
        return self.call("PATCH", path, body, **headers)

    def delete(self, path: str, body=None, **headers: str):
        return self.call("DELETE", path, body, **headers)

    def etag(self, path: str) -> str:
        return self.get(path).headers["ETag"]

    def make(self, entity: str, **values) -> int:
        """A new record; its id."""
        answer = self.post(f"/{entity}", values)
        assert answer.status_code == 201, answer.get_data(as_text=True)
        return answer.json["id"]

    def buyer(self, **values) -> int:
        number = next(_NUMBERS)
        return self.make("depot.buyer", **{"code": f"{self.tenant}-{number}", "name": f"Buyer {number}", **values})

    def sale(self, **values) -> int:
        return self.make("depot.sale", **{"buyer": values.pop("buyer", None) or self.buyer(), "amount": "10.00", **values})
