# ruff: noqa: E501 — a case stands on one line
"""Message templates, webhooks and the steps that tell: refused at their line, or compiled as written."""

import pytest

from metaloom.base.text import Text
from tests.compile.shop import SHOP, catalog, edited, findings, shop

ACTIONS = "shop/sales/order_form/actions.yaml"
GOOD = """messages:
  sold:
    label: {zh: 售出通知, en: Sold}
    entity: order_form
    important: true
    outside: [order_no, total]
    channels:
      in_app: {subject: {zh: "{order_no}已售，{customer.name}", en: "{order_no} sold to {customer.name}"}, body: {zh: 无, en: None}}
      sms: {template_code: "T1", body: {zh: "{order_no}：{total}元", en: "{order_no}: {total}"}, fields: {no: {zh: "{order_no}", en: "{order_no}"}}}
webhooks:
  books:
    label: {zh: 账务, en: Books}
    out: {url: "https://books.example/in", secret_ref: books.key, entity: order_form, on: [created, "transition:sell"], when: "total > 0", role: boss, fields: [order_no, total, customer.name]}
  shop_app:
    label: {zh: 小程序, en: App}
    in:
      secret_ref: app.key
      action: order_form/sell
      role: boss
      body: {no: {type: text, required: true, label: {zh: 单号, en: Number}}, paid: {type: money, label: {zh: 实收, en: Paid}}}
      find: {order_no: no}
      input: {paid: paid}
"""
TELL = """      - notify: [{role: boss}, {field: customer.created_by}, {expression: created_by}, {user: anna}]
        template: sold
      - notify: [{role: boss}]
        subject: {zh: "{order_no} {total}", en: "{order_no} {total}"}
        urgent: true
      - send: sold
        to: "customer"
        channel: sms
"""


def good(**more: str) -> dict[str, str]:
    return {"shop/telling.yaml": GOOD, **edited(ACTIONS, "      - transition: sell\n", f"      - transition: sell\n{TELL}"), **more}


def test_templates_webhooks_and_steps_are_compiled_as_written() -> None:
    made = catalog(good())
    sold = made.messages["shop.sold"]
    assert sold.important and sold.outside == ("order_no", "total") and sold.channels["sms"].template_code == "T1"
    assert sold.channels["sms"].fields["no"] == Text("{order_no}", "{order_no}")
    out, into = made.webhooks["shop.books"].out, made.webhooks["shop.shop_app"].into
    assert out is not None and out.entity == "shop.order_form" and out.role == "shop.boss" and out.on == ("created", "transition:sell")
    assert into is not None and (into.entity, into.action, into.window) == ("shop.order_form", "sell", 300) and into.find == {"order_no": "no"}
    told = [s for s in made.actions["shop.order_form/sell"].steps if s.verb in ("notify", "send")]
    assert [s.verb for s in told] == ["notify", "notify", "send"] and told[0].name == "shop.sold" and told[1].urgent
    assert [(r.kind, r.value) for r in told[0].to] == [
        ("role", "shop.boss"), ("field", "customer.created_by"), ("expression", "created_by"), ("user", "anna")]
    assert (told[2].target, told[2].channel) == ("customer", "sms")


def test_a_webhook_of_format_1_named_a_door_before_its_provider() -> None:
    """So stand the published revisions of tenants that an engine of format 1 made."""
    now = GOOD.replace("      secret_ref: app.key\n", "      signed_by: esign_sandbox\n")
    before = now.replace("signed_by: ", "signed_by: e_signature/")
    pack = {number: SHOP["shop/pack.yaml"].replace("format: 1", f"format: {number}") for number in (1, 2)}
    hooks = [catalog({"shop/telling.yaml": text, "shop/pack.yaml": pack[number]}).webhooks for number, text in ((1, before), (2, now))]
    assert hooks[0] == hooks[1] and "esign_sandbox" in {hook.into.signed_by for hook in hooks[0].values() if hook.into is not None}
    assert "ML-SCHEMA-005" in {one.code for one in findings(shop({"shop/telling.yaml": before, "shop/pack.yaml": pack[2]}))}


BAD: dict[str, dict[str, str]] = {}


def bad(name: str, old: str, new: str, code: str) -> None:
    lines = GOOD.replace(old, new, 1).splitlines()
    assert GOOD.replace(old, new, 1) != GOOD, name
    BAD[name] = {"shop/telling.yaml": "\n".join(lines) + "\n", "code": code}


bad("slot of nothing", "{order_no}已售", "{order_nr}已售", "ML-REF-002")
bad("slot in braces that are no path", "{order_no}已售", "{order_no!r}已售", "ML-TEXT-001")
bad("no subject in the application", '{subject: {zh: "{order_no}已售，{customer.name}", en: "{order_no} sold to {customer.name}"}, body', "{body", "ML-MSG-002")
bad("a slot without entity", "    entity: order_form\n    important", "    important", "ML-MSG-001")
bad("a child in a line", "{order_no}已售", "{lines}已售", "ML-MSG-003")
bad("a secret leaves the house", '{zh: "{order_no}：{total}元"', '{zh: "{customer.name}：{total}元"', "ML-MSG-004")
bad("neither out nor in", "    out: {url", "    enabled: true\n  other:\n    label: {zh: 账, en: B}\n    out: {url", "ML-HOOK-001")
bad("an event that never comes", "transition:sell", "transition:sale", "ML-HOOK-002")
bad("an action that is not there", "action: order_form/sell", "action: order_form/sale", "ML-REF-001")
bad("signed by nobody", "      secret_ref: app.key\n", "", "ML-HOOK-009")
bad("signed by two", "      secret_ref: app.key\n", "      secret_ref: app.key\n      signed_by: esign_sandbox\n", "ML-HOOK-009")
bad("nothing to find the record by", "      find: {order_no: no}\n", "", "ML-HOOK-004")
bad("the body lacks a name", "input: {paid: paid}", "input: {paid: payed}", "ML-HOOK-005")
bad("the action asks for no such thing", "input: {paid: paid}", "input: {price: paid}", "ML-HOOK-006")
bad("a link in a body", "paid: {type: money, label: {zh: 实收, en: Paid}}", "paid: {type: money, label: {zh: 实收, en: Paid}}, who: {type: user, label: {zh: 人, en: W}}", "ML-HOOK-007")
bad("a role that may not read", "role: boss, fields", "role: platform.auditor, fields", "ML-HOOK-003")
bad("a field that is not there", "fields: [order_no, total", "fields: [order_no, totals", "ML-REF-002")
bad("an address that is none", "https://books.example/in", "ftp://books.example/in", "ML-SCHEMA-005")


@pytest.mark.parametrize("name", sorted(BAD))
def test_what_cannot_be_told_is_refused(name: str) -> None:
    assert BAD[name]["code"] in codes({"shop/telling.yaml": BAD[name]["shop/telling.yaml"]})


STEPS = {
    "no words": ("      - notify: [{role: boss}]\n", "ML-MSG-007"),
    "a field that is no person": ("      - {notify: [{field: customer}], template: sold}\n", "ML-MSG-008"),
    "a role that is not there": ("      - {notify: [{role: bosses}], template: sold}\n", "ML-REF-001"),
    "a template that is not there": ("      - {notify: [{role: boss}], template: solid}\n", "ML-REF-001"),
    "no words for the channel": ("      - {send: sold, to: customer.mobile, channel: email}\n", "ML-MSG-006"),
    "an address that is a number": ("      - {send: sold, to: total, channel: sms}\n", "ML-EXPR-003"),
    "a secret by a step": ("      - {send: sold, to: customer.mobile, channel: in_app}\n", "ML-MSG-004"),
    "somebody only a case knows": ("      - {notify: [{initiator: true}], template: sold}\n", "ML-MSG-009"),
    "a slot of a step": ("      - {notify: [{role: boss}], subject: {zh: '{nothing}', en: x}}\n", "ML-REF-002"),
}


@pytest.mark.parametrize("name", sorted(STEPS))
def test_a_step_that_cannot_tell_is_refused(name: str) -> None:
    text, code = STEPS[name]
    assert code in codes({"shop/telling.yaml": GOOD, **edited(ACTIONS, "      - transition: sell\n", f"      - transition: sell\n{text}")})


def codes(files: dict[str, str]) -> set[str]:
    return {found.code for found in findings(shop(files))}


def test_a_client_extends_templates_and_moves_a_webhook() -> None:
    made = catalog(good(), client={"tenant.yaml": "tenant: {label: {zh: 客户, en: C}, packs: [shop], settings: {messages: {quiet_hours: {from: '22:00', to: '08:00'}}}}\n",
        "shop/own.yaml": """overlay:
  - {set: webhooks/books/out/url, was: "https://books.example/in", value: "https://books.client.example/in"}
  - {add: messages/sold/channels/email, value: {subject: {zh: 售出, en: Sold}, body: {zh: "{total}", en: "{total}"}}}
"""})
    assert made.webhooks["shop.books"].out.url == "https://books.client.example/in"  # type: ignore[union-attr]
    assert made.messages["shop.sold"].channels["email"].body.en == "{total}"
    assert made.settings["messages"] == {"quiet_hours": {"from": "22:00", "to": "08:00"}}


def test_a_step_speaks_of_its_own_record_only() -> None:
    product = "shop/sales/product/entity.yaml"
    action = "actions:\n  praise:\n    label: {zh: 赞, en: Praise}\n    steps: [{notify: [{role: boss}], template: sold}]\naccess:\n"
    grants = "boss: {scope: all, actions: [list, read, create, edit, praise]}"
    files = {"shop/telling.yaml": GOOD, **edited(product, "access:\n", action)}
    files[product] = files[product].replace("boss: {scope: all, actions: [list, read, create, edit]}", grants)
    assert "ML-MSG-005" in codes(files)


def test_no_call_from_outside_gives_a_reason() -> None:
    assert "ML-HOOK-008" in codes({"shop/telling.yaml": GOOD, **edited(ACTIONS, "    style: primary\n", "    style: primary\n    asks_reason: true\n")})
