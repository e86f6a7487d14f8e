"""The same change of many records: tried, done, undone; each record by its own rights and rules."""

import re
from datetime import date
from decimal import Decimal

import pytest

from metaloom import command
from metaloom.base.errors import Invalid, NotAllowed, NotFound, NotPossible
from metaloom.command.bulk_edit import change_many, undo_many
from tests.web.site import context_of

BUYER, SALE = "shop.buyer", "shop.sale"


@pytest.fixture
def li(tenancy):
    return context_of(tenancy.open("alpha"), "li")


@pytest.fixture
def three(li):
    return {command.create_record(li, BUYER, {"name": f"团购{n}", "level": "gold" if n == 2 else "plain"}).id: 1 for n in range(3)}


def read(ctx, entity, ids):
    from metaloom.record import Reader

    with ctx.tenant.read() as conn:
        reader = Reader(conn, ctx.tenant, ctx.revision, ctx.plan, locale="zh")
        return [reader.get(entity, id).values for id in ids]


def hows(done):
    return [one.how for one in done.outcomes]


def test_a_trial_says_what_the_change_does_and_keeps_nothing(li, three):
    tried = change_many(li, BUYER, three, "edit", {"level": "gold"}, trial=True)
    assert hows(tried) == ["done", "done", "same"] and tried.run is None
    assert [row["level"] for row in read(li, BUYER, three)] == ["plain", "plain", "gold"]
    done = change_many(li, BUYER, three, "edit", {"level": "gold"})
    assert hows(done) == hows(tried) and [row["level"] for row in read(li, BUYER, three)] == ["gold"] * 3


def test_it_is_undone_where_nobody_went_on(li, three):
    first = next(iter(three))
    done = change_many(li, BUYER, three, "edit", {"remark": "老客户", "rebate": Decimal("0.05")})
    command.change_record(li, BUYER, first, {"remark": "新客户"}, 2)
    back = undo_many(li, done.run)
    assert hows(back) == ["refused", "done", "done"] and back.outcomes[0].why.code == "many.stays"
    assert [(row["remark"], row["rebate"]) for row in read(li, BUYER, three)] == [("新客户", Decimal("0.05")), (None, None), (None, None)]
    assert hows(undo_many(li, done.run)) == ["refused"]


def test_each_record_is_refused_by_its_own_rules(li, tenancy):
    buyer = command.create_record(li, BUYER, {"name": "批发商"}).id
    sales = [command.create_record(li, SALE, {"buyer": buyer, "ordered_on": date(2026, 11, 1), "price": Decimal(price), "quantity": 1, "lines": []}).id
             for price in (10, 20, 400000)]
    command.run_action(li, SALE, sales[1], "send", {}, 1)
    targets = {sales[0]: 1, sales[1]: 2, sales[2]: 1}
    done = change_many(li, SALE, targets, "edit", {"quantity": 2})
    assert hows(done) == ["done", "refused", "refused"] and "50 万" in done.outcomes[2].why.say("zh")
    stale = change_many(li, SALE, {sales[0]: 1}, "edit", {"quantity": 3})
    assert hows(stale) == ["refused"]


def test_rights_fields_and_numbers_are_asked(li, three, tenancy):
    han = context_of(tenancy.open("alpha"), "han")
    with pytest.raises(NotAllowed):
        change_many(han, BUYER, three, "edit", {"level": "gold"})
    for wrong in ({"mobile": "13900000000"}, {"salary": 1}, {}):
        with pytest.raises(Invalid):
            change_many(li, BUYER, three, "edit", wrong)
    with pytest.raises(NotFound):
        change_many(li, BUYER, {**three, 10**9: 1}, "edit", {"level": "gold"})
    with pytest.raises(NotPossible):
        change_many(li, BUYER, dict.fromkeys(range(1, 1002), 1), "archive")
    run = change_many(li, BUYER, three, "edit", {"remark": "x"}).run
    with pytest.raises(NotFound):
        undo_many(han, run)


def test_archived_together_and_brought_back_together(li, three):
    done = change_many(li, BUYER, three, "archive", reason="停业")
    assert hows(done) == ["done"] * 3
    assert hows(undo_many(li, done.run)) == ["done"] * 3
    with pytest.raises(NotPossible):
        undo_many(li, done.run)


def test_a_repeated_key_does_it_once(li, three):
    first, again = (change_many(li.with_key("many-1"), BUYER, three, "edit", {"remark": "一次"}) for _ in range(2))
    assert (first.run, hows(first), again.replayed) == (again.run, hows(again), True)
    assert hows(change_many(li, BUYER, dict.fromkeys(three, 2), "edit", {"remark": "再来"})) == ["done"] * 3


def test_the_screens_try_do_and_undo(visitor, three):
    person, ids = visitor("li"), ",".join(f"{id}:1" for id in three)
    page = person.post("/many/shop.buyer/main/edit", {"ids": ids}).text
    assert "已选 3 条" in page and 'name="level"' in page and 'name="mobile"' not in page
    assert "请选择要修改的字段" in person.post("/many/shop.buyer/main/edit", {"ids": ids, "_step": "trial"}).text
    given = {"ids": ids, "_set": "level", "level": "gold", "remark": "不改"}
    tried = person.post("/many/shop.buyer/main/edit", {**given, "_step": "trial"}).text
    assert "成功 2 条，未变化 1 条" in tried and 'name="level" value="gold"' in tried
    assert re.findall(r"<tr><td>([^<]*)</td><td>([^<]*)</td></tr>", tried) == [("等级", "金牌")]
    emptied = person.post("/many/shop.buyer/main/edit", {**given, "_set": "remark", "remark": "", "_step": "trial"}).text
    assert re.findall(r"<tr><td>([^<]*)</td><td>([^<]*)</td></tr>", emptied) == [("备注", "（清空）")]
    done = person.post("/many/shop.buyer/main/edit", {**given, "_step": "do", "_key": "screen-1"}).text
    run = re.search(r"/undo/(\d+)", done)[1]
    assert "恢复 2 条" in person.post(f"/many/shop.buyer/main/undo/{run}").text
    assert person.post("/many/shop.buyer/main/edit", {"ids": "x"}).status_code == 409
    assert visitor("han").post("/many/shop.buyer/main/edit", {"ids": ids}).status_code == 403


def test_the_whole_search_is_meant_and_no_more(visitor, three):
    person = visitor("li")
    page = person.post("/many/shop.buyer/main/edit?f.name=团购", {"_all": "1"}).text
    assert {int(id) for id in re.findall(r"(\d+):1", re.search(r'name="ids" value="([^"]+)"', page)[1])} >= set(three)
    assert "王芳" not in person.post("/many/shop.buyer/main/archive?f.name=团购", {"_all": "1"}).text


def test_rest_tries_does_and_undoes(visitor, three):
    from tests.web.test_import import call

    person, items = visitor("li"), [{"id": id, "row_version": 1} for id in three]
    body = {"verb": "edit", "items": items, "values": {"level": "gold"}}
    tried = call(person, "POST", "/shop.buyer/many", {**body, "trial": True}).json
    assert (tried["done"], tried["unchanged"], tried["run"]) == (2, 1, None)
    done = call(person, "POST", "/shop.buyer/many", body).json
    assert [one["outcome"] for one in done["items"]] == ["done", "done", "same"]
    assert call(person, "POST", f"/many/{done['run']}/undo").json["done"] == 2
    for wrong in ({"verb": "drop"}, {"items": []}, {"items": [{"id": 1}]}, {"values": {"salary": 1}}, {"values": {"level": "iron"}},
                  {"values": {"mobile": "13900000000"}}, {"trial": 1}, {"values": {}}):
        assert call(person, "POST", "/shop.buyer/many", {**body, **wrong}).status_code == 400, wrong
    assert call(visitor("han"), "POST", "/shop.buyer/many", body).status_code == 403
    assert call(visitor("han"), "POST", f"/many/{done['run']}/undo").status_code == 404


def offers(page, field):
    """The codes that stand in the box, and those that wait beside it."""
    row = re.search(rf'<div class="manyrow" data-field="{field}".*?(?=<div class="manyrow")', page, re.S)[0]
    now, _, beyond = row.partition("<template>")
    return tuple(re.findall(r'<option value="(\w+)"', part) for part in (now, beyond))


def test_only_what_the_chosen_records_leave_is_offered(li, visitor):
    way = {"ordered_on": date(2026, 11, 1), "price": Decimal(5), "quantity": 1, "lines": []}
    sales = {}
    for name, ways in (("By post only", ["post"]), ("By van only", ["van"]), ("Any way", None)):
        buyer = command.create_record(li, BUYER, {"name": name, **({"ways": ways} if ways else {})}).id
        sales[name] = command.create_record(li, SALE, {"buyer": buyer, **way}).id
    asked = lambda *names: visitor("li").post("/many/shop.sale/main/edit", {"ids": ",".join(f"{sales[name]}:1" for name in names)}).text  # noqa: E731
    assert offers(asked("By post only"), "ways") == (["post"], ["van", "shop"])
    assert offers(asked("By post only", "By van only"), "ways") == (["post", "van"], ["shop"])
    assert offers(asked("By post only", "Any way"), "ways") == (["post", "van", "shop"], [])


def test_the_undo_is_called_an_undo_of_many_not_of_one(visitor, three):
    person, ids = visitor("li"), ",".join(f"{id}:1" for id in three)
    done = person.post("/many/shop.buyer/main/edit", {"ids": ids, "_set": "remark", "remark": "一并", "_step": "do", "_key": "undo-head"}).text
    run = re.search(r"/undo/(\d+)", done)[1]
    undone = person.post(f"/many/shop.buyer/main/undo/{run}").text
    assert "<h1>撤销批量操作</h1>" in undone and "撤销买家" not in undone
