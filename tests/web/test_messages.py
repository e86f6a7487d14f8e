"""The bell, the panel, the list and the settings of messages, in the browser of the person they are for."""

from types import SimpleNamespace

import pytest
import sqlalchemy as sa

from metaloom import command
from metaloom.app import create_app
from metaloom.base.clock import SystemClock
from metaloom.base.messages import message
from metaloom.base.text import Text
from metaloom.command import ActionDone
from metaloom.command.notify import notify
from metaloom.command.outgoing import Letter, post_letters
from metaloom.command.unit import perform
from metaloom.plugin.registry import installed
from metaloom.storage import Tenancy
from tests.web import site as shop
from tests.web.conftest import Visitor


@pytest.fixture(scope="module")
def office(tmp_path_factory):
    settings = shop.settings_at(tmp_path_factory.mktemp("messages"))
    tenancy = Tenancy(settings)
    tenant = shop.build_tenant(tenancy, "alpha", Text("阿尔法商行", "Alpha Trading"), sales=3)
    ctx = command.system_context(tenant, plugins=installed(), clock=SystemClock())
    admin = command.save_user(ctx, None, {"username": "admin", "display_name": "Admin", "email": "a@example.com"}, password=shop.PASSWORD).id
    command.assign_role(ctx, admin, "platform.admin")
    users = tenant.revision().tables.engine.user
    with tenant.read() as conn:
        ids = dict(conn.execute(sa.select(users.c.username, users.c.id)).tuples().all())
    yield SimpleNamespace(app=create_app(settings, tenancy=tenancy), tenant=tenant, ctx=ctx, ids=ids)
    tenancy.close()


def tell(office, who, subject, **more):
    def work(unit):
        notify(unit, [office.ids[who]], kind="approval.task", subject=subject, **more)
        return ActionDone("", None, None, message("message.marked"))

    perform(office.ctx, "test", [], work)


def visitor(office, name):
    made = Visitor(office.app, "alpha")
    made.log_in(name)
    return made


def waits(browser, **more):
    return browser.get("/message/count", **more)


def test_the_bell_counts_and_says_when_nothing_changed(office):
    li = visitor(office, "li")
    before = waits(li).json["unread"]
    tell(office, "li", "待审批：<script>alert(1)</script>", entity="shop.sale", record_id=1, urgent=True)
    answer = waits(li)
    assert answer.json == {"unread": before + 1, "todo": 0} and answer.headers["Cache-Control"] == "private, no-cache"
    again = waits(li, headers={"If-None-Match": answer.headers["ETag"]})
    assert again.status_code == 304 and not again.data
    assert waits(visitor(office, "han")).json["unread"] == 0
    page = li.get("/").text
    assert 'data-bell="/alpha/message/count"' in page and page.count("data-unread") == 2
    panel = li.get("/message/panel", headers={"HX-Request": "true"}).text
    assert "&lt;script&gt;alert(1)" in panel and "<script>" not in panel and "审批待办" in panel


def test_asking_by_itself_is_no_visit(office):
    """Else an open page would keep its login alive for ever."""
    li = visitor(office, "li")
    table = office.tenant.revision().tables.engine.session
    with office.tenant.write() as conn:
        conn.execute(table.update().values(seen_at=sa.func.datetime(table.c.seen_at, "-20 minutes")))
        old = conn.scalar(sa.select(sa.func.max(table.c.seen_at)))
    assert waits(li).status_code == 200
    with office.tenant.read() as conn:
        assert conn.scalar(sa.select(sa.func.max(table.c.seen_at))) == old
    li.get("/message/")
    with office.tenant.read() as conn:
        assert conn.scalar(sa.select(sa.func.max(table.c.seen_at))) > old


def test_opening_reads_and_leads_to_the_record_which_asks_for_rights_anew(office):
    tell(office, "li", "看这单", entity="shop.sale", record_id=1)
    tell(office, "nobody", "看这单", entity="shop.sale", record_id=1)
    for name, status in (("li", 200), ("nobody", 404)):
        browser = visitor(office, name)
        unread = waits(browser).json["unread"]
        number = newest(office, name)
        answer = browser.post(f"/message/{number}/open")
        assert (answer.status_code, answer.headers["Location"]) == (302, "/alpha/e/shop.sale/1")
        assert browser.client.get(answer.headers["Location"]).status_code in ({status, 403} if status == 404 else {status})
        assert waits(browser).json["unread"] == unread - 1


def newest(office, who):
    table = office.tenant.revision().tables.engine.message
    with office.tenant.read() as conn:
        return conn.scalar(sa.select(sa.func.max(table.c.id)).where(table.c.receiver_id == office.ids[who]))


@pytest.mark.parametrize("link", ["//evil.example/x", "https://evil.example", "/\\evil.example", "javascript:alert(1)", "/a b"])
def test_a_message_leads_nowhere_outside(office, link):
    tell(office, "li", "外链", link=link)
    answer = visitor(office, "li").post(f"/message/{newest(office, 'li')}/open")
    assert answer.headers["Location"] == "/alpha/message/?show="


def test_somebody_elses_message_is_not_there(office):
    tell(office, "han", "给韩梅梅")
    number, li = newest(office, "han"), visitor(office, "li")
    assert li.post(f"/message/{number}/open").status_code == 404
    li.post("/message/read", {"id": number})
    assert waits(visitor(office, "han")).json["unread"] >= 1
    assert "给韩梅梅" not in li.get("/message/?show=").text


def test_the_list_shows_unread_read_and_all_and_marks_them(office):
    tell(office, "li", "第一条", body="正文 <b>粗</b>")
    li, number = visitor(office, "li"), newest(office, "li")
    assert "第一条" in li.get("/message/").text and "&lt;b&gt;粗" in li.get("/message/").text
    assert "第一条" not in li.get("/message/?show=read").text
    li.post("/message/read", {"id": number})
    assert "第一条" not in li.get("/message/").text and "第一条" in li.get("/message/?show=read").text
    tell(office, "li", "第二条")
    li.post("/message/read", {"all": "1"})
    assert waits(li).json["unread"] == 0 and "没有未读消息" in li.get("/message/").text
    assert li.post("/message/read", {}).status_code == 400 and li.post("/message/read", {"id": "x"}).status_code == 400
    assert li.post("/message/read", {"all": "1"}, token=False).status_code == 400
    assert li.get("/message/?before=x&show=odd").status_code == 200


def test_wishes_are_kept_and_hold_back(office):
    li = visitor(office, "li")
    page = li.get("/message/settings").text
    assert "审批待办" in page and 'value="approval.task|in_app"' in page and "checked" in page
    li.post("/message/settings", {"want": ["alert|in_app"]})
    before = waits(li).json["unread"]
    tell(office, "li", "不要的")
    assert waits(li).json["unread"] == before and "不要的" not in li.get("/message/?show=").text
    li.post("/message/settings", {"want": ["alert|in_app", "approval.task|in_app", "nothing|x"]})
    tell(office, "li", "又要的")
    assert waits(li).json["unread"] == before + 1


def test_the_log_shows_that_it_went_not_what_it_said_and_sends_again(office):
    def work(unit):
        post_letters(unit, [Letter(channel="sms", address="13912345678", kind="test", subject="秘密", body="秘密内容")])
        return ActionDone("", None, None, message("message.marked"))

    perform(office.ctx, "test", [], work)
    table = office.tenant.revision().tables.engine.message
    with office.tenant.read() as conn:
        number = conn.scalar(sa.select(sa.func.max(table.c.id)))
    admin = visitor(office, "admin")
    page = admin.get(f"/e/platform.message/{number}").text
    assert "139****5678" in page and "渠道未配置" in page and "重新发送" in page
    everything = page + admin.get("/e/platform.message/").text
    assert "秘密" not in everything and "13912345678" not in everything
    answer = admin.post(f"/e/platform.message/{number}/do/resend", {"reason": "再发一次"}, headers={"HX-Request": "true"})
    assert answer.status_code in (200, 204), answer.text
    with office.tenant.read() as conn:
        assert conn.scalar(sa.select(table.c.resend_of).order_by(table.c.id.desc()).limit(1)) == number
    assert visitor(office, "li").get(f"/e/platform.message/{number}").status_code == 404
