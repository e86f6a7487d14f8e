"""What people say about a record: who reads it, who says it, who is told, and that nothing of it is found but through the record."""

import json
import re
from dataclasses import replace
from datetime import timedelta
from io import BytesIO

import pytest
import sqlalchemy as sa

from metaloom import command
from metaloom.base.errors import Invalid, NotAllowed, NotFound, NotPossible
from metaloom.storage.tables import ENGINE
from metaloom.web.timeline import marked
from tests.web.site import context_of

SALE = "shop.sale"


pytestmark = pytest.mark.usefixtures("unsaid")


@pytest.fixture
def as_(tenancy):
    return lambda name: context_of(tenancy.open("alpha"), name)


@pytest.fixture
def sale(as_):
    ctx = as_("li")
    with ctx.tenant.read() as conn:
        return conn.scalar(sa.select(sa.func.min(ctx.revision.tables.of(SALE).c.id)))


def said(ctx, sale):
    with ctx.tenant.read() as conn:
        return command.comments_of(ctx, conn, SALE, sale)


def notes(ctx):
    with ctx.tenant.read() as conn:
        return command.my_messages(ctx, conn)


def later(ctx, **span):
    class Clock:
        def now(self):
            return ctx.clock.now() + timedelta(**span)

    return replace(ctx, clock=Clock())


def test_who_reads_the_record_reads_what_is_said_and_only_the_right_lets_speak(as_, sale):
    command.add_comment(as_("li"), SALE, sale, {"text": "客户要求周五前送到\n电话已确认"})
    assert [one.text for one in said(as_("han"), sale)] == ["客户要求周五前送到\n电话已确认"]
    with pytest.raises(NotAllowed):
        command.add_comment(as_("han"), SALE, sale, {"text": "我也说一句"})
    for ask in (lambda c: said(c, sale), lambda c: command.add_comment(c, SALE, sale, {"text": "x"}), lambda c: command.remove_comment(c, SALE, sale, 1)):
        with pytest.raises(NotFound):
            ask(as_("nobody"))
    with pytest.raises(NotFound):
        said(as_("li"), 10**9)


@pytest.mark.parametrize("values", [{}, {"text": "  \n"}, {"text": "x" * 4001}, {"text": "a\x07"}, {"text": 5}, {"text": "x", "mentions": ["1"]},
                                    {"text": "x", "mentions": [True]}, {"text": "x", "files": [10**9]}, {"text": "x", "mentions": list(range(1, 30))}])
def test_what_is_no_comment_is_refused_and_nothing_is_kept(as_, sale, values):
    with pytest.raises(Invalid):
        command.add_comment(as_("li"), SALE, sale, values)
    assert said(as_("li"), sale) == []


def test_a_mentioned_colleague_is_told_where_and_by_whom_but_not_what(as_, sale):
    han, nobody = as_("han").actor.user_id, as_("nobody").actor.user_id
    command.add_comment(as_("li"), SALE, sale, {"text": "@韩梅梅 密码是芝麻开门", "mentions": [han]})
    (note,) = notes(as_("han"))
    assert note.kind == "comment" and "李雷" in note.subject and "芝麻" not in note.subject + note.body and note.link.endswith("?tab=timeline")
    assert said(as_("han"), sale)[0].mentions == {han: "韩梅梅"}
    with pytest.raises(Invalid) as refused:                      # who does not read the record is not called to it
        command.add_comment(as_("li"), SALE, sale, {"text": "@路人甲 来看", "mentions": [nobody]})
    assert "路人甲" in refused.value.problems[0].message.say("zh")
    assert notes(as_("nobody")) == [] and len(said(as_("li"), sale)) == 1
    with as_("li").tenant.read() as conn:
        ours = {"李雷", "韩梅梅", "路人甲"}     # others may have come to the shop
        offered = {text: [hit.title for hit in command.people_to_mention(as_("li"), conn, SALE, sale, text) if hit.title in ours]
                   for text in ("", "梅", "han", "%", "路")}
    assert offered == {"": ["韩梅梅"], "梅": ["韩梅梅"], "han": ["韩梅梅"], "%": [], "路": []}


def test_offering_colleagues_takes_as_many_statements_for_many_as_for_one(as_, sale):
    li, sent = as_("li"), []
    company = li.actor.company_id
    system = command.system_context(li.tenant, plugins=li.plugins, clock=li.clock)

    def offered(text):
        with li.tenant.read() as conn:
            conn.execute(sa.select(1))
            sa.event.listen(conn, "before_cursor_execute", lambda *told: sent.append(told[2]))
            sent.clear()
            return [hit.title for hit in command.people_to_mention(li, conn, SALE, sale, text)], len(sent)

    hits, one = offered("韩")
    made = [command.save_user(system, None, {"username": f"crowd{n}", "display_name": f"众人{n:02}", "email": f"crowd{n}@example.com", "company": company})
            for n in range(12)]
    try:
        for n, user in enumerate(made):
            command.assign_role(system, user.id, "shop.viewer" if n != 3 else "shop.stranger", company=company)
        names, many = offered("众人")
        assert hits == ["韩梅梅"] and names == [f"众人{n:02}" for n in range(9) if n != 3] and many == one <= 6, (one, many)
    finally:
        for user in made:
            command.save_user(system, user.id, {"active": False}, user.row_version)


def test_a_name_with_braces_fills_no_slot(as_, sale):
    li = as_("li")
    li = replace(li, actor=replace(li.actor, display_name="李{total}雷"))
    command.add_comment(li, SALE, sale, {"text": "@韩梅梅", "mentions": [as_("han").actor.user_id]})
    assert "（total）" in notes(as_("han"))[0].subject


def test_words_are_changed_while_fresh_and_marked_and_others_are_not_ones_own(as_, sale):
    li = as_("li")
    id = command.add_comment(li, SALE, sale, {"text": "明天到"}).id
    command.change_comment(later(li, minutes=14), SALE, sale, id, {"text": "后天到"})
    (one,) = said(li, sale)
    assert one.text == "后天到" and one.edited_at is not None
    with pytest.raises(NotPossible):
        command.change_comment(later(li, minutes=16), SALE, sale, id, {"text": "大后天到"})
    with pytest.raises(NotPossible):                             # a stale form
        command.change_comment(li, SALE, sale, id, {"text": "x"}, 1)
    with pytest.raises(NotFound):                                # the comment of another record
        command.change_comment(li, SALE, sale + 1, id, {"text": "x"})
    with pytest.raises(NotAllowed):
        command.remove_comment(as_("han"), SALE, sale, id)


def test_what_is_taken_back_leaves_a_mark_and_no_words(as_, sale, visitor):
    li = as_("li")
    id = command.add_comment(li, SALE, sale, {"text": "说错了的话", "mentions": [as_("han").actor.user_id]}).id
    command.remove_comment(later(li, days=3), SALE, sale, id)
    (one,) = said(li, sale)
    assert one.removed_at is not None and (one.text, one.mentions, one.files) == ("", {}, ())
    page = visitor("li").get(f"/e/{SALE}/{sale}/tab/timeline").text
    assert "评论已撤回" in page and "说错了" not in page
    with pytest.raises(NotPossible):
        command.remove_comment(li, SALE, sale, id)


def test_the_audit_tells_who_spoke_and_never_the_words(as_, sale):
    command.add_comment(as_("li"), SALE, sale, {"text": "绝密的评论内容"})
    with as_("li").tenant.read() as conn:
        row = conn.execute(sa.select(ENGINE.audit).order_by(ENGINE.audit.c.id.desc()).limit(1)).mappings().one()
    assert (row["command"], row["entity"], row["record_id"]) == ("add_comment", SALE, sale)
    assert "绝密" not in json.dumps([row["before"], row["after"]], ensure_ascii=False) and "digest" in json.dumps(row["after"])


def test_a_refused_comment_keeps_its_files_for_the_next_try(as_, sale, visitor):
    person, stranger = visitor("li"), as_("nobody").actor.user_id
    file = int(person.post("/files", {"file": (BytesIO("收据".encode()), "收据.txt")}).json["id"])
    values = {"text": "@路人 见附件", "mention": f"{stranger}:路人", "files": str(file)}
    refused = person.post(f"/e/{SALE}/{sale}/comments", values, headers={"HX-Request": "true"})
    assert said(as_("li"), sale) == [] and f'name="files" value="{file}"' in refused.text and "收据.txt" in refused.text
    assert f'name="files" value="{file}"' not in visitor("han").post(f"/e/{SALE}/{sale}/comments", values, headers={"HX-Request": "true"}).text
    assert person.post(f"/e/{SALE}/{sale}/comments", {"text": "见附件", "files": str(file)}).status_code == 303
    (one,) = said(as_("li"), sale)
    two = int(person.post("/files", {"file": (BytesIO("补".encode()), "补充.txt")}).json["id"])
    again = {**values, "files": f"{file},{two}", "_version": str(one.row_version)}
    refused = person.post(f"/e/{SALE}/{sale}/comments/{one.id}", again, headers={"HX-Request": "true"})
    assert f'name="files" value="{file},{two}"' in refused.text


def test_a_file_of_a_comment_is_for_who_reads_the_record_while_the_comment_stands(as_, sale, visitor):
    person = visitor("li")
    file = int(person.post("/files", {"file": (BytesIO("收据".encode()), "收据.txt")}).json["id"])
    answer = person.post(f"/e/{SALE}/{sale}/comments", {"text": "见附件", "files": str(file)})
    assert answer.status_code == 303
    (one,) = said(as_("han"), sale)
    assert [f.name for f in one.files] == ["收据.txt"]
    assert [visitor(name).get(f"/file/{file}").status_code for name in ("li", "han", "nobody")] == [200, 200, 404]
    with pytest.raises(Invalid):                                 # it belongs to that comment now
        command.add_comment(as_("li"), SALE, sale, {"text": "又一次", "files": [file]})
    command.remove_comment(as_("li"), SALE, sale, one.id)
    assert visitor("han").get(f"/file/{file}").status_code == 404


def test_the_timeline_is_one_order_of_everything_and_each_part_follows_the_rights(as_, sale, visitor):
    for number in range(25):
        command.add_comment(as_("li"), SALE, sale, {"text": f"第{number:02d}条"})
    page = visitor("li").get(f"/e/{SALE}/{sale}/tab/timeline").text
    assert re.findall(r"第(\d\d)条", page) == [f"{n:02d}" for n in range(24, 4, -1)]
    more = re.search(r'hx-get="[^"]*?/alpha(/e/[^"]+after=[^"]+)"', page)[1].replace("&amp;", "&")
    rest = visitor("li").get(more).text
    assert re.findall(r"第(\d\d)条", rest) == [f"{n:02d}" for n in range(4, -1, -1)]
    assert "<b" in rest and 'class="ev-change' in rest               # the creation of the record follows the comments
    assert 'class="ev-change' not in visitor("han").get(more).text   # who has no right to the history sees none
    only = visitor("li").get(f"/e/{SALE}/{sale}/tab/timeline?kind=change").text
    assert "条</div>" not in only and 'class="ev-change' in only
    assert visitor("li").get(f"/e/{SALE}/{sale}/tab/timeline?after=comment-x.foo-3").status_code == 200


def test_words_are_shown_as_words(as_, sale, visitor):
    assert marked("@张三丰 和 @张三 来", {1: "张三", 2: "张三丰"}) == [("@张三丰", True), (" 和 ", False), ("@张三", True), (" 来", False)]
    command.add_comment(as_("li"), SALE, sale, {"text": "@韩梅梅 <script>alert(1)</script>", "mentions": [as_("han").actor.user_id]})
    page = visitor("li").get(f"/e/{SALE}/{sale}/tab/timeline").text
    assert '<span class="named">@韩梅梅</span> &lt;script&gt;alert(1)&lt;/script&gt;' in page and "<script>" not in page


def test_the_page_offers_a_field_to_who_may_speak_and_the_count_beside_the_tab(as_, sale, visitor):
    command.add_comment(as_("li"), SALE, sale, {"text": "一"})
    assert "data-mentions" in visitor("li").get(f"/e/{SALE}/{sale}?tab=timeline").text
    assert "data-mentions" not in visitor("han").get(f"/e/{SALE}/{sale}?tab=timeline").text
    assert 'id="tabcount-timeline" hx-swap-oob="true">1<' in visitor("han").get(f"/e/{SALE}/{sale}/counts").text
    assert visitor("li").get("/e/shop.buyer/1/tab/timeline").status_code == 404    # an entity without comments


def test_rest_says_the_same(as_, sale, visitor):
    person = visitor("li")
    token = {"X-CSRFToken": person.token(), "Content-Type": "application/json"}
    path = f"/alpha/api/v1/{SALE}/{sale}/comments"
    made = person.client.post(path, data=json.dumps({"text": "接口说的"}), headers=token)
    assert made.status_code == 201 and made.headers["ETag"] == '"1"'
    one = f"{path}/{made.json['id']}"
    assert person.client.patch(one, data=json.dumps({"text": "改了"}), headers=token).status_code == 428
    assert person.client.patch(one, data=json.dumps({"text": "改了"}), headers={**token, "If-Match": '"7"'}).status_code == 412
    assert person.client.patch(one, data=json.dumps({"text": "改了"}), headers={**token, "If-Match": '"1"'}).status_code == 200
    (found,) = visitor("han").client.get(path).json["items"]
    assert (found["text"], found["author"]["name"]) == ("改了", "李雷") and found["edited_at"]
    assert person.client.delete(one, headers=token).status_code == 200 and person.client.get(path).json["items"][0]["text"] == ""
    stranger = visitor("nobody").client.get(path)
    assert stranger.status_code == 404 and person.client.get(path.replace(f"/{sale}/", "/999999/")).status_code == 404
