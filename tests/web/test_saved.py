"""Searches that people keep: for themselves, for roles, for everybody; never wider than the reader's own rights."""

import re
from urllib.parse import parse_qsl, urlsplit

import pytest
import sqlalchemy as sa

from metaloom import command
from metaloom.base.errors import Invalid, NotAllowed, NotFound
from metaloom.storage.tables import ENGINE
from tests.web.site import context_of

BUYER, PLACE = "shop.buyer", "/saved/shop.buyer/main"


@pytest.fixture(autouse=True)
def forget(tenancy):
    """Each test begins without any."""
    yield
    with tenancy.open("alpha").write() as conn:
        conn.execute(ENGINE.saved_list.delete())
        conn.execute(ENGINE.user.update().values(preferences=None))


@pytest.fixture
def as_(tenancy):
    return lambda name: context_of(tenancy.open("alpha"), name)


def shown(ctx):
    with ctx.tenant.read() as conn:
        return {one.name: one for one in command.saved_lists(ctx, conn, BUYER, "main")}


def keep(person, **fields):
    return person.post(PLACE, {"name": "金牌", "query": "?f.level=gold&f.name=张&sort=-name&cursor=x&q=", **fields})


def test_a_search_is_kept_and_opens_again_as_it_stood(visitor):
    person = visitor("li")
    answer = keep(person)
    to = answer.headers["Location"]
    query = dict(parse_qsl(urlsplit(to).query))
    assert answer.status_code == 303 and (query["f.level"], query["sort"]) == ("gold", "-name") and "cursor" not in query
    page = person.client.get(to).text
    assert "王芳" not in page and "张伟" in page and "金牌</span>" in page
    assert query["saved"] in person.get(PLACE).text and "金牌" in person.get(PLACE).text
    assert "金牌" not in visitor("han").get(PLACE).text


def test_a_default_opens_with_the_list_and_the_whole_list_stays_in_reach(visitor):
    person = visitor("li")
    keep(person, default="1")
    answer = person.get("/e/shop.buyer/")
    assert answer.status_code == 302 and "f.level=gold" in answer.headers["Location"]
    assert ">王芳</a>" in person.get("/e/shop.buyer/?saved=0&f.name=王芳").text
    id = re.search(r"saved=(\d+)", answer.headers["Location"])[1]
    assert person.post(f"{PLACE}/{id}", {"do": "delete"}).status_code == 303
    assert person.get("/e/shop.buyer/").status_code == 200


def test_a_search_opens_in_the_way_of_looking_it_was_kept_in(visitor):
    """Also where that was only remembered; what belongs to another way of looking is not kept, nor the day of a calendar."""
    person = visitor("li")

    def kept(query, name):
        return dict(parse_qsl(urlsplit(keep(person, query=query, name=name).headers["Location"]).query))

    def without_id(query):
        return {key: value for key, value in query.items() if key != "saved"}

    chart = kept("?f.level=gold&view=chart&by=level&as=pie&unit=week&span=week", "图")
    assert without_id(chart) == {"f.level": "gold", "view": "chart", "by": "level", "as": "pie", "unit": "week"}
    page = person.get("/e/shop.buyer/?saved=" + chart["saved"] + "&view=chart&by=level&as=pie").text
    assert "chartpick" in page
    board = kept("?view=board&by=level", "板")
    assert without_id(board) == {"view": "board"}
    person.post("/settings/list/shop.buyer/main", {"view": "board"})
    assert without_id(kept("?f.level=gold", "记住的")) == {"f.level": "gold", "view": "board"}
    table = kept("?f.level=gold&view=table", "表")
    assert without_id(table) == {"f.level": "gold", "view": "table"}
    opened = person.client.get(re.search(r'href="([^"]*saved=' + table["saved"] + ')"', person.get(PLACE).text)[1].replace("&amp;", "&")).text
    assert "data-kanban" not in opened and "data-kanban" in person.get("/e/shop.buyer/").text
    person.post(f"{PLACE}/{table['saved']}", {"do": "save", "name": "表", "renew": "1", "query": "?f.level=gold&view=chart"})
    assert "view=chart" in person.get(PLACE).text


def test_a_chart_by_what_a_reader_may_not_see_is_no_chart_for_them(as_, tenancy):
    id = command.save_list(as_("li"), BUYER, "main", {"name": "手机图", "query": {"view": ["chart"], "by": ["level"], "as": ["pie"]}, "shared": "everybody"}).id
    with tenancy.open("alpha").write() as conn:
        conn.execute(ENGINE.saved_list.update().where(ENGINE.saved_list.c.id == id).values(query={"view": ["chart"], "by": ["mobile"], "of": ["mobile"]}))
    seen = shown(as_("han"))["手机图"]
    assert seen.query == {"view": ("chart",)} and seen.left_out


def test_wrong_names_come_back_in_the_dialog(visitor):
    person = visitor("li")
    keep(person)
    for name, words in (("", "请填写名称"), ("x" * 61, "请填写名称"), ("金牌", "同名")):
        answer = keep(person, name=name)
        assert answer.status_code == 400 and words in answer.text
    assert "受保护" in keep(person, name="张", query="f.mobile=0001").text


def test_sharing_wants_the_right_and_gives_no_more_than_the_reader_has(as_, visitor):
    li, han = as_("li"), as_("han")
    asked = {"query": {"f.level": ["gold"], "sort": ["name"]}, "columns": ["name", "mobile"], "name": "金牌买家", "shared": "everybody"}
    with pytest.raises(NotAllowed):
        command.save_list(han, BUYER, "main", asked)
    id = command.save_list(li, BUYER, "main", asked).id
    assert shown(han)["金牌买家"].query == {"f.level": ("gold",), "sort": ("name",)}
    for wrong in (lambda: command.forget_saved_list(han, id), lambda: command.change_saved_list(han, id, {"name": "我的"})):
        with pytest.raises(NotAllowed):
            wrong()
    command.change_saved_list(li, id, {"shared": "roles", "roles": ["shop.seller"]})
    assert shown(han) == {}
    with pytest.raises(NotFound):
        command.forget_saved_list(han, id)
    with pytest.raises(Invalid):
        command.change_saved_list(li, id, {"shared": "roles", "roles": ["shop.emperor"]})


def test_what_a_reader_may_not_see_is_neither_run_nor_told(as_, tenancy, visitor):
    """A condition that reached the table on a field which the other person sees masked: its value stays untold."""
    li, han = as_("li"), as_("han")
    id = command.save_list(li, BUYER, "main", {"name": "按手机", "query": {"f.level": ["gold"]}, "columns": ["name"], "shared": "everybody"}).id
    with tenancy.open("alpha").write() as conn:
        conn.execute(ENGINE.saved_list.update().where(ENGINE.saved_list.c.id == id).values(
            query={"f.level": ["gold"], "f.mobile": ["13800000003"], "sort": ["mobile", "name"]}))
    seen = shown(han)["按手机"]
    assert seen.query == {"f.level": ("gold",), "sort": ("name",)} and seen.left_out
    assert "13800000003" not in visitor("han").get(PLACE).text and "f.mobile" not in visitor("han").get(PLACE).text
    assert shown(li)["按手机"].query["f.mobile"] == ("13800000003",)


def test_nothing_is_kept_of_a_list_that_one_may_not_see(as_, visitor):
    assert visitor("nobody").get(PLACE).status_code in (403, 404)
    with pytest.raises((NotAllowed, NotFound)):
        command.save_list(as_("nobody"), BUYER, "main", {"name": "x"})
    for wrong in ({"query": {"f.salary": ["1"]}}, {"query": {"sort": ["salary"]}}, {"query": {"drop": ["1"]}}, {"query": {"tab": ["x"]}},
                  {"query": {"view": ["map"]}}, {"query": {"view": ["calendar"]}}, {"query": {"as": ["cake"]}}, {"query": {"by": ["salary"]}},
                  {"query": {"of": ["no"]}}, {"query": {"span": ["year"]}}, {"query": {"unit": ["hour"]}},
                  {"columns": ["salary"]}, {"query": []}, {"columns": "name"}, {"shared": "all"}, {"query": {"f.level": ["\x00"]}}):
        with pytest.raises(Invalid):
            command.save_list(as_("li"), BUYER, "main", {"name": "x", **wrong})


def test_the_audit_says_what_is_asked_and_never_for_which_value(as_, tenancy):
    command.save_list(as_("li"), BUYER, "main", {"name": "孔家", "query": {"q": ["孔令辉"]}})
    with tenancy.open("alpha").read() as conn:
        row = conn.execute(sa.select(ENGINE.audit).where(ENGINE.audit.c.command == "save_list").order_by(ENGINE.audit.c.id.desc())).mappings().first()
    assert row["after"]["saved_list"] == {"name": "孔家", "asks": ["q"], "shared": "nobody", "roles": []} and row["entity"] == BUYER


def test_columns_order_and_widths_are_the_persons_own_and_go_back(visitor):
    person = visitor("li")
    place = "/settings/list/shop.buyer/main"
    person.post(place, {"columns": ["level", "name"]})
    assert person.post(place, {"widths": "name:333,level:9999,salary:5,x"}).status_code == 204
    page = person.get("/e/shop.buyer/").text
    heads = re.findall(r'<col data-path="([a-z_]+)"(?: width="(\d+)")?>', page)
    assert heads == [("level", "800"), ("name", "333")]
    person.post(place, {"reset": "1"})
    assert len(re.findall(r'<col data-path="', person.get("/e/shop.buyer/").text)) == 6


def test_rest_keeps_changes_and_forgets(visitor):
    from tests.web.test_import import call

    li, han = visitor("li"), visitor("han")
    made = call(li, "POST", "/saved", {"entity": BUYER, "name": "金牌", "query": {"f.level": ["gold"], "sort": ["-name"]}, "shared": "everybody"})
    assert made.status_code == 201
    place = f"/saved/{made.json['id']}"
    assert call(han, "GET", place).json["query"] == {"f.level": ["gold"], "sort": ["-name"]}
    assert [one["name"] for one in call(han, "GET", f"/saved?entity={BUYER}").json["items"]] == ["金牌"]
    assert call(han, "PATCH", place, {"name": "x"}).status_code == call(han, "DELETE", place).status_code == 403
    assert call(li, "PATCH", place, {"name": "老金牌", "shared": "nobody"}).status_code == 200
    assert call(han, "GET", place).status_code == 404 and call(li, "GET", place).json["name"] == "老金牌"
    for wrong in ({"name": ""}, {"columns": "name"}, {"query": {"f.x": ["1"]}}, {"roles": [1], "shared": "roles"}, {"own": True}):
        assert call(li, "PATCH", place, wrong).status_code == 400, wrong
    assert call(li, "DELETE", place).status_code == 200 and call(li, "GET", place).status_code == 404
