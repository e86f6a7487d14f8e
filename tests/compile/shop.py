# ruff: noqa: E501 — a case stands on one line
"""A small whole pack that the tests of this room change and break: customers, products, orders with lines."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import Path

from metaloom.base.diagnostic import Diagnostic, MetadataRefused
from metaloom.compile import EMPTY, PluginManifest, Source, compile_catalog, read_sources
from metaloom.model import Catalog

METADATA = Path(__file__).parents[2] / "metadata"
ENGINE = read_sources({"engine": METADATA}, ())

SHOP: Mapping[str, str] = {
    "shop/pack.yaml": """pack:
  version: 1.2.0
  format: 1
  label: {zh: 商店, en: Shop}
  depends: {platform: ">=1.0"}
""",
    "shop/basics.yaml": """roles:
  clerk: {label: {zh: 店员, en: Clerk}}
  boss: {label: {zh: 店长, en: Boss}}
choices:
  level:
    label: {zh: 等级, en: Level}
    items:
      normal: {label: {zh: 普通, en: Normal}, colour: grey}
      vip: {label: {zh: 贵宾, en: VIP}, colour: purple}
number_series:
  order_no: {pattern: "DD{yyyyMMdd}{seq:5}", per: [company, day], mode: gapless, label: {zh: 单号, en: Number}}
menu:
  sales:
    label: {zh: 销售, en: Sales}
    icon: cart
    order: 10
    items:
      order: {list: order_form, label: {zh: 订单, en: Orders}}
      big: {list: order_form/big, label: {zh: 大单, en: Big orders}}
quick_links:
  new_order: {label: {zh: 新订单, en: New order}, create: order_form, roles: [clerk]}
tests:
  vip_needs_credit:
    label: {zh: 贵宾须有额度, en: A VIP needs credit}
    people: {ann: {roles: [clerk], company: north}}
    given:
      - {create: customer, as: wang, by: ann, values: {name: Wang}}
    when:
      - {change: wang, by: ann, values: {name: $ann}}
    then:
      - {record: wang, values: {name: Wang}, seen_by: [ann]}
accounts:
  "1001": {label: {zh: 现金, en: Cash}, normal: debit}
  "6001": {label: {zh: 收入, en: Income}, normal: credit}
accounting_rules:
  sold:
    event: sold
    label: {zh: 销售, en: Sold}
    legs:
      - {account: "1001", side: debit, amount: total}
      - {account: "6001", side: credit, amount: total}
jobs:
  remind:
    label: {zh: 每日出售, en: Daily sale}
    schedule: {cron: "0 6 * * 1-5"}
    steps:
      - {action: order_form/sell, where: "status == 'draft' and total > 0", values: {paid: total}}
      - notify: {roles: [boss], subject: {zh: "完成 {done} 单", en: "{done} sold"}}
""",
    "shop/sales/module.yaml": """module:
  label: {zh: 销售, en: Sales}
""",
    "shop/sales/customer/entity.yaml": """entity:
  label: {zh: 客户, en: Customer}
  title: name
  owned_by: [company, org_unit, user]
  natural_key: [customer_no]
  header: [customer_no, level]
  related:
    orders: {entity: order_form, field: customer, label: {zh: 订单, en: Orders}}
  fields:
    customer_no: {type: text, length: 20, required: true, unique: true, label: {zh: 编号, en: Number}}
    name: {type: text, length: 60, required: true, search: contains, pinyin: true, label: {zh: 客户名称, en: Name}}
    mobile: {type: phone, mask: phone, encrypted: true, search: last4, unique: true, label: {zh: 手机, en: Mobile}}
    level: {type: choice, choices: level, default: "'normal'", label: {zh: 等级, en: Level}}
    credit: {type: money, min: 0, max: 100000, default: 0, label: {zh: 额度, en: Credit}}
    born_on: {type: date, label: {zh: 生日, en: Born}}
  rules:
    vip_has_credit:
      check: "credit > 0"
      when: "level == 'vip'"
      field: credit
      message: {zh: "贵宾须有额度，现为 {credit}", en: "A VIP needs credit, has {credit}"}
access:
  clerk: {scope: self, actions: [list, read, create, edit], fields: {"*": write, mobile: masked}}
  boss: {scope: company, actions: [list, read, create, edit, delete, restore, export, unmask]}
""",
    "shop/sales/product/entity.yaml": """entity:
  label: {zh: 商品, en: Product}
  title: name
  shared: true
  fields:
    name: {type: text, required: true, label: {zh: 名称, en: Name}}
    price: {type: money, required: true, min: 0.01, label: {zh: 单价, en: Price}}
    stock: {type: integer, default: 0, min: 0, read_only: true, label: {zh: 库存, en: Stock}}
access:
  clerk: {scope: all, actions: [list, read]}
  boss: {scope: all, actions: [list, read, create, edit]}
""",
    "shop/sales/order_form/entity.yaml": """entity:
  label: {zh: 订单, en: Order}
  title: order_no
  scope_from: customer
  fields:
    order_no: {type: auto_number, series: order_no, label: {zh: 单号, en: Number}}
    customer: {type: link, entity: customer, required: true, filter: "credit > 0", label: {zh: 客户, en: Customer}}
    lines: {type: child, entity: order_line, label: {zh: 明细, en: Lines}}
    total: {type: money, computed: "sum(lines.amount)", label: {zh: 合计, en: Total}}
    note: {type: long_text, visible_when: "customer is not null", label: {zh: 备注, en: Note}}
    status: {type: state, label: {zh: 状态, en: Status}}
  unique:
    one_draft: {fields: [customer], when: "status == 'draft'"}
  indexes:
    by_status: [status, created_at]
""",
    "shop/sales/order_form/lifecycle.yaml": """lifecycle:
  field: status
  initial: draft
  states:
    draft: {label: {zh: 草稿, en: Draft}, colour: grey, editable: true}
    sold: {label: {zh: 已售, en: Sold}, colour: green, final: true}
    void: {label: {zh: 作废, en: Void}, colour: red, final: true}
  transitions:
    sell: {from: [draft], to: sold, label: {zh: 出售, en: Sell}, when: "total > 0", message: {zh: 没有明细, en: There are no lines}}
    cancel: {from: [draft], to: void}
""",
    "shop/sales/order_form/actions.yaml": """actions:
  sell:
    label: {zh: 出售, en: Sell}
    style: primary
    when: "status == 'draft'"
    maker_is_not: created_by
    input:
      paid: {type: money, min: 0, required: true, label: {zh: 实收, en: Paid}}
    done: {zh: 已出售, en: Sold}
    steps:
      - check: "input.paid >= total"
        message: {zh: "实收不足 {total}", en: "Less than {total} was paid"}
      - for_each: lines
        as: line
        steps:
          - get: product
            where: "id == line.product"
            let: item
          - update: product
            where: "id == line.product and stock >= line.quantity"
            set: {stock: "stock - line.quantity"}
            expect: one
            message: {zh: "{item.name} 库存不足", en: "Not enough {item.name}"}
      - if: "customer.level == 'vip'"
        steps:
          - set: {note: "'vip'"}
        otherwise:
          - set: {note: null_note}
            when: "note is null"
      - transition: sell
  cancel:
    label: {zh: 作废, en: Cancel}
    asks_reason: true
    steps:
      - transition: cancel
""".replace("null_note", "\"'walk-in'\""),
    "shop/sales/order_form/screens.yaml": """list:
  columns: [order_no, customer.name, total, status, created_at]
  search: [order_no, customer, status]
  sort: [-created_at]
  totals: [total]
  tabs:
    all: {label: {zh: 全部, en: All}}
    open: {label: {zh: 未完成, en: Open}, filter: "status == 'draft'"}
lists:
  big: {label: {zh: 大单, en: Big}, filter: "total > 1000", columns: [order_no, total]}
form:
  sections:
    basic: {label: {zh: 基本, en: Basic}, columns: 2, fields: [customer, note]}
    detail: {label: {zh: 明细, en: Lines}, fields: [lines, total], visible_when: "customer is not null"}
access:
  clerk: {scope: self, actions: [list, read, create, edit, sell]}
  boss:
    own: {scope: company, actions: [list, read, cancel]}
    big: {scope: expression, condition: "total > 1000 and customer.company == user.company", actions: [export]}
""",
    "shop/sales/order_line/entity.yaml": """entity:
  label: {zh: 订单明细, en: Order line}
  title: product
  child_of: {entity: order_form, field: order_form}
  fields:
    order_form: {type: link, entity: order_form, required: true, label: {zh: 订单, en: Order}}
    product: {type: link, entity: product, required: true, label: {zh: 商品, en: Product}}
    quantity: {type: integer, required: true, min: 1, label: {zh: 数量, en: Quantity}}
    amount: {type: money, computed: "product.price * quantity", label: {zh: 金额, en: Amount}}
""",
}

NO_PLUGINS = PluginManifest()
"""All plugins are loaded, and there are none: everything that names one is wrong."""


def sources(files: Mapping[str, str], layer: str = "pack") -> tuple[Source, ...]:
    """Files as sources of one layer."""
    return tuple(Source(layer, path, text) for path, text in files.items())


def shop(changes: Mapping[str, str | None] | None = None, client: Mapping[str, str] | None = None, site: Mapping[str, str] | None = None) -> tuple[Source, ...]:
    """The engine's pack and the shop, with ``changes`` (None removes a file), and what a client and its site add."""
    files = {**SHOP, **(changes or {})}
    pack = {path: text for path, text in files.items() if text is not None}
    return (*ENGINE, *sources(pack), *sources(client or {}, "client"), *sources(site or {}, "site"))


def catalog(*args, plugins: PluginManifest = EMPTY, **kwargs) -> Catalog:
    return compile_catalog(shop(*args, **kwargs), plugins=plugins)


def findings(sources: Iterable[Source], plugins: PluginManifest = NO_PLUGINS) -> tuple[Diagnostic, ...]:
    """Everything the compiler has to say, whether it refuses or warns."""
    try:
        return compile_catalog(sources, plugins=plugins).warnings
    except MetadataRefused as refused:
        return refused.diagnostics


def places(found: Iterable[Diagnostic]) -> set[str]:
    """Findings as ``file:line CODE``."""
    return {f"{d.position.file}:{d.position.line} {d.code}" for d in found}


_MARK = re.compile(r"# ← ((?:ML-[A-Z]+-[0-9]+ ?)+)")


def marked(files: Mapping[str, str | None]) -> set[str]:
    """The findings that comments ``# ← ML-…`` in the files announce for their line."""
    return {
        f"{path}:{number} {code}"
        for path, text in files.items() for number, line in enumerate((text or "").splitlines(), 1)
        for mark in _MARK.findall(line) for code in mark.split()
    }


def edited(path: str, old: str, new: str) -> dict[str, str]:
    """One file of the shop with ``old`` replaced; ``old`` must stand in it."""
    assert old in SHOP[path], f"{old!r} does not stand in {path}"
    return {path: SHOP[path].replace(old, new, 1)}

APPROVAL = "shop/sales/order_form/approval.yaml"
CHAIN = """approval:
  discount:
    label: {zh: 折扣审批, en: Discount}
    subject: {zh: "{order_no} {customer.name}", en: "{order_no} {customer.name}"}
    start: {roles: [clerk], when: "status == 'draft'", message: {zh: 已售出, en: Sold already}}
    people: {forbid_repeat: step}
    allow: {withdraw: any_time, terminate: [boss]}
    results:
      approved:
        - {set: {note: output.check.remark}, when: "case.initiator == customer.owner"}
        - {transition: sell}
      rejected: [{transition: cancel}]
    steps:
      check:
        label: {zh: 复核, en: Check}
        who: [{role: boss}, {field: customer.owner}, {head_of: initiator_unit, up: 1}, {expression: "created_by"}]
        outputs:
          remark: {type: text, required: true, label: {zh: 备注, en: Remark}}
        fields: {note: write, total: read}
        limit: {within: 8 working_hours, then: [{after: 0 hours, do: remind}, {after: 8 hours, do: remind, to: superior}, {after: 9 hours, do: transfer, to: [{role: boss}]}]}
      by_amount:
        type: branch
        label: {zh: 金额, en: Amount}
        branches:
          small: {label: {zh: 小额, en: Small}, when: "total <= 1000", steps: {}}
          large:
            label: {zh: 大额, en: Large}
            otherwise: true
            steps:
              board:
                label: {zh: 评审会, en: Board}
                when: "output.check.remark is not null"
                who: [{role: boss}]
                mode: vote
                pass: 2/3
                weights: {boss: 2}
                return: {to: [check, initiator], then: resume}
      tell: {type: copy, label: {zh: 知会, en: Tell}, who: [{initiator: true}]}
"""
