"""Approvals on screen: what waits for whom, the page of a case, decisions, every other move, and what must not be seen."""

from __future__ import annotations

import io
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from decimal import Decimal
from typing import Any

import pytest
import sqlalchemy as sa
from werkzeug.serving import make_server

from metaloom import command
from tests.web import hall
from tests.web.conftest import Visitor


@pytest.fixture(scope="module")
def guild(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    made, app = hall.site(tmp_path_factory.mktemp("hall"))
    made.app = app
    yield made
    made.tenancy.close()


@pytest.fixture
def visit(guild: Any) -> Any:
    def as_(person: str) -> Visitor:
        visitor = Visitor(guild.app, "hall")
        assert visitor.log_in(person, hall.PASSWORD).status_code == 302
        return visitor

    return as_


def page_of(visitor: Visitor, path: str) -> str:
    answer = visitor.get(path)
    assert answer.status_code == 200, answer.text[:500]
    return answer.text


def picks(guild: Any, visitor: Visitor, person: str, *cases: int) -> list[str]:
    """What the boxes of the list send for these cases' tasks."""
    shown = dict(re.findall(r'name="ids" value="((\d+)\.\d*)"', page_of(visitor, "/task/")))
    sent = {task: value for value, task in shown.items()}
    return [sent[str(guild.open_task(case, person))] for case in cases]


def decide(guild: Any, visitor: Visitor, case: int, person: str, decision: str, **more: Any) -> Any:
    """As the page would post it: the version that it showed."""
    task = guild.open_task(case, person)
    shown = page_of(visitor, f"/task/{task}")
    version = re.search(r'name="_version" value="(\d+)"', shown)[1]  # type: ignore[index]
    return visitor.post(f"/task/{task}/decide", {"decision": decision, "_version": version, **more})


def test_a_decision_offers_only_the_choices_that_the_record_leaves(guild, visit):
    """For what the step asks and for the record's own fields; where another answer narrows them, all are offered and the command has the last word."""
    record = guild.request(name="只能转账", ways=("bank", "bill"))
    case = guild.start("marked", record=record)
    checker = visit("checker")
    shown = page_of(checker, f"/task/{guild.open_task(case, 'checker')}")

    def offered(name: str) -> list[str]:
        return re.findall(r'<option value="(\w+)"', re.search(rf'<select[^>]*name="{name}".*?</select>', shown, re.S)[0])

    assert [offered(name) for name in ("out.by", "own.way", "out.other")] == [["bank", "bill"], ["bank", "bill"], ["cash", "bank", "bill"]]
    refused = decide(guild, checker, case, "checker", "pass", **{"out.granted": "1.00", "out.by": "cash"})
    assert refused.status_code == 400 and "可选：转账、汇票" in refused.text
    shown = refused.text
    assert offered("out.by") == ["cash", "bank", "bill"], "what was chosen stays in sight"


def test_a_decision_is_three_clicks_from_the_workbench(guild, visit):
    case = guild.start("main", guild.request(name="三次点击"))
    checker = visit("checker")
    task = guild.open_task(case, "checker")
    assert f"/hall/task/{task}" in page_of(checker, "/task/waiting")                     # on the workbench: the first click
    shown = page_of(checker, f"/task/{task}")
    assert 'name="decision" value="pass"' in shown and "三次点击" in shown               # the second one decides
    done = decide(guild, checker, case, "checker", "pass")
    assert done.status_code == 303 and done.headers["Location"] == "/hall/task/"
    assert guild.case(case)["current_steps"] and guild.open_task(case, "master")
    assert f"/hall/task/{task}" not in page_of(checker, "/task/waiting")
    assert "三次点击" in page_of(checker, "/task/?box=done")


def test_the_list_of_tasks_says_chain_and_step_in_words(guild, visit):
    guild.start("three", guild.request(name="任务列表"))
    checker = visit("checker")
    for path in ("/e/platform.approval_task/?tab=todo", "/e/platform.approval_task/?tab=todo&f.step=one"):
        for language, said in (("zh", {"三级审批", "一级"}), ("en", {"Three steps", "First"})):
            checker.client.set_cookie("ml_locale", language, path="/hall")
            cells = {re.sub("<[^>]+>", "", cell) for cell in re.findall(r"<td[^>]*>(.*?)</td>", page_of(checker, path))}
            assert said <= cells and not cells & {"three", "one"}, (path, language)
    started = guild.request(name="在哪一步")
    case = guild.start("three", started)
    record = f"/e/guild.request/{started}"
    pages = (f"/e/platform.approval_case/{case}", "/e/platform.approval_case/?tab=all", record, f"{record}/tab/approval", "/task/?box=all")
    for language, step in (("en", "First"), ("zh", "一级")):
        checker.client.set_cookie("ml_locale", language, path="/hall")
        for path in pages:
            shown = page_of(checker, path)
            assert step in shown and ("一级" in shown) == (language == "zh"), (path, language)
    task = guild.open_task(guild.start("three", guild.request(name="任务页")), "checker")
    checker.client.set_cookie("ml_locale", "zh", path="/hall")
    assert "<h1>一级</h1>" in page_of(checker, f"/e/platform.approval_task/{task}")


def test_a_case_and_its_tasks_say_subject_and_step_in_one_language(guild, visit):
    case = guild.start("three", guild.request(name="只说一次"))
    for language, step in (("zh", "一级"), ("en", "First")):
        visitor = visit("admin")
        visitor.client.set_cookie("ml_locale", language, path="/hall")
        shown = page_of(visitor, f"/e/platform.approval_case/{case}")
        assert "&#39;zh&#39;" not in shown and shown.count("只说一次") == 1 and f">{step}<" in shown, language
        (kept,) = guild.rows("approval_case", id=case)
        assert kept["chain_digest"] not in shown, "a hash says nothing to people"


def test_every_box_shows_its_own(guild, visit):
    case = guild.start("main", guild.request(name="四个盒子"))
    task = guild.open_task(case, "checker")
    checker, clerk, payer = visit("checker"), visit("clerk"), visit("payer")
    guild.move(case, "checker", "copy", task, to=[guild.people["payer"]])
    assert "四个盒子" in page_of(checker, "/task/?box=todo") and "四个盒子" not in page_of(clerk, "/task/?box=todo")
    assert "四个盒子" in page_of(clerk, "/task/?box=mine") and "四个盒子" not in page_of(checker, "/task/?box=mine")
    assert "四个盒子" in page_of(payer, "/task/?box=copied") and "四个盒子" not in page_of(clerk, "/task/?box=copied")
    counts = page_of(payer, "/task/counts")
    assert re.search(r'id="boxcount-copied"[^>]*>[1-9]', counts)
    assert 'box=all"' not in page_of(checker, "/task/") and 'box=all"' in page_of(visit("admin"), "/task/")


def test_the_list_of_cases_calls_chains_by_their_names(guild, visit):
    """On the list, in its search and as the title of a case; another entity's chain of the same name keeps its own."""
    case = guild.start("three", guild.request(name="流程名"))
    label = guild.tenant.revision().catalog.chains["guild.request/three"].label.say("zh")
    clerk = visit("clerk")
    page = page_of(clerk, "/e/platform.approval_case/?f.chain=three")
    assert f">{label}</a>" in page and f'<option value="three" selected>{label}' in page and ">three</a>" not in page
    assert f"<h1>{label}" in page_of(clerk, f"/e/platform.approval_case/{case}")


def test_the_inbox_is_searched_by_chain_subject_and_day(guild, visit):
    guild.start("main", guild.request(name="寻找甲"))
    guild.start("three", guild.request(name="寻找乙"))
    checker = visit("checker")
    assert "寻找甲" in (found := page_of(checker, "/task/?q=寻找甲")) and "寻找乙" not in found
    assert "寻找乙" in (found := page_of(checker, "/task/?chain=guild.request/three")) and "寻找甲" not in found
    assert "寻找甲" in page_of(checker, "/task/?from=2026-03-02&to=2026-03-02")
    assert "寻找甲" not in page_of(checker, "/task/?from=2026-03-03")
    wrong = page_of(checker, "/task/?from=yesterday")
    assert 'class="notice bad"' in wrong


def test_what_a_step_asks_for_is_entered_with_the_decision_and_comes_back_when_it_is_wrong(guild, visit):
    case = guild.start("main", guild.request(name="批准金额"))
    decide(guild, visit("checker"), case, "checker", "pass", **{"own.advice": "宜从速", "own.purpose": "修缮"})
    assert guild.record(guild.case(case)["record_id"])["advice"] == "宜从速"
    master = visit("master")
    refused = decide(guild, master, case, "master", "pass", opinion="同意这笔支出", **{"out.granted": ""})
    assert refused.status_code == 400 and "同意这笔支出" in refused.text and "field-error" in refused.text
    assert guild.open_task(case, "master")
    assert decide(guild, master, case, "master", "pass", opinion="同意", **{"out.granted": "2,500.00"}).status_code == 303
    story = page_of(visit("clerk"), f"/case/{case}")
    assert "2,500.00" in story and "同意" in story and "赵终审" in story and "等" in story


def test_rejecting_without_a_word_is_refused_and_keeps_what_was_typed(guild, visit):
    case = guild.start("main", guild.request(name="不说理由"))
    checker = visit("checker")
    refused = decide(guild, checker, case, "checker", "reject", **{"own.advice": "看过了"})
    assert refused.status_code in (400, 409) and "看过了" in refused.text and 'class="notice bad"' in refused.text
    assert decide(guild, checker, case, "checker", "reject", opinion="资料不全").status_code == 303
    assert guild.case(case)["status"] == "rejected"


def test_a_decision_about_another_version_is_refused_with_what_is_there_now(guild, visit):
    case = guild.start("main", guild.request(name="旧版本"))
    task = guild.open_task(case, "checker")
    stale = visit("checker").post(f"/task/{task}/decide", {"decision": "pass", "_version": "1", "opinion": "我的意见"})
    assert stale.status_code == 409 and "我的意见" in stale.text and guild.open_task(case, "checker")
    missing = visit("checker").post(f"/task/{task}/decide", {"decision": "pass", "opinion": "我的意见"})
    assert missing.status_code == 400 and "我的意见" in missing.text


def test_a_second_person_is_told_that_it_was_decided_already(guild, visit):
    case = guild.start("pooled", guild.request(name="只有一次"))
    first, second = visit("judge1"), visit("judge2")
    task = guild.tasks(case)[0]["id"]
    assert first.post(f"/task/{task}/claim").status_code == 303
    late = second.post(f"/task/{task}/claim")
    assert late.status_code in (403, 409) and "notice" in late.text or late.status_code == 403


@pytest.mark.parametrize("kind", ["transfer", "delegate", "add_before", "add_after"])
def test_handing_on_asks_for_a_person_and_says_so_in_the_story(guild, visit, kind):
    case = guild.start("committee", guild.request(name=f"交给别人 {kind}"))
    task, judge = guild.open_task(case, "judge1"), visit("judge1")
    dialog = page_of(judge, f"/task/{task}/ask/{kind}")
    assert 'data-lookup="/hall/lookup/platform.user"' in dialog and 'name="to"' in dialog
    moved = judge.post(f"/task/{task}/{kind}", {"to": str(guild.people["master"]), "text": "请帮忙看看"})
    assert moved.status_code == 303, moved.text[:300]
    story = page_of(visit("clerk"), f"/case/{case}")
    assert "赵终审" in story and "请帮忙看看" in story
    nobody = judge.post(f"/task/{guild.open_task(case, 'judge2')}/{kind}", {"to": ""})
    assert nobody.status_code in (400, 403, 404)


def test_returning_names_the_step_and_the_way_back(guild, visit):
    case = guild.start("three", guild.request(name="退回两次"))
    decide(guild, visit("checker"), case, "checker", "pass")
    task, master = guild.open_task(case, "master"), visit("master")
    dialog = page_of(master, f"/task/{task}/ask/return?opinion=缺附件")
    assert "发起人" in dialog and "一级" in dialog and "缺附件" in dialog and 'value="resume"' in dialog
    assert decide(guild, master, case, "master", "return", to="initiator", then="resume", opinion="缺附件").status_code == 303
    clerk = visit("clerk")
    assert guild.case(case)["status"] == "returned" and "重新提交" in page_of(clerk, f"/case/{case}")
    assert clerk.post(f"/task/{guild.open_task(case, 'clerk')}/resubmit", {"text": "已补"}).status_code == 303
    assert guild.open_task(case, "master")


def test_several_are_passed_at_once_and_what_is_refused_says_why(guild, visit):
    good = [guild.start("three", guild.request(name=f"批量{i}")) for i in range(2)]
    asks = guild.start("main", guild.request(name="还要填用途", purpose=None))
    checker = visit("checker")
    ids = picks(guild, checker, "checker", *good, asks)
    done = checker.post("/task/decide", {"ids": ids, "decision": "pass", "opinion": "同意"})
    assert done.status_code == 200 and "还要填用途" in done.text and "批量0" not in done.text
    assert all(guild.open_task(case, "master") for case in good) and guild.open_task(asks, "checker")
    assert checker.post("/task/decide", {"decision": "pass"}).status_code == 400


def test_a_task_whose_step_asks_for_something_is_not_picked_with_others(guild, visit):
    asks, plain = guild.start("marked", guild.request(name="要填金额")), guild.start("three", guild.request(name="不必填写"))
    shown = page_of(visit("checker"), "/task/")
    picked = re.findall(r'name="ids" value="(\d+)\.', shown)
    assert "要填金额" in shown and str(guild.open_task(plain, "checker")) in picked and str(guild.open_task(asks, "checker")) not in picked


def test_a_record_that_changed_since_the_list_was_shown_is_not_passed_with_the_others(guild, visit):
    same, other = (guild.start("three", guild.request(name=name)) for name in ("照旧", "改过"))
    checker = visit("checker")
    ids = picks(guild, checker, "checker", same, other)
    record = guild.case(other)["record_id"]
    with guild.tenant.write() as conn:
        table = guild.tenant.revision().tables.of(guild.case(other)["entity"])
        conn.execute(table.update().where(table.c.id == record).values(row_version=table.c.row_version + 1))
    done = checker.post("/task/decide", {"ids": ids, "decision": "pass", "opinion": "同意"})
    assert done.status_code == 200 and "改过" in done.text and "照旧" not in done.text
    assert guild.open_task(same, "master") and guild.open_task(other, "checker")
    bare = [id.partition(".")[0] for id in ids[1:]]
    assert checker.post("/task/decide", {"ids": bare, "decision": "pass", "opinion": "同意"}).status_code == 200
    assert guild.open_task(other, "checker"), "a decision that names no version"


def test_a_case_is_closed_to_strangers_and_the_record_to_those_who_may_not_read_it(guild, visit):
    case = guild.start("main", guild.request(name="外人不见"))
    stranger = visit("judge1")
    for path in (f"/case/{case}", f"/case/{case}/way", f"/case/{case}/print", f"/case/{case}/record", f"/case/{case}/ask/withdraw",
                 f"/task/{guild.open_task(case, 'checker')}"):
        answer = stranger.get(path)
        assert answer.status_code == 404 and "外人不见" not in answer.text, path
    assert stranger.post(f"/task/{guild.open_task(case, 'checker')}/decide", {"decision": "pass", "_version": "2"}).status_code == 404
    assert stranger.get("/case/999999999").status_code == stranger.get("/task/999999999").status_code == 404


def test_a_field_that_the_role_may_not_read_stands_nowhere_on_the_page(guild, visit):
    case = guild.start("main", guild.request(name="有密件", secret="ZZ-sentinel-9"))
    checker = visit("checker")
    for path in (f"/case/{case}", f"/task/{guild.open_task(case, 'checker')}", f"/case/{case}/print", "/task/", f"/case/{case}/record", f"/case/{case}/way"):
        assert "ZZ-sentinel-9" not in page_of(checker, path), path
    assert "ZZ-sentinel-9" in page_of(visit("clerk"), f"/case/{case}")


def test_a_field_that_the_step_hides_stands_nowhere_while_it_decides(guild, visit):
    """Hidden by the step, not by the role: whoever decides weighs without it, on paper too; for everybody else it is there."""
    case = guild.start("blindfold", guild.request(name="盲审", purpose="ZZ-purpose-9"))
    checker, task = visit("checker"), guild.open_task(case, "checker")
    for path in (f"/task/{task}", f"/case/{case}", f"/case/{case}/print", f"/case/{case}/record"):
        assert "ZZ-purpose-9" not in page_of(checker, path), path
    for path in (f"/case/{case}", f"/case/{case}/print", f"/case/{case}/record"):
        assert "ZZ-purpose-9" in page_of(visit("clerk"), path), path
    assert decide(guild, checker, case, "checker", "pass", opinion="同意").status_code == 303
    assert "ZZ-purpose-9" in page_of(checker, f"/case/{case}"), "afterwards the person reads what the role reads"
    assert "ZZ-purpose-9" in page_of(visit("master"), f"/task/{guild.open_task(case, 'master')}")


def test_a_decision_is_written_down_with_who_and_from_where(guild, visit):
    case = guild.start("three", guild.request(name="审计留痕"))
    assert decide(guild, visit("checker"), case, "checker", "pass", opinion="同意").status_code == 303
    (row,) = guild.rows("approval_event", case_id=case, kind="decided")
    assert (row["actor_id"], row["address"]) == (guild.people["checker"], "127.0.0.1") and row["request_id"]
    audited = [one for one in guild.rows("audit", entity="platform.approval_case", record_id=case) if one["command"] == "decide_task"]
    assert [one["actor_id"] for one in audited] == [guild.people["checker"]]


def test_the_initiator_picks_people_and_the_record_shows_its_approvals(guild, visit):
    record = guild.request(name="自选审批人")
    clerk = visit("clerk")
    dialog = page_of(clerk, f"/e/guild.request/{record}/approval/picked")
    assert "李初审" in dialog and "赵终审" in dialog and "钱评委" not in dialog
    version = re.search(r'name="_version" value="(\d+)"', dialog)[1]  # type: ignore[index]
    started = clerk.post(f"/e/guild.request/{record}/approval/picked", {"_version": version, "chosen.named": str(guild.people["master"])})
    assert started.status_code == 303
    tab = page_of(clerk, f"/e/guild.request/{record}/tab/approval")
    assert "自选" in tab and "审批中" in tab and "/hall/case/" in tab
    assert clerk.get(f"/e/guild.request/{record}/approval/nothing").status_code == 404
    above = page_of(clerk, f"/e/guild.request/{record}")
    assert "等待 指定人" in above and "/hall/case/" in above and "发起审批" not in above


def test_a_record_at_rest_offers_the_chains_that_the_person_may_start(guild, visit):
    record = guild.request(name="还没发起")
    shown = page_of(visit("clerk"), f"/e/guild.request/{record}")
    assert shown.index("approval/three") < shown.index("facts-head"), "drawn with the page: what comes later pushes the page down"
    assert "/approval/" not in page_of(visit("checker"), f"/e/guild.request/{record}")


def test_a_draft_is_kept_and_found_again(guild, visit):
    case = guild.start("main", guild.request(name="先存着"))
    decide(guild, visit("checker"), case, "checker", "pass")
    master = visit("master")
    assert decide(guild, master, case, "master", "hold", opinion="还要问一下", **{"out.granted": "88.00"}).status_code == 303
    again = page_of(master, f"/task/{guild.open_task(case, 'master')}")
    assert "还要问一下" in again and 'value="88.00"' in again


def test_every_word_of_a_case_is_known_in_both_languages(guild, visit):
    made = hall.cases(guild)
    for locale in ("zh", "en"):
        for person, case in (("clerk", made["done"]), ("clerk", made["back"]), ("judge2", made["vote"]), ("checker", made["bands"])):
            visitor = visit(person)
            visitor.client.set_cookie("ml_locale", locale, path="/hall")
            for path in (f"/case/{case}", f"/case/{case}/print", "/task/?box=mine"):
                shown = page_of(visitor, path)
                assert not re.findall(r"(?<![\w/-])approval\.[a-z_.]+", re.sub(r"<[^>]+>", " ", shown)), path


def test_a_record_in_approval_shows_why_it_cannot_be_edited(guild, visit):
    case = guild.start("three", guild.request(name="不能再改"))
    place = f"/e/guild.request/{guild.case(case)['record_id']}"
    locked = re.compile(r'id="editbutton" aria-disabled="true" data-why="[^"]*正在进行（当前环节：一级），不能修改')
    assert locked.search(page_of(visit("clerk"), place)) and "editbutton" not in page_of(visit("checker"), place), "the page has no such button"
    guild.decide(case, "checker", "return", "补充", to="initiator")
    shown = page_of(visit("clerk"), place)
    assert f'id="editbutton" href="/hall{place}/edit"' in shown and not locked.search(shown), "it lies with its initiator"


def test_a_signed_step_asks_for_the_password_and_the_form_on_paper_says_who_signed(guild, visit):
    case = guild.start("signed", guild.request(name="要签字"))
    checker = visit("checker")
    shown = page_of(checker, f"/task/{guild.open_task(case, 'checker')}")
    assert 'name="password" type="password"' in shown
    assert 'name="password"' in page_of(checker, f"/task/{guild.open_task(case, 'checker')}/ask/return")
    for given in ({}, {"password": "not-this-1"}):
        refused = decide(guild, checker, case, "checker", "pass", opinion="同意", **given)
        assert refused.status_code == 400 and "同意" in refused.text and "密码" in refused.text and "not-this-1" not in refused.text
    assert decide(guild, checker, case, "checker", "pass", opinion="同意", password=hall.PASSWORD).status_code == 303
    assert "已签名" in page_of(visit("clerk"), f"/case/{case}") and "签名：李初审（密码确认）" in page_of(visit("clerk"), f"/case/{case}/print")
    assert 'name="password"' not in page_of(visit("master"), f"/task/{guild.open_task(case, 'master')}")


def test_files_go_with_words_are_listed_in_the_story_and_closed_to_strangers(guild, visit):
    case = guild.start("main", guild.request(name="带附件"))
    task, checker = guild.open_task(case, "checker"), visit("checker")
    sent = checker.post("/files", {"file": (io.BytesIO(b"\x89PNG\r\n\x1a\n" + b"0" * 4000), "比价单.png")})
    file = sent.json["id"]
    asked = page_of(checker, f"/task/{task}/ask/return?attachments={file}")
    assert f'name="ask-attachments" value="{file}"' in asked and "比价单.png" in asked, "what stands on the page comes along into the dialog"
    assert 'name="ask-attachments"' in page_of(checker, f"/task/{task}/ask/ask")
    assert 'name="ask-attachments"' not in page_of(checker, f"/task/{task}/ask/copy")
    foreign = decide(guild, visit("checker"), case, "checker", "pass", opinion="可", attachments="987654")
    assert foreign.status_code == 400 and guild.log(case).count("decided") == 0
    asked_back = checker.post(f"/task/{task}/ask", {"to": str(guild.people["clerk"]), "text": "是这份吗？", "ask-attachments": file})
    assert asked_back.status_code in (204, 303), asked_back.text[:300]
    for person in ("clerk", "checker"):
        shown = page_of(visit(person), f"/case/{case}")
        assert f'href="/hall/file/{file}"' in shown and "比价单.png" in shown and "4.0 kB" in shown
        assert visit(person).get(f"/file/{file}").data.startswith(b"\x89PNG")
        assert '比价单.png <span class="paper-size">(4.0 kB)</span>' in page_of(visit(person), f"/case/{case}/print")
    for stranger in ("clerk2", "judge1"):
        assert visit(stranger).get(f"/file/{file}").status_code == 404


@pytest.fixture
def at(guild: Any) -> Iterator[str]:
    """The address of the hall on a real port."""
    server = make_server("127.0.0.1", 0, guild.app, threaded=True)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/hall"
    server.shutdown()
    thread.join()


@pytest.mark.browser
def test_several_are_picked_by_keyboard_and_passed_in_the_browser(guild, page, at):
    cases = [guild.start("three", guild.request(name=f"键盘{n}")) for n in range(3)]
    page.goto(f"{at}/login/")
    page.fill("#username", "checker")
    page.fill("#password", hall.PASSWORD)
    page.click("form[action*=login] button.primary")
    page.goto(f"{at}/task/?q=键盘")
    assert page.locator("[data-needs-pick]").is_disabled()
    for key in ("j", "x", "j", "x"):
        page.keyboard.press(key)
    assert page.locator("tr.cur [data-pick]").is_checked() and page.locator("[data-needs-pick]").is_enabled()
    page.click("[data-needs-pick]")
    page.wait_for_selector("[data-toast]")
    assert [guild.case(case)["current_steps"] for case in cases] == ["一级", "二级", "二级"]
    page.goto(f"{at}/task/?q=键盘")
    page.keyboard.press("j")
    page.keyboard.press("Enter")
    page.wait_for_selector(".decidebar")
    page.keyboard.press("Control+Enter")
    page.wait_for_url("**/task/")
    assert guild.case(cases[0])["current_steps"] == "二级"


@pytest.mark.browser
def test_an_officer_decides_in_the_browser_on_a_phone_too(guild, page):
    case = guild.start("main", guild.request(name="浏览器里审批"))
    server = make_server("127.0.0.1", 0, guild.app, threaded=True)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    base, troubles = f"http://127.0.0.1:{server.server_port}/hall", []
    page.on("console", lambda m: troubles.append(m.text) if m.type in ("error", "warning") else None)
    page.on("pageerror", lambda e: troubles.append(str(e)))
    try:
        page.set_viewport_size({"width": 390, "height": 844})
        page.goto(f"{base}/login/")
        page.fill("#username", "checker")
        page.fill("#password", hall.PASSWORD)
        page.click("form[action*=login] button.primary")
        page.goto(f"{base}/task/?q=浏览器里审批")
        page.click(".cards a:has-text('浏览器里审批')")
        page.fill("[name='own.advice']", "可行")
        page.click("button:has-text('退回')")
        page.select_option("#ask-step", "initiator")
        page.fill("#ask-text", "请补充说明")
        page.click("dialog .btn.primary")
        page.wait_for_url("**/task/")
        assert guild.case(case)["status"] == "returned"
        assert troubles == []
    finally:
        server.shutdown()


def test_the_inbox_costs_as_much_for_fifty_tasks_as_for_one(guild, visit):
    """The page, the counts of its boxes, the workbench, and what a decision in one go reads before it decides."""
    person = "payer"
    guild.decide(guild.start("main", guild.request(name="零号")), "checker")
    paths = ("/task/", "/task/?box=done", "/task/counts", "/task/waiting")
    visitor = visit(person)

    def ready(number: int) -> None:
        for _ in range(number):
            case = guild.start("bands", guild.request(amount=Decimal("50.00")))
            guild.decide(case, "checker")

    def sent() -> dict[str, int]:
        found = {}
        for path in paths:
            page_of(visitor, path)
            with statements(guild) as seen:
                page_of(visitor, path)
            found[path] = len(seen)
        return found

    ready(1)
    one = sent()
    ready(50)
    assert page_of(visitor, "/task/").count('name="ids"') == 20 and sent() == one, one
    ids = re.findall(r'name="ids" value="(\d+\.\d+)"', page_of(visitor, "/task/"))
    costs = []
    for picked in (ids[:1], ids[1:10]):
        with statements(guild, reading=True) as seen:
            assert visitor.post("/task/decide", {"ids": picked, "decision": "pass", "opinion": "同意"}).status_code == 303
        costs.append(len(seen))
    assert costs[0] == costs[1] <= 7, costs


@contextmanager
def statements(guild: Any, *, reading: bool = False) -> Iterator[list[str]]:
    """What is sent to the database meanwhile; ``reading``: outside the transactions of commands. Looks at the published revision are
    those of a process."""
    seen: list[str] = []
    access = guild.tenant._access

    def note(conn: Any, cursor: Any, statement: str, *rest: Any) -> None:
        if " ml_pointer" not in statement and not statement.startswith("BEGIN"):
            seen.append(statement)

    engines = [access.read] if reading else [access.read, access.write]
    for engine in engines:
        sa.event.listen(engine, "before_cursor_execute", note)
    try:
        yield seen
    finally:
        for engine in engines:
            sa.event.remove(engine, "before_cursor_execute", note)


def test_cells_that_are_kept_end_with_the_right_that_they_show(guild, visit):
    """A name is a link while the account behind it may be read: at the very next request it is not one any more. Each language has cells
    of its own."""
    person, role = "links", "platform.admin"
    guild.add_person(person, "guild.judge", role)
    command.set_password(guild.system, guild.people[person], hall.PASSWORD)
    record = guild.request(name="指定给人的事项", reviewer=guild.people["judge1"])
    visitor, link = visit(person), f'href="/hall/e/platform.user/{guild.people["judge1"]}"'
    detail = f"/e/guild.request/{record}"
    assert all(link in page_of(visitor, detail) for _ in range(2))
    visitor.client.set_cookie("ml_locale", "en", path="/hall")
    assert "Draft" in page_of(visitor, detail) and "草稿" not in page_of(visitor, detail)
    visitor.client.set_cookie("ml_locale", "zh", path="/hall")
    assert "草稿" in page_of(visitor, detail)
    (held,) = guild.rows("role_assignment", user_id=guild.people[person], role=role)
    command.revoke_role(guild.system, held["id"])
    assert link not in page_of(visitor, detail) and hall.NAMES["judge1"] in page_of(visitor, detail)


def test_the_administrator_prints_a_case_and_a_task_and_somebody_without_part_does_not(guild: Any, visit: Any) -> None:
    case = guild.start("three", guild.request(name="打印审批单"))
    paths = (f"/e/platform.approval_case/{case}/print", f"/e/platform.approval_task/{guild.open_task(case, 'checker')}/print")
    for person, status in (("admin", 200), ("clerk", 200), ("judge1", 404)):
        for path in paths:
            answer = visit(person).get(path)
            assert answer.status_code == status and (status != 200 or answer.mimetype == "application/pdf"), (person, path)
