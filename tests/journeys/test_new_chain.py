"""A business admin writes a chain from the docs alone: tries it, publishes it, changes it while a case runs, and it is played in every role.

Four steps with a branch by amount, a committee of two out of three, an escalation, and a return to the second step.
"""

from __future__ import annotations

import shutil
import threading
from collections.abc import Callable, Iterator
from datetime import timedelta
from decimal import Decimal
from types import SimpleNamespace
from typing import Any

import pytest
from click.testing import CliRunner
from werkzeug.serving import make_server

from metaloom import command
from metaloom.app import create_app
from metaloom.cli import main
from metaloom.command import handle_timer
from tests.command.guild import ROOT
from tests.web import hall

pytestmark = pytest.mark.browser

CHAIN = """\
large:
  label: {zh: 大额支出审批, en: Large spending}
  subject: {zh: "{name} {amount}", en: "{name} {amount}"}
  start: {roles: [clerk], when: "status == 'draft'"}
  results:
    started: [{transition: ask}]
    approved: [{transition: grant}]
    rejected: [{transition: refuse}]
  steps:
    check:
      label: {zh: 初审, en: Check}
      who: [{role: checker}]
      limit:
        within: 8 working_hours
        then:
          - {after: 0 hours, do: remind}
          - {after: 1 days, do: transfer, to: [{role: master}]}
    review:
      label: {zh: 复审, en: Review}
      who: [{role: master}]
    by_amount:
      type: branch
      label: {zh: 按金额, en: By amount}
      branches:
        small: {label: {zh: 五万以内, en: "Up to 50,000"}, when: "amount <= 50000", steps: {}}
        large:
          label: {zh: 五万以上, en: "Above 50,000"}
          otherwise: true
          steps:
            committee:
              label: {zh: 评审会, en: Committee}
              who: [{role: judge}]
              mode: vote
              pass: 2/3
    pay:
      label: {zh: 付款复核, en: Payment}
      who: [{role: payer}]
      return: {to: [review, initiator], then: resume}
"""


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """The guild, its files in folders of an installation, and a business admin who reads requests."""
    place = tmp_path_factory.mktemp("newcomer")
    shutil.copytree(ROOT / "tests" / "packs" / "guild", place / "metadata" / "guild")
    shutil.copytree(ROOT / "metadata" / "platform", place / "metadata" / "platform")
    client = place / "tenants" / "hall"
    client.mkdir(parents=True)
    (client / "tenant.yaml").write_text("tenant: {label: {zh: 行会, en: Guild}, packs: [platform, guild]}\n", encoding="utf-8")
    guild = hall.open_hall(place / "home")
    boss = guild.add_person("boss", "platform.admin", "guild.clerk")
    command.set_password(guild.system, boss, hall.PASSWORD)
    for name, amount in (("去年的年会", "30000"), ("去年的修缮", "80000")):
        guild.request("clerk2", name=name, amount=Decimal(amount))
    env = {"METALOOM_HOME": str(guild.tenancy.settings.home), "METALOOM_DATABASE_URL": "", "METALOOM_REDIS_URL": "",
           "METALOOM_METADATA": str(place / "metadata"), "METALOOM_TENANTS": str(place / "tenants")}
    server = make_server("127.0.0.1", 0, create_app(guild.tenancy.settings, tenancy=guild.tenancy, clock=guild.clock), threaded=True)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield SimpleNamespace(guild=guild, env=env, folder=client / "guild" / "house" / "request", base=f"http://127.0.0.1:{server.server_port}/hall")
    server.shutdown()
    thread.join()
    guild.tenancy.close()


@pytest.fixture
def sit(world: Any, chromium: Any) -> Iterator[Callable[[str], Any]]:
    """``sit("checker")``: a window in which the person has logged in; nothing may go wrong in any."""
    windows: dict[str, Any] = {}
    troubles: list[str] = []

    def at(person: str) -> Any:
        if person not in windows:
            page = windows[person] = chromium.new_context(locale="zh-CN", viewport={"width": 1440, "height": 900}).new_page()
            page.set_default_timeout(20_000)
            page.on("pageerror", lambda error: troubles.append(str(error)))
            page.on("response", lambda answer: troubles.append(f"{answer.status} {answer.url}") if answer.status >= 500 else None)
            page.goto(f"{world.base}/login/")
            page.fill("#username", person)
            page.fill("#password", hall.PASSWORD)
            page.click("form[action*=login] button.primary")
            page.wait_for_selector("#content")
        return windows[person]

    yield at
    for page in windows.values():
        page.context.close()
    assert not troubles


def publish(world: Any, text: str) -> str:
    """As docs/approval.md teaches: a file in the client's folder for the entity, then one word."""
    world.folder.mkdir(parents=True, exist_ok=True)
    (world.folder / "large.yaml").write_text("approval:\n" + "".join(f"  {line}\n" for line in text.splitlines()), encoding="utf-8")
    done = CliRunner().invoke(main, ["apply", "hall"], env=world.env)
    assert done.exit_code == 0, done.output + repr(done.exception)
    world.guild.tenant.refresh()
    return done.output


def decide(world: Any, page: Any, subject: str, button: str = "通过", *, click_return: str = "", opinion: str = "") -> None:
    """From the workbench: open what waits (one click), decide (two clicks)."""
    page.goto(f"{world.base}/task/")
    page.click(f"#inboxzone table a:has-text('{subject}')")
    if opinion:
        page.fill("#opinion", opinion)
    page.click(f".decidebar button:has-text('{button}')")
    if click_return:
        page.select_option("#ask-step", click_return)
        page.fill("#ask-text", "发票抬头不符，请复审核对。")
        page.click("dialog .btn.primary")
    page.wait_for_url("**/task/")


def waiting(world: Any, case: int) -> str:
    return str(world.guild.case(case)["current_steps"])


def start(world: Any, page: Any, name: str, amount: str) -> int:
    """The clerk starts the chain on the record's page; the case."""
    record = world.guild.request("clerk", name=name, amount=Decimal(amount))
    page.goto(f"{world.base}/e/guild.request/{record}")
    page.click("button:has-text('发起审批 · 大额支出审批')")
    page.click("dialog .dlg-foot .primary")
    page.wait_for_selector(".notice:has-text('审批中')")
    return int(world.guild.rows("approval_case", entity="guild.request", record_id=record)[-1]["id"])


def test_from_the_first_line_to_the_last_decision(world: Any, sit: Callable[[str], Any]) -> None:
    boss = sit("boss")
    # tried before it is anywhere but on the page: first with a slip of the pen, then right
    boss.goto(f"{world.base}/approval/draft/guild.request")
    boss.fill("#draft", CHAIN.replace("role: judge", "role: jugde"))
    boss.fill("#where", "amount >= 30000")
    boss.click("button:has-text('开始试算')")
    boss.wait_for_selector("#simulated [data-goto-line]")
    assert "是否想写：judge？" in boss.inner_text("#simulated")
    line = 1 + CHAIN.splitlines().index("              who: [{role: judge}]")
    assert boss.inner_text("#simulated [data-goto-line]") == str(line)
    boss.fill("#draft", CHAIN)
    boss.click("button:has-text('开始试算')")
    boss.wait_for_selector("#simulated table:has-text('去年的修缮')")
    rows = {row.locator("td").first.inner_text(): row.inner_text() for row in boss.locator("#simulated tbody tr").all()}
    assert "评审会" in rows["去年的修缮"] and "钱评委、周评委、吴评委" in rows["去年的修缮"] and "评审会" not in rows["去年的年会"]

    publish(world, CHAIN)
    boss.goto(f"{world.base}/approval/chains/guild.request/large")
    assert "guild/house/request/large.yaml:2" in boss.inner_text(".facts-head") and "票签 2/3" in boss.inner_text(".caseflow.whole")

    case = start(world, sit("clerk"), "新建资料室", "88000")
    assert waiting(world, case) == "初审"
    decide(world, sit("checker"), "新建资料室")
    assert waiting(world, case) == "复审"

    # published anew while the case stands at the second step, which now has another name; moved by the screen
    publish(world, CHAIN.replace("    review:\n      label: {zh: 复审, en: Review}", "    assess:\n      label: {zh: 复核评估, en: Assessment}").replace(
        "to: [review, initiator]", "to: [assess, initiator]"))
    boss.goto(f"{world.base}/approval/changed/")
    boss.check("[data-all-of]")
    boss.check("[name=mode][value=move]")
    boss.click("button:has-text('预览')")
    assert "新流程中没有环节 复审 的对应环节" in boss.inner_text(".outlook table")
    boss.select_option("[name='map.review']", "assess")
    boss.click("button:has-text('预览')")
    boss.wait_for_selector(".outlook table:has-text('赵终审')")
    boss.fill("[name=reason]", "制度修订，复审改为评估")
    boss.click("button:has-text('执行')")
    boss.wait_for_selector("text=已迁移到新流程")
    assert waiting(world, case) == "复核评估"

    decide(world, sit("master"), "新建资料室", opinion="同意")
    assert waiting(world, case) == "评审会"
    decide(world, sit("judge1"), "新建资料室")
    assert waiting(world, case) == "评审会", "one of three is no two thirds"
    decide(world, sit("judge3"), "新建资料室")
    assert waiting(world, case) == "付款复核"
    decide(world, sit("payer"), "新建资料室", "退回", click_return="assess")
    assert waiting(world, case) == "复核评估"
    decide(world, sit("master"), "新建资料室", opinion="已核对抬头")
    assert waiting(world, case) == "付款复核", "straight back to whoever returned it"
    decide(world, sit("payer"), "新建资料室")
    clerk = sit("clerk")
    clerk.goto(f"{world.base}/case/{case}")
    told = clerk.inner_text(".story")
    assert clerk.inner_text(".facts-head .tag") == "通过" and "发票抬头不符" in told and "迁移到新流程" in told
    assert world.guild.record(world.guild.case(case)["record_id"])["status"] == "granted"
    world.guild.check(case)


def test_a_late_first_step_is_reminded_and_handed_on(world: Any, sit: Callable[[str], Any]) -> None:
    publish(world, CHAIN)
    case = start(world, sit("clerk"), "小额采购", "1200")
    begun = world.guild.clock.now()
    try:
        world.guild.clock.at = begun + timedelta(days=5)
        for _ in range(2):
            timer = [row for row in world.guild.rows("outbox", kind="approval.timer") if row["payload"]["case"] == case][-1]
            assert handle_timer(world.guild.tenant, timer, clock=world.guild.clock)["moved"]
    finally:
        world.guild.clock.at = begun                      # logins of five days ago are over
    page = sit("clerk")
    page.goto(f"{world.base}/case/{case}")
    told = page.inner_text(".story")
    assert "超时提醒" in told and "赵终审" in page.inner_text(".caseflow.whole .fl.now")
