# ruff: noqa: E501, UP031 — a case of the table stands on one line
"""Overlays change what a lower layer says, by name, and say what they saw (T01, T02)."""

import pytest

from metaloom.base.text import Text
from metaloom.compile import explain
from metaloom.model import Catalog, FieldLevel
from tests.compile.shop import SHOP, catalog, edited, findings, places, shop

CUSTOMER, ORDER, PACK, MODULE = "shop/sales/customer/x.yaml", "shop/sales/order_form/x.yaml", "shop/x.yaml", "shop/sales/x.yaml"


def overlay(*ops: str) -> str:
    return "overlay:\n" + "".join(f"- {op}\n" for op in ops)


def with_client(path: str, *ops: str) -> Catalog:
    return catalog(client={path: overlay(*ops)})


LABEL = "{zh: 微信, en: WeChat}"

# kind → (file, operations, what the catalog then says)
EVERY_KIND = {
    "add a field": (CUSTOMER, ["{add: entity/fields/wechat, value: {type: text, label: %s}, after: mobile}" % LABEL],
                    lambda c: list(c.entities["shop.customer"].fields)[2:5] == ["mobile", "wechat", "level"]),
    "add a field before": (CUSTOMER, ["{add: entity/fields/wechat, value: {type: text, label: %s}, before: mobile}" % LABEL],
                           lambda c: list(c.entities["shop.customer"].fields)[2:4] == ["wechat", "mobile"]),
    "set a label": (CUSTOMER, ["{set: entity/fields/name/label/zh, was: 客户名称, value: 客户姓名}"],
                    lambda c: c.entities["shop.customer"].fields["name"].label == Text("客户姓名", "Name")),
    "set what was not there": (CUSTOMER, ["{set: entity/fields/name/help, was: null, value: {zh: 全称, en: In full}}"],
                               lambda c: c.entities["shop.customer"].fields["name"].help == Text("全称", "In full")),
    "remove a field": (CUSTOMER, ["{remove: entity/fields/born_on}"], lambda c: "born_on" not in c.entities["shop.customer"].fields),
    "move a field": (CUSTOMER, ["{move: entity/fields/born_on, before: name}"],
                     lambda c: list(c.entities["shop.customer"].fields)[:3] == ["customer_no", "born_on", "name"]),
    "add the first index": (CUSTOMER, ["{add: entity/indexes/by_level, value: [level]}"],
                            lambda c: [i.fields for i in c.entities["shop.customer"].indexes.values()] == [("level",)]),
    "change a rule": (CUSTOMER, ["{set: entity/rules/vip_has_credit/check, was: 'credit > 0', value: 'credit > 10'}"],
                      lambda c: c.entities["shop.customer"].rules["vip_has_credit"].check == "credit > 10"),
    "replace a list": (CUSTOMER, ["{set: entity/header, was: [customer_no, level], value: [level]}"], lambda c: c.entities["shop.customer"].header == ("level",)),
    "add to a list of names": (CUSTOMER, ["{add: entity/header/credit, before: level}"],
                               lambda c: c.entities["shop.customer"].header == ("customer_no", "credit", "level")),
    "lifecycle: add a state and a way": (ORDER, [
        "{add: lifecycle/states/held, value: {label: {zh: 挂起, en: Held}}, after: draft}",
        "{add: lifecycle/transitions/hold, value: {from: [draft], to: held}}",
        "{add: lifecycle/transitions/resume, value: {from: [held], to: draft}}",
        "{add: lifecycle/transitions/cancel/from/held}"],
        lambda c: c.lifecycles["shop.order_form"].transitions["cancel"].from_states == ("draft", "held")),
    "actions: a step by its number": (ORDER, ["{set: actions/sell/steps/0/check, was: 'input.paid >= total', value: 'input.paid == total'}"],
                                      lambda c: c.actions["shop.order_form/sell"].steps[0].expression == "input.paid == total"),
    "actions: a step before the last": (ORDER, ["{add: actions/sell/steps/new, value: {check: 'total < 5000', message: {zh: 太大, en: Too big}}, before: '3'}"],
                                        lambda c: [s.verb for s in c.actions["shop.order_form/sell"].steps] == ["check", "for_each", "if", "check", "transition"]),
    "approval: a chain of the client's own": (ORDER, ["{add: approval/gift, value: {label: %s, subject: %s, start: {roles: [clerk]}, steps: {one: {label: %s, who: [{role: boss}]}}}}" % (LABEL, LABEL, LABEL),
                                                      "{add: approval/gift/steps/two, value: {label: %s, who: [{role: boss}]}, before: one}" % LABEL,
                                                      "{set: approval/gift/steps/one/mode, was: null, value: all}"],
                                              lambda c: "shop.order_form/gift" in c.chains and list(c.chains["shop.order_form/gift"].steps) == ["two", "one"]),
    "list: columns": (ORDER, ["{remove: list/columns/created_at}", "{add: list/columns/customer.level, after: customer.name}", "{move: list/columns/status, before: order_no}"],
                      lambda c: list(c.lists["shop.order_form/main"].columns) == ["status", "order_no", "customer.name", "customer.level", "total"]),
    "list: a sort by its sign": (ORDER, ["{remove: list/sort/-created_at}", "{add: list/sort/order_no}"], lambda c: c.lists["shop.order_form/main"].sort == ("order_no",)),
    "list: a tab": (ORDER, ["{add: list/tabs/done, value: {label: {zh: 完成, en: Done}, filter: \"status == 'sold'\"}, before: open}"],
                    lambda c: list(c.lists["shop.order_form/main"].tabs) == ["all", "done", "open"]),
    "lists: a filter": (ORDER, ["{set: lists/big/filter, was: 'total > 1000', value: 'total > 9000'}"], lambda c: c.lists["shop.order_form/big"].filter == "total > 9000"),
    "form: fields of a section": (ORDER, ["{move: form/sections/basic/fields/note, before: customer}", "{set: form/sections/basic/columns, was: 2, value: 1}"],
                                  lambda c: (c.forms["shop.order_form"].sections["basic"].fields, c.forms["shop.order_form"].sections["basic"].columns) == (("note", "customer"), 1)),
    "access: an action less": (ORDER, ["{remove: access/clerk/actions/edit}"], lambda c: "edit" not in c.grants["shop.order_form"][0].actions),
    "access: a field level": (CUSTOMER, ["{add: access/clerk/fields/credit, value: read}"], lambda c: c.grants["shop.customer"][0].fields.get("credit") == FieldLevel.READ),
    "roles": (PACK, ["{add: roles/trainee, value: {label: {zh: 学徒, en: Trainee}}}"], lambda c: "shop.trainee" in c.roles),
    "choices": (PACK, ["{add: choices/level/items/gold, value: {label: {zh: 黄金, en: Gold}}, before: vip}", "{set: choices/level/items/normal/hidden, was: null, value: true}"],
                lambda c: list(c.choices["shop.level"].items) == ["normal", "gold", "vip"] and c.choices["shop.level"].items["normal"].hidden),
    "menu": (PACK, ["{remove: menu/sales/items/big}", "{set: menu/sales/order, was: 10, value: 5}"], lambda c: list(c.menus["shop.sales"].items) == ["order"] and c.menus["shop.sales"].order == 5),
    "quick links": (PACK, ["{remove: quick_links/new_order}"], lambda c: not c.quick_links.keys() & {"shop.new_order"}),
    "number series": (PACK, ["{set: number_series/order_no/mode, was: gapless, value: fast}"], lambda c: c.series["shop.order_no"].mode == "fast"),
    "accounts": (PACK, ["{set: accounts/1001/label/en, was: Cash, value: Money}"], lambda c: c.accounts["shop.1001"].label.en == "Money"),
    "accounting rules": (PACK, ["{set: accounting_rules/sold/legs/1/amount, was: total, value: net}"], lambda c: c.accounting_rules["shop.sold"].legs[1].amount == "net"),
    "messages": (PACK, ["{add: messages/hello, value: {label: {zh: 你好, en: Hello}, channels: {in_app: {subject: {zh: 你好, en: Hello}, body: {zh: 你好, en: Hello}}}}}"],
                 lambda c: "shop.hello" in c.messages),
    "webhooks": (PACK, ["{add: webhooks/books, value: {label: {zh: 账务, en: Books}, out: {url: 'https://b.example', secret_ref: books, entity: customer, on: [created], role: boss, fields: [name]}}}"],
                 lambda c: "shop.books" in c.webhooks),
    "tests": (PACK, ["{set: tests/vip_needs_credit/label/en, was: A VIP needs credit, value: Credit for VIPs}"], lambda c: c.trials["shop.vip_needs_credit"].label.en == "Credit for VIPs"),
    "processes": (ORDER, ["{add: processes/credit, value: {label: {zh: 征信, en: Credit}, start: {on: [sell]}, manual: {roles: [boss]}, steps: {one: {type: task, label: {zh: 甲, en: A}, roles: [boss]}}}}"],
                  lambda c: "shop.order_form/credit" in c.processes),
    "prints": (ORDER, ["{add: prints/slip, value: {label: %s, blocks: {facts: {fields: [order_no]}, lines: {rows: lines, columns: [quantity]}}}}" % LABEL,
                       "{add: prints/slip/blocks/facts/fields/customer.name, before: order_no}", "{move: prints/slip/blocks/lines, before: facts}",
                       "{set: prints/slip/paper, was: null, value: A5}"],
               lambda c: [(p.paper, list(p.blocks), p.blocks["facts"].fields) for p in c.prints.values()] == [("A5", ["lines", "facts"], ("customer.name", "order_no"))]),
    "dashboards": (PACK, ["{add: dashboards/desk, value: {label: {zh: 台, en: Desk}, widgets: {a: {type: links}, b: {type: recent}}}}",
                          "{add: dashboards/desk/widgets/c, value: {type: todo}, after: a}", "{set: dashboards/desk/widgets/b/width, was: null, value: 12}",
                          "{move: dashboards/desk/widgets/b, before: a}"],
                   lambda c: [(w.name, w.width) for d in c.dashboards.values() if d.address == "shop.desk" for w in d.widgets.values()] == [("b", 12), ("a", 4), ("c", 6)]),
    "warnings": (CUSTOMER, ["{add: warnings/poor, value: {label: {zh: 甲, en: A}, when: \"credit < 5\", subject: {zh: \"{name}\", en: \"{name}\"}}}"],
                 lambda c: "shop.customer/poor" in c.warning_rules),
    "an item of another pack's choices": (PACK, ["{add: platform/choices/alert_measure/items/gift, value: {label: {zh: 赠品, en: Gift}}}"],
                                          lambda c: "gift" in c.choices["platform.alert_measure"].items),
    "jobs": (PACK, ["{set: jobs/remind/schedule/cron, was: 0 6 * * 1-5, value: 30 7 * * *}", "{remove: jobs/remind/steps/1}"],
             lambda c: c.jobs["shop.remind"].cron == "30 7 * * *" and len(c.jobs["shop.remind"].steps) == 1),
    "pack": (PACK, ["{set: pack/label/zh, was: 商店, value: 门店}"], lambda c: c.packs["shop"].label.zh == "门店"),
    "module": (MODULE, ["{set: module/label/zh, was: 销售, value: 营销}"], lambda c: c.packs["shop"].modules["sales"].zh == "营销"),
    "an entity from the pack's folder": (PACK, ["{set: shop.customer/entity/fields/name/label/en, was: Name, value: Full name}"],
                                         lambda c: c.entities["shop.customer"].fields["name"].label.en == "Full name"),
    "a map that nobody had": (CUSTOMER, ["{add: lists/vip, value: {label: {zh: 贵宾, en: VIP}, filter: \"level == 'vip'\"}}"], lambda c: "shop.customer/vip" in c.lists),
}  # fmt: skip


@pytest.mark.parametrize("name", EVERY_KIND)
def test_every_kind_can_be_changed(name: str) -> None:
    path, ops, holds = EVERY_KIND[name]
    assert not holds(catalog()), "the case changes nothing"
    assert holds(with_client(path, *ops))


def test_every_kind_has_a_case() -> None:
    from metaloom.compile.schema import kinds

    tried = {part.partition("/")[0] for _, ops, _ in EVERY_KIND.values() for op in ops for part in [op.split(": ")[1].split(",")[0].rstrip("}").removeprefix("shop.customer/")]}
    assert set(kinds()) - tried == {"overlay", "tenant"}  # a tenant card is the client's own


def test_an_overlay_leaves_the_layer_below_as_it_was() -> None:
    before = catalog()
    with_client(CUSTOMER, "{set: entity/fields/name/label/zh, was: 客户名称, value: 客户姓名}", "{remove: entity/fields/born_on}")
    assert catalog().digest == before.digest and catalog().entities["shop.customer"].fields["name"].label.zh == "客户名称"


def test_site_comes_after_client() -> None:
    made = catalog(
        client={CUSTOMER: overlay("{set: entity/fields/name/label/zh, was: 客户名称, value: 甲}")},
        site={CUSTOMER: overlay("{set: entity/fields/name/label/zh, was: 甲, value: 乙}")})
    assert made.entities["shop.customer"].fields["name"].label.zh == "乙"


def test_a_client_may_add_documents_and_names_of_its_own() -> None:
    visit = """entity:
  label: {zh: 拜访, en: Visit}
  title: subject
  scope_from: customer
  fields:
    subject: {type: text, label: {zh: 主题, en: Subject}}
    customer: {type: link, entity: customer, required: true, label: {zh: 客户, en: Customer}}
access:
  boss: {scope: company, actions: [list, read, create]}
"""
    made = catalog(client={"shop/sales/visit/entity.yaml": visit, "shop/sales/customer/own.yaml": "lists:\n  mine: {label: {zh: 我的, en: Mine}, filter: \"owner == user.id\"}\n"})
    assert made.entities["shop.visit"].position.file == "shop/sales/visit/entity.yaml" and "shop.customer/mine" in made.lists


# -- what goes wrong -----------------------------------------------------------------------------------------------------


def told(path: str, *ops: str, pack: dict[str, str | None] | None = None) -> list[tuple[str, str, str]]:
    return [(d.code, d.severity, d.message + " " + d.hint) for d in findings(shop(pack, client={path: overlay(*ops)}))]


def test_a_conflict_shows_base_ours_and_theirs() -> None:
    vendor = edited("shop/sales/customer/entity.yaml", "客户名称", "客户全名")
    [(code, severity, text)] = told(CUSTOMER, "{set: entity/fields/name/label/zh, was: 客户名称, value: 客户姓名}", pack=vendor)
    assert (code, severity) == ("ML-OVERLAY-002", "error")
    assert all(word in text for word in ("客户名称", "客户姓名", "客户全名"))


def test_a_removal_of_something_changed_is_a_conflict() -> None:
    assert told(ORDER, "{remove: lists/big/filter, was: 'total > 5'}")[0][0] == "ML-OVERLAY-002"


def test_no_conflict_where_the_vendor_came_to_the_same() -> None:
    vendor = edited("shop/sales/customer/entity.yaml", "客户名称", "客户姓名")
    assert told(CUSTOMER, "{set: entity/fields/name/label/zh, was: 客户名称, value: 客户姓名}", pack=vendor) == []


def test_a_lost_neighbour_is_a_warning_and_the_value_comes_last() -> None:
    op = "{add: entity/fields/wechat, value: {type: text, label: %s}, after: gone}" % LABEL
    [(code, severity, text)] = told(CUSTOMER, op)
    assert (code, severity) == ("ML-OVERLAY-003", "warning") and "gone" in text
    made = with_client(CUSTOMER, op)
    assert list(made.entities["shop.customer"].fields)[-1] == "wechat"
    assert [w.code for w in made.warnings] == ["ML-OVERLAY-003"]


def test_a_lost_neighbour_in_a_list_of_names() -> None:
    made = with_client(ORDER, "{move: list/columns/order_no, after: gone}")
    assert list(made.lists["shop.order_form/main"].columns)[-1] == "order_no"


@pytest.mark.parametrize(("path", "op", "code", "word"), [
    (CUSTOMER, "{set: entity/fields/nmae/label/zh, was: x, value: y}", "ML-OVERLAY-001", "did you mean name?"),
    (CUSTOMER, "{remove: entity/fields/gone}", "ML-OVERLAY-001", "has: "),
    (CUSTOMER, "{move: entity/fields/gone, after: name}", "ML-OVERLAY-001", ""),
    (ORDER, "{remove: list/columns/gone}", "ML-OVERLAY-001", ""),
    (CUSTOMER, "{add: entity/feilds/x, value: {type: text, label: {zh: 甲, en: A}}}", "ML-OVERLAY-001", "did you mean fields?"),
    (CUSTOMER, "{set: entity/fields/name/readonly, was: null, value: true}", "ML-OVERLAY-001", ""),
    ("shop/sales/custmer/x.yaml", "{remove: entity/fields/name}", "ML-OVERLAY-001", "did you mean customer?"),
    (PACK, "{set: shop.custmer/entity/title, was: name, value: level}", "ML-OVERLAY-001", "did you mean shop.customer?"),
    (CUSTOMER, "{add: entity/fields/name, value: {type: text, label: {zh: 甲, en: A}}}", "ML-OVERLAY-004", "客户名称"),
    (ORDER, "{add: list/columns/status}", "ML-OVERLAY-004", "status"),
    (CUSTOMER, "{set: entity/title, value: level}", "ML-OVERLAY-007", "add was: name"),
    (CUSTOMER, "{set: fields/name/label/zh, was: 客户名称, value: 甲}", "ML-OVERLAY-006", "entity"),
    (PACK, "{set: entity/title, was: name, value: level}", "ML-OVERLAY-006", "roles"),
    (ORDER, "{add: list/columns/total2, value: 1}", "ML-OVERLAY-008", "takes the name from the path"),
    (ORDER, "{move: list/columns/total}", "ML-OVERLAY-008", "after: or before:"),
    (ORDER, "{add: actions/sell/steps/new}", "ML-OVERLAY-008", "value: is missing"),
    (CUSTOMER, "{set: entity/fields/name/label/zh, was: 客户名称, value: 5}", "ML-SCHEMA-001", "expected text"),
    (CUSTOMER, "{add: entity/fields/wechat, value: {type: text, lable: {zh: 甲, en: A}}}", "ML-SCHEMA-003", "did you mean label?"),
    (CUSTOMER, "{sett: entity/title, was: name, value: level}", "ML-SCHEMA-006", "did you mean set?"),
    (CUSTOMER, "{remove: entity}", "ML-PACK-007", ""),
])
def test_refused_with_a_cure(path: str, op: str, code: str, word: str) -> None:
    found = [d for d in findings(shop(client={path: overlay(op)})) if d.code == code]
    assert found and word in found[0].message + " " + found[0].hint, found
    assert found[0].position.file in (path, "shop/sales/customer/entity.yaml")
    if code != "ML-PACK-007":
        assert found[0].position.line == 2


def test_all_conflicts_come_at_once() -> None:
    found = findings(shop(client={CUSTOMER: overlay("{remove: entity/fields/a1}", "{set: entity/title, was: x, value: y}", "{move: entity/fields/b1, after: name}")}))
    assert places(found) == {f"{CUSTOMER}:2 ML-OVERLAY-001", f"{CUSTOMER}:3 ML-OVERLAY-002", f"{CUSTOMER}:4 ML-OVERLAY-001"}


@pytest.mark.parametrize("text", [
    "entity:\n  label: {zh: 客户, en: Customer}\n  title: n\n  shared: true\n  fields:\n    n: {type: text, label: {zh: 甲, en: A}}\n",
    "access:\n  clerk: {scope: all, actions: [list]}\n",
])
def test_a_client_document_that_collides_with_the_vendors_is_refused(text: str) -> None:
    found = findings(shop(client={"shop/sales/customer/own.yaml": text}))
    assert [(d.code, d.position.file) for d in found] == [("ML-MERGE-002", "shop/sales/customer/own.yaml")]
    assert "shop/sales/customer/entity.yaml" in found[0].message


# -- locked ------------------------------------------------------------------------------------------------------------

COMPANY = "platform/organisation/company/x.yaml"
USER = "platform/organisation/user/x.yaml"


@pytest.mark.parametrize(("path", "op"), [
    (COMPANY, "{add: entity/fields/fax, value: {type: text, label: {zh: 传真, en: Fax}}}"),
    (COMPANY, "{add: entity/rules/named, value: {check: 'length(name) > 1', message: {zh: 名称太短, en: Too short}}}"),
    (COMPANY, "{add: entity/indexes/by_name, value: [name]}"),
    (COMPANY, "{set: entity/fields/name/label/zh, was: 公司名称, value: 法人名称}"),
    (COMPANY, "{set: entity/icon, was: building, value: home}"),
    (COMPANY, "{add: entity/header/phone}"),
    (COMPANY, "{remove: list/columns/short_name}"),
    (COMPANY, "{move: form/sections/basic/fields/name, before: code}"),
    (COMPANY, "{add: lists/active, value: {label: {zh: 启用, en: Active}, filter: active}}"),
    (COMPANY, "{add: access/shop.clerk, value: {scope: all, actions: [list, read]}}"),
    ("platform/x.yaml", "{set: roles/admin/label/zh, was: 系统管理员, value: 管理员}"),
    ("platform/x.yaml", "{add: menu/organisation/items/big, value: {list: company, label: {zh: 甲, en: A}}}"),
])
def test_a_locked_pack_may_be_extended(path: str, op: str) -> None:
    assert [d for d in findings(shop(client={path: overlay(op)})) if d.severity == "error"] == []


@pytest.mark.parametrize(("path", "op"), [
    (COMPANY, "{remove: entity/fields/code}"),
    (COMPANY, "{set: entity/fields/code/unique, was: true, value: false}"),
    (COMPANY, "{set: entity/fields/business_date/fixed, was: true, value: false}"),
    (COMPANY, "{set: entity/fields/name/required, was: true, value: false}"),
    (COMPANY, "{add: entity/fields/name/default, value: \"'x'\"}"),
    (COMPANY, "{set: entity/delete, was: archive, value: physical}"),
    (COMPANY, "{remove: entity/title}"),
    (COMPANY, "{move: entity/fields/code, after: name}"),
    (COMPANY, "{remove: access/auditor}"),
    (COMPANY, "{set: access/admin/scope, was: all, value: none}"),
    (COMPANY, "{add: access/staff/actions/delete}"),
    (COMPANY, "{remove: entity}"),
    (USER, "{set: entity/storage, was: engine, value: table}"),
    ("platform/organisation/org_unit/x.yaml", "{remove: entity/rules/same_company}"),
    ("platform/running/audit_entry/x.yaml", "{set: entity/append_only, was: true, value: false}"),
    ("platform/ledger/ledger_entry/x.yaml", "{remove: entity/append_only}"),
    ("platform/x.yaml", "{remove: roles/auditor}"),
    ("platform/x.yaml", "{remove: choices/ledger_side/items/credit}"),
    ("platform/x.yaml", "{set: pack/locked, was: true, value: false}"),
])
def test_a_locked_pack_cannot_be_weakened(path: str, op: str) -> None:
    """Exactly this is protected: everything but words, looks, lists and forms; names may be added to maps."""
    for layer in ("client", "site"):
        found = findings(shop(**{layer: {path: overlay(op)}}))
        assert [(d.code, d.position.file, d.position.line) for d in found] == [("ML-OVERLAY-005", path, 2)], found


def test_a_field_named_like_a_word_of_presentation_is_protected_too() -> None:
    pack = edited("shop/pack.yaml", "pack:", "pack:\n  locked: true") | edited("shop/sales/customer/entity.yaml", "    born_on:", "    icon: {type: text, label: {zh: 甲, en: A}}\n    born_on:")
    found = findings(shop(pack, client={CUSTOMER: overlay("{remove: entity/fields/icon}")}))
    assert [d.code for d in found] == ["ML-OVERLAY-005"]


def test_engine_tables_take_no_fields_of_others() -> None:
    found = findings(shop(client={USER: overlay("{add: entity/fields/wechat, value: {type: text, label: %s}}" % LABEL)}))
    assert [(d.code, d.position.file, d.position.line) for d in found] == [("ML-ENTITY-011", USER, 2)]


# -- explain -------------------------------------------------------------------------------------------------------------


def test_explain_says_value_layer_line_and_history() -> None:
    files = {CUSTOMER: overlay("{set: entity/fields/name/label/zh, was: 客户名称, value: 客户姓名}", "{add: entity/header/credit}")}
    found = explain(shop(client=files), "shop.customer/field/name/label/zh")
    assert (found.value, found.layer, found.position.file, found.position.line) == ("客户姓名", "client", CUSTOMER, 2)
    assert [(a.verb, a.before, a.after, a.layer) for a in found.history] == [("set", "客户名称", "客户姓名", "client")]
    whole = explain(shop(client=files), "shop.customer")
    assert len(whole.history) == 2


@pytest.mark.parametrize(("address", "value"), [
    ("shop.customer/fields/credit/max", 100000), ("shop.customer/entity/title", "name"), ("shop/choices/level/items/vip/colour", "purple"),
    ("shop.order_form/transition/sell/to", "sold"), ("shop.order_form/list/columns/total", "total"), ("shop/module/sales/label/en", "Sales"),
])
def test_explain_takes_short_forms(address: str, value: object) -> None:
    assert explain(shop(), address).value == value


def test_explain_of_the_unwritten_is_refused_with_a_cure() -> None:
    from metaloom.base.diagnostic import MetadataRefused

    with pytest.raises(MetadataRefused) as caught:
        explain(shop(), "shop.customer/field/nmae")
    assert caught.value.diagnostics[0].hint == "did you mean name?"


def test_shop_is_what_the_cases_start_from() -> None:
    assert "客户名称" in SHOP["shop/sales/customer/entity.yaml"]
