"""Lists as boards over HTTP: what stands in the columns, who may move what, and that moving goes through the same commands."""

from __future__ import annotations

import html
import re
from datetime import date
from typing import Any

import pytest

from metaloom import command
from metaloom.base.clock import SystemClock
from metaloom.plugin.registry import installed
from tests.web.site import PASSWORD, context_of
from tests.web.test_screens import statements

SALE = "/e/shop.sale/?view=board"


def lanes(page: str) -> dict[str, str]:
    return dict(re.findall(r'data-lane="(\w*)"(.*?)</section>', page, re.DOTALL))


def cards(lane: str) -> list[tuple[int, int, str]]:
    """(id, version, where to) of each card."""
    return [(int(id), int(version), to or "") for id, version, to in re.findall(r'data-card="(\d+)" data-version="(\d+)"(?: data-to="([\w ]*)")?', lane)]


def stored(tenancy: Any, id: int, entity: str = "shop.sale") -> Any:
    ctx = context_of(tenancy.open("alpha"), "li")
    with ctx.tenant.read() as conn:
        from metaloom.record import Reader

        return Reader(conn, ctx.tenant, ctx.revision, ctx.plan).get(entity, id)


def sale(tenancy: Any, to: str = "draft") -> Any:
    """A sale of its own for who moves it."""
    ctx = context_of(tenancy.open("alpha"), "li")
    saved = command.create_record(ctx, "shop.sale", {"buyer": 1, "price": "8.00", "quantity": 1})
    if to == "sent":
        command.run_action(ctx, "shop.sale", saved.id, "send", {}, saved.row_version)
    return stored(tenancy, saved.id)


def moved(person: Any, row: Any, to: str, **more: Any) -> Any:
    return person.post(f"/e/shop.sale/{row.id}/move", {"to": to, "list": "main", "_version": str(row.row_version), "_next": f"/alpha{SALE}", **more},
                       headers={"HX-Request": "true", "HX-Target": "dialog"})


def test_a_board_costs_at_most_three_statements(app: Any, tenancy: Any, visitor: Any) -> None:
    for who in ("li", "han"):
        person = visitor(who)
        person.get(SALE)
        answer, seen = statements(app, tenancy, lambda person=person: person.get(SALE))
        seen = [s for s in seen if "ml_pointer" not in s]
        print(f"board of {who}: {len(seen)} statements")
        assert answer.status_code == 200 and 1 <= len(seen) <= 3, "\n\n".join(seen)


def test_every_state_has_a_column_with_the_count_and_the_sum_of_the_whole_filter(visitor: Any) -> None:
    person = visitor("li")
    found = lanes(person.get(SALE).text)
    assert list(found) == ["draft", "sent", "done"]
    for state in found:
        many = int(person.get(f"/e/shop.sale/count?f.status={state}").text)
        assert re.search(r'class="n num">([\d,]+)<', found[state])[1] == str(many)  # type: ignore[index]
        assert len(cards(found[state])) == min(5, many)
    total = re.search(r'title="([\d,.]+)"', found["sent"])[1]  # type: ignore[index]
    assert person.get("/e/shop.sale/totals?f.status=sent").json["total"] == total
    assert "<p class=\"lane-empty" in found["done"] or cards(found["done"])


def test_search_and_tab_hold_and_a_column_goes_on(visitor: Any) -> None:
    person = visitor("li")
    assert all(not cards(lane) for state, lane in lanes(person.get(SALE + "&tab=sent").text).items() if state != "sent")
    seen, at = [], lanes(person.get(SALE + "&f.price~from=2").text)["sent"]
    while True:
        seen += [id for id, _, _ in cards(at)]
        more = re.search(r'hx-get="([^"]+lane[^"]+)"', at)
        if not more:
            break
        at = person.get(html.unescape(more[1]).removeprefix("/alpha"), headers={"HX-Request": "true"}).text
    assert len(seen) == len(set(seen)) > 5


def test_cards_show_no_masked_field_and_columns_go_by_nothing_hidden(visitor: Any) -> None:
    """The seller reads mobiles; the viewer, who sees them masked, finds none on cards, and moves nothing."""
    own, viewer = visitor("li").get("/e/shop.buyer/?view=board").text, visitor("han").get("/e/shop.buyer/?view=board").text
    assert re.search(r"138\d{8}", own) and list(lanes(own)) == ["gold", "plain"]
    assert not re.search(r"138\d{8}|138\*|\*{4}", viewer) and "王芳" in viewer
    assert all(to == "" for lane in lanes(viewer).values() for _, _, to in cards(lane)) and "data-row-menu" not in viewer


def test_a_card_leaves_out_what_is_masked_in_its_row_though_others_are_read(visitor: Any, tenancy: Any) -> None:
    """Seller in one company and viewer in the other: the mobile stands on the cards of the one, on no card of the other, masked neither."""
    tenant = tenancy.open("alpha")
    system = command.system_context(tenant, plugins=installed(), clock=SystemClock())
    east = context_of(tenant, "li").actor.company_id
    west = command.create_record(system, "platform.company", {"code": "C2", "name": "西城分公司", "business_date": date(2026, 11, 21)}).id
    user = command.save_user(system, None, {"username": "mei", "display_name": "梅", "email": "mei@example.com", "company": west}, password=PASSWORD).id
    command.assign_role(system, user, "shop.seller", company=west)
    command.assign_role(system, user, "shop.viewer", company=east)
    mine = command.create_record(context_of(tenant, "mei"), "shop.buyer", {"name": "西城买家", "mobile": "13900000088", "level": "gold"}).id
    page = visitor("mei").get("/e/shop.buyer/?view=board").text
    shown = {int(id): text for id, text in re.findall(r'data-card="(\d+)"(.*?)(?=data-card=|</section>)', page, re.DOTALL)}
    assert "13900000088" in shown.pop(mine) and "王芳" in "".join(shown.values())
    assert not re.search(r"1[38]\d{9}|1[38]\d\*|\*{4}", "".join(shown.values()))


def test_a_card_says_where_it_may_go_and_the_move_runs_the_action(visitor: Any, tenancy: Any) -> None:
    person, row = visitor("li"), sale(tenancy)
    assert next(to for id, _, to in cards(lanes(person.get(f"{SALE}&sort=-id").text)["draft"]) if id == row.id) == "sent"
    answer = moved(person, row, "sent")
    assert (answer.status_code, answer.headers["HX-Redirect"]) == (204, f"/alpha{SALE}")
    after = stored(tenancy, row.id)
    assert after["status"] == "sent" and after.row_version == row.row_version + 1
    history = person.get(f"/e/shop.sale/{row.id}/tab/history").text
    assert "发货" in history or "action:send" in history


def test_what_asks_for_input_opens_its_dialog_and_changes_nothing_yet(visitor: Any, tenancy: Any) -> None:
    person, row = visitor("li"), sale(tenancy, "sent")
    answer = moved(person, row, "done")
    assert answer.status_code == 200 and "ask-reason" in answer.text and f"/e/shop.sale/{row.id}/do/finish" in answer.text
    assert 'name="_next" value="/alpha/e/shop.sale/?view=board"' in answer.text
    assert stored(tenancy, row.id)["status"] == "sent"


@pytest.mark.parametrize(("begin", "to", "words"), [("draft", "done", "没有操作能让它从“草稿”到“完成”"), ("sent", "draft", "没有操作能让它从“已发货”到“草稿”")])
def test_where_no_action_leads_the_card_stays_and_it_is_said(visitor: Any, tenancy: Any, begin: str, to: str, words: str) -> None:
    row = sale(tenancy, begin)
    answer = moved(visitor("li"), row, to)
    assert answer.status_code == 409 and words in answer.text and answer.headers["HX-Retarget"] == "#toasts"
    assert stored(tenancy, row.id).row_version == row.row_version


def test_a_card_that_moved_on_meanwhile_is_not_moved_again(visitor: Any, tenancy: Any) -> None:
    person, row = visitor("li"), sale(tenancy)
    assert moved(person, row, "sent").status_code == 204
    late = moved(person, row, "sent")
    assert late.status_code == 204 and late.headers["HX-Redirect"].endswith("view=board") and stored(tenancy, row.id).row_version == row.row_version + 1
    assert "已被他人修改" in person.get(SALE).text or "变化" in person.get(SALE).text


def test_who_may_only_read_moves_nothing_and_strangers_find_nothing(visitor: Any, tenancy: Any) -> None:
    row = sale(tenancy)
    assert moved(visitor("han"), row, "sent").status_code == 409
    assert moved(visitor("nobody"), row, "sent").status_code in (403, 404)
    assert visitor("nobody").get(SALE).status_code == 404
    assert visitor("nobody").get("/e/shop.sale/lane?lane=draft").status_code == 404
    assert stored(tenancy, row.id).row_version == row.row_version


def test_a_list_without_a_board_has_none_and_unknown_columns_are_no_goal(visitor: Any, tenancy: Any) -> None:
    person, row = visitor("li"), sale(tenancy)
    assert "data-kanban" not in person.get("/e/shop.sale/big/?view=board").text
    assert person.get("/e/shop.sale/big/lane?lane=draft").status_code == 404
    assert moved(person, row, "gone").status_code == 404 and moved(person, row, "").status_code == 404
    assert moved(person, row, "sent", list="big").status_code == 404


def test_a_card_of_a_choice_moves_by_a_change_of_the_field(visitor: Any, tenancy: Any) -> None:
    ctx = context_of(tenancy.open("alpha"), "li")
    buyer = command.create_record(ctx, "shop.buyer", {"name": "移动者", "mobile": "13800000077", "level": "plain"})
    sent = {"to": "gold", "list": "main", "_version": str(buyer.row_version)}
    assert visitor("han").post(f"/e/shop.buyer/{buyer.id}/move", sent, headers={"HX-Request": "true"}).status_code == 409
    assert visitor("li").post(f"/e/shop.buyer/{buyer.id}/move", sent, headers={"HX-Request": "true"}).status_code == 204
    assert stored(tenancy, buyer.id, "shop.buyer")["level"] == "gold"


def test_the_way_of_looking_is_remembered_for_the_person_and_the_address_goes_first(visitor: Any) -> None:
    person = visitor("li")
    assert "data-kanban" not in person.get("/e/shop.sale/").text
    try:
        assert person.post("/settings/list/shop.sale/main", {"view": "board"}).status_code == 204
        assert "data-kanban" in person.get("/e/shop.sale/").text and "data-kanban" not in person.get("/e/shop.sale/?view=table").text
        assert "data-kanban" not in visitor("han").get("/e/shop.sale/").text
    finally:
        person.post("/settings/list/shop.sale/main", {"view": "table"})


def test_the_menu_of_a_card_names_the_columns_with_a_way_and_why_one_is_closed(visitor: Any, tenancy: Any) -> None:
    menu = visitor("li").get(f"/e/shop.sale/{sale(tenancy).id}/moves?list=main").text
    assert 'data-move-to="sent"' in menu and "发货" in menu and 'data-move-to="done"' not in menu
    assert "没有可以移到的列" in visitor("han").get(f"/e/shop.sale/{sale(tenancy).id}/moves?list=main").text
