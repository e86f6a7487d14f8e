"""Processes on screen: the strip on the record's page, the page of a run, what people do with one that waits for them."""

from __future__ import annotations

import html
import json
import re
from collections.abc import Iterator
from typing import Any

import pytest

from metaloom import command
from metaloom.app import create_app
from tests.command.hire import Hire
from tests.web.conftest import Visitor
from tests.web.site import settings_at

PASSWORD = "right-horse-7"
NAMES = {"clerk": "王前台", "chief": "李主管", "both": "周多岗", "admin": "管理员", "guest": "访客"}


def open_yard(home: Any) -> Hire:
    """The hire pack as a site: its people can log in; nothing works the outbox but ``drain``."""
    hire = Hire(home, "", "yard")
    for person, name in NAMES.items():
        command.set_password(hire.system, hire.people[person], PASSWORD)
        version = hire.record(hire.people[person], "platform.user")["row_version"]
        command.save_user(hire.system, hire.people[person], {"display_name": name}, version)
    hire.app = create_app(settings_at(home), tenancy=hire.tenancy, clock=hire.clock)
    return hire


@pytest.fixture(scope="module")
def hire(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hire]:
    made = open_yard(tmp_path_factory.mktemp("yard"))
    yield made
    made.tenancy.close()


@pytest.fixture
def visit(hire: Hire) -> Any:
    def as_(person: str) -> Visitor:
        visitor = Visitor(hire.app, "yard")
        assert visitor.log_in(person, PASSWORD).status_code == 302
        return visitor

    return as_


def page(visitor: Visitor, path: str) -> str:
    answer = visitor.get(path)
    assert answer.status_code == 200, answer.text[:600]
    return answer.text


def stuck(hire: Hire) -> tuple[int, int]:
    """A run that waits for people."""
    hire.told().plan(*["lost"] * 12)
    record, run = hire.asked()
    hire.drain()
    for _ in range(3):
        hire.pass_time(minutes=2)
    hire.told().plan()
    assert hire.run(run)["status"] == "manual"
    return record, run


def test_the_page_waits_for_the_bell_and_shows_itself_anew_with_the_result(hire, visit):
    hire.told().plan("found")
    clerk, record = visit("clerk"), hire.order()
    hire.act("clerk", record, "submit")
    shown = clerk.get(f"/e/hire.rental/{record}")
    assert "资信查询" in shown.text and "处理中" in shown.text and "load delay:500ms" in shown.text and "HX-Refresh" not in shown.headers
    assert shown.text.index("资信查询") < shown.text.index("facts-head"), "drawn with the page: what comes later pushes the page down"
    again = re.search(r'hx-get="/yard(/e/hire\.rental/\d+/processes[^"]+)"', shown.text)[1].replace("&amp;", "&")
    assert "n=1" in again
    hire.drain()
    assert clerk.get(again).headers["HX-Refresh"] == "true"
    fresh = clerk.get(f"/e/hire.rental/{record}")
    assert "已完成" in fresh.text and "HX-Refresh" not in fresh.headers and "load delay" not in fresh.text
    assert "查询资信" in fresh.text and "登记查询" in fresh.text and ">不通过<" not in fresh.text, "ways not taken are no steps of an ended run"


def test_after_five_seconds_the_page_says_that_it_goes_on_and_asks_seldom(hire, visit):
    hire.told().plan("lost")
    record, _ = hire.asked()
    hire.drain()
    strip = page(visit("clerk"), f"/e/hire.rental/{record}/processes?n=10&v=1")
    assert "load delay:5s" in strip and "等待重试" in strip and "第 1 次请求无结果" in strip
    assert "HX-Refresh" not in visit("clerk").get(f"/e/hire.rental/{record}/processes?n=40&v=1").headers, "what somebody types is not thrown away"


def test_who_may_sees_the_buttons_and_why_it_waits(hire, visit):
    record, run = stuck(hire)
    chief, clerk = visit("chief"), visit("clerk")
    for_chief, for_clerk = (page(one, f"/e/hire.rental/{record}/processes?v=1") for one in (chief, clerk))
    assert "等待 主管 处理" in for_clerk and "没有给出结果" in for_clerk and f"/process/{run}/ask/" not in for_clerk
    assert all(f"/process/{run}/ask/{verb}" in for_chief for verb in ("retry", "submit", "give_up"))
    assert clerk.get(f"/process/{run}/ask/retry").status_code == 409
    assert clerk.post(f"/process/{run}/retry").status_code in (403, 302) and hire.run(run)["status"] == "manual"
    assert visit("guest").get(f"/process/{run}").status_code == 404


def test_a_result_is_entered_in_a_dialog_and_bad_input_keeps_it_open(hire, visit):
    record, run = stuck(hire)
    chief = visit("chief")
    asked = page(chief, f"/process/{run}/ask/submit")
    version = re.search(r'name="_version" value="(\d+)"', asked)[1]
    assert '<option value="found"' in asked and "无记录" in asked and 'name="score"' in asked
    bad = chief.post(f"/process/{run}/submit", {"_version": version, "outcome": "found", "score": "x", "_reason": "电话"}, headers={"HX-Request": "true"})
    assert bad.status_code == 400 and "field-error" in bad.text
    done = chief.post(f"/process/{run}/submit", {"_version": version, "outcome": "found", "score": "88", "_reason": "电话核实"})
    assert done.status_code == 303 and done.headers["Location"] == f"/yard/e/hire.rental/{record}"
    hire.drain()
    assert (hire.run(run)["status"], hire.record(record)["score"]) == ("done", 88)


def test_giving_up_and_trying_again_by_buttons(hire, visit):
    record, run = stuck(hire)
    chief = visit("chief")
    version = re.search(r'name="_version" value="(\d+)"', page(chief, f"/process/{run}/ask/retry"))[1]
    assert chief.post(f"/process/{run}/retry", {"_version": version}).status_code == 303
    stale = chief.post(f"/process/{run}/give_up", {"_version": version, "_reason": "算了"})
    assert stale.status_code == 303 and hire.run(run)["status"] == "ready"
    hire.told().plan("lost", "lost", "lost")
    hire.drain()
    for _ in range(3):
        hire.pass_time(minutes=2)
    assert chief.post(f"/process/{run}/give_up", {"_reason": "算了"}).status_code == 303
    assert (hire.run(run)["status"], hire.record(record)["status"]) == ("failed", "bad")


def test_a_task_of_a_process_offers_only_the_choices_that_its_other_answers_leave(hire, visit):
    record = hire.order(ready_on="2026-12-01")
    hire.act("clerk", record, "deliver")
    hire.drain()
    run = hire.runs(record)[0]["id"]
    hire.pass_time(days=7)
    assert hire.run(run)["step"] == "phone"
    rules = json.loads(html.unescape(re.search(r"data-rules='([^']*)'", page(visit("chief"), f"/process/{run}/ask/submit"))[1]))
    assert rules["fields"]["by"]["choices"]["paths"] == [["ways"]] and rules["kinds"]["by"] == "choice"


def test_the_page_of_a_run_tells_its_steps_and_hides_sealed_answers(hire, visit):
    hire.told().plan("score73")
    record, run = hire.asked()
    hire.drain()
    assert "王前台" in page(visit("chief"), f"/process/{run}")
    shown = page(visit("clerk"), f"/process/{run}")
    for words in ("资信查询", "请求外部服务", "收到结果", "查询资信", "王前台", hire.run(run)["reference"], "found"):
        assert words in shown, words
    assert "sealed" not in shown and hire.rows("process_step", run_id=run, kind="answered")[0]["data"]["result"]["reply"]["sealed"][:40] not in shown


def test_the_list_of_runs_is_for_administrators_and_says_processes_and_steps_in_words(hire, visit):
    _, run = stuck(hire)
    admin = visit("admin")
    shown = page(admin, "/e/platform.process_run/")
    assert "资信查询" in shown and "租单" in shown and "待人工处理" in shown and "查询资信" in shown
    assert "没有给出结果" in page(admin, f"/e/platform.process_run/{run}")
    assert visit("clerk").get("/e/platform.process_run/").status_code in (403, 404)


def test_a_process_is_started_by_hand_where_the_page_offers_it(hire, visit):
    record = hire.order(ready_on="2027-12-01")
    clerk, chief = visit("clerk"), visit("chief")
    strip = page(clerk, f"/e/hire.rental/{record}/processes?v=1")
    assert f"/e/hire.rental/{record}/process/deliver" in strip and "交付" in strip
    assert "/process/deliver" not in page(chief, f"/e/hire.rental/{record}/processes?v=1")
    assert clerk.post(f"/e/hire.rental/{record}/process/deliver").status_code == 303
    assert len(hire.runs(record)) == 1
    assert clerk.post(f"/e/hire.rental/{record}/process/deliver").status_code == 303 and len(hire.runs(record)) == 1
    assert chief.post(f"/e/hire.rental/{record}/process/deliver").status_code in (302, 403)
