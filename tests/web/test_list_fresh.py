"""What a list keeps from one request to the next (columns, frame, menu, cells) never outlives what it was made of."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from metaloom import command
from metaloom.base.text import Text
from metaloom.compile import Source, read_sources
from metaloom.schema_change import publish
from metaloom.storage import Tenancy
from tests.web import site as shop

LIST, DRAFTS = "/e/shop.sale/", "/e/shop.sale/?f.status=draft"


@pytest.fixture
def stall(tenancy: Tenancy) -> Any:
    """A shop of this test alone, with one draft and one order that was sent."""
    made = shop.build_tenant(tenancy, "stall", Text("小摊", "Stall"), sales=3)
    yield made
    tenancy.drop("stall")


def test_a_list_says_what_is_true_now(stall: Any, visitor: Any) -> None:
    li, han = visitor("li", "stall"), visitor("han", "stall")
    ctx = shop.context_of(stall, "li")
    for person in (li, han):                    # everything that may be kept is kept now
        for address in (LIST, DRAFTS, LIST):
            assert person.get(address).status_code == 200

    page = li.get(DRAFTS).text
    assert "李娜" in page and "订单号" in page and body(page).count("<tr>") == 2
    buyer = row_of(stall, "shop.buyer", name="李娜")
    command.change_record(ctx, "shop.buyer", buyer["id"], {"name": "李<娜>娜"}, buyer["row_version"])
    page = li.get(DRAFTS).text
    assert "李&lt;娜&gt;娜" in page and "李娜" not in page, "the title of a link is today's"

    draft = row_of(stall, "shop.sale", status="draft")
    command.run_action(shop.context_of(stall, "li"), "shop.sale", draft["id"], "send", {}, draft["row_version"])
    page = li.get(DRAFTS).text
    assert draft["order_no"] not in page and body(page).count("<tr>") == 1, "a row that changed its state leaves the list of the state before"
    assert draft["order_no"] in li.get(LIST).text

    assert "/edit" in li.get(LIST).text and "/edit" not in han.get(LIST).text, "what one may do is asked for each person"
    li.client.set_cookie("ml_locale", "en", path="/stall")
    page = li.get(LIST).text
    assert ">Order number<" in page.replace("<svg", "<") and "Draft" in page and "订单号" not in page, "another language, at once"
    assert "Drafts" in page and "草稿" not in page
    assert "订单号" in han.get(LIST).text
    li.client.set_cookie("ml_locale", "zh", path="/stall")

    republish(stall, {
        "{zh: 订单号, en: Order number}": "{zh: 单据号, en: Slip}",
        "draft: {label: {zh: 草稿, en: Draft}, colour: grey": "draft: {label: {zh: 起草, en: Begun}, colour: red",
        "label: {zh: 状态, en: Status}}": "label: {zh: 状态, en: Status}}\n    x: {type: text, label: {zh: 新列, en: New}}",
        "columns: [order_no, buyer, buyer.level, ordered_on, total, status, created_at]": "columns: [order_no, buyer, x, total, status]",
    })
    for person in (li, han):
        for address in (LIST, DRAFTS):
            page = person.get(address).text
            assert "单据号" in page and "订单号" not in page and "新列" in page, "a published revision is live in what was kept, too"
            assert 'class="tag red">起草' in page and ">草稿<" not in body(page)

    held = row_of(stall, "platform.role_assignment", role="shop.seller")
    command.revoke_role(command.system_context(stall, plugins=ctx.plugins, clock=ctx.clock), held["id"])
    assert li.get(LIST).status_code in (403, 404), "a role that was taken away ends at once"
    assert han.get(LIST).status_code == 200


def test_what_a_role_may_see_changes_with_the_role(stall: Any, visitor: Any) -> None:
    han, ctx = visitor("han", "stall"), shop.context_of(stall, "han")
    assert "/edit" not in han.get(LIST).text
    system = command.system_context(stall, plugins=ctx.plugins, clock=ctx.clock)
    command.assign_role(system, ctx.actor.user_id, "shop.seller", company=ctx.actor.company_id)
    assert "/edit" in han.get(LIST).text, "a role that was given counts at once"
    held = [row for row in rows_of(stall, "platform.role_assignment", user_id=ctx.actor.user_id) if row["role"] == "shop.seller"]
    command.revoke_role(system, held[0]["id"])
    assert "/edit" not in han.get(LIST).text and han.get(LIST).status_code == 200
    assert [role.role for role in shop.context_of(stall, "han").actor.roles] == ["shop.viewer"]


def test_a_column_whose_reading_was_taken_away_is_gone_from_the_next_list_and_record(stall: Any, visitor: Any) -> None:
    han, li = visitor("han", "stall"), visitor("li", "stall")
    ctx, order = shop.context_of(stall, "han"), row_of(stall, "shop.sale", status="draft")
    told = ((LIST, 'data-l="金额'), (f"{LIST}{order['id']}", f">{order['total']:,.2f}<"))

    def seen(person: Any) -> list[bool]:
        return [words in person.get(address).text for address, words in told]

    assert seen(han) == seen(han) == seen(li) == [True, True]
    republish(stall, {'viewer: {scope: company, actions: [list, read], fields: {"*": read}}':
                      'viewer: {scope: company, actions: [list, read], fields: {"*": read, total: hidden}}'})
    assert seen(han) == [False, False] and seen(li) == [True, True], "the field was hidden from the one role"
    system = command.system_context(stall, plugins=ctx.plugins, clock=ctx.clock)
    command.assign_role(system, ctx.actor.user_id, "shop.seller", company=ctx.actor.company_id)
    assert seen(han) == [True, True], "the other role shows it, at once"
    held = [row for row in rows_of(stall, "platform.role_assignment", user_id=ctx.actor.user_id) if row["role"] == "shop.seller"]
    command.revoke_role(system, held[0]["id"])
    assert seen(han) == [False, False]


def rows_of(tenant: Any, entity: str, **known: Any) -> list[Any]:
    table = tenant.revision().tables.of(entity)
    with tenant.read() as conn:
        return list(conn.execute(table.select().where(*(table.c[name] == value for name, value in known.items())).order_by(table.c.id)).mappings())


def row_of(tenant: Any, entity: str, **known: Any) -> Any:
    return rows_of(tenant, entity, **known)[0]


def body(page: str) -> str:
    return page.split("<tbody>")[1].split("</tbody>")[0]


def republish(tenant: Any, changes: dict[str, str]) -> None:
    sources = read_sources({"engine": shop.ROOT / "metadata", "pack": Path(__file__).parent / "packs"}, ("platform", "shop"))
    made = []
    for source in sources:
        text = source.text
        for before, after in changes.items() if source.path.endswith("sale/entity.yaml") else ():
            assert before in text, before
            text = text.replace(before, after)
        made.append(Source(source.layer, source.path, text))
    publish(tenant, tuple(made), reason="others")
    tenant.refresh()
