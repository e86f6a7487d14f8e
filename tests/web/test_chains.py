"""Chains on screen: what there is, trying a text on past records, and what becomes of cases when a chain changes (A09, A11)."""

from __future__ import annotations

import re
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import pytest
import sqlalchemy as sa

from metaloom import schema_change
from metaloom.command import chains_open
from tests.command.guild import REQUEST, ROOT, sources
from tests.web import hall
from tests.web.conftest import Visitor

BANDS, THREE = f"{REQUEST}/bands", f"{REQUEST}/three"
OLD = "      two: {label: {zh: 二级, en: Second}, who: [{role: master}]}\n"
RENAMED = "      middle: {label: {zh: 中级, en: Middle}, who: [{role: judge}], mode: all}\n"


@pytest.fixture(scope="module")
def guild(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    made, app = hall.site(tmp_path_factory.mktemp("chains"))
    made.app = app
    for amount in ("50", "150"):
        case = made.start("bands", made.request(name=f"采购 {amount}", amount=Decimal(amount)))
        made.decide(case, "checker" if amount == "50" else "master")
        made.decide(case, "judge2", step="risk")
        made.decide(case, "payer", step="money")
    yield made
    made.tenancy.close()


@pytest.fixture
def visit(guild: Any) -> Any:
    def as_(person: str) -> Visitor:
        visitor = Visitor(guild.app, "hall")
        assert visitor.log_in(person, hall.PASSWORD).status_code == 302
        return visitor

    return as_


@pytest.fixture
def publish(guild: Any) -> Iterator[Any]:
    """Publishes the guild with another text of the chains; afterwards the old one again."""
    yield lambda old, new: schema_change.publish(guild.tenant, sources(lambda text: text.replace(old, new)))
    schema_change.publish(guild.tenant, sources())


def page_of(visitor: Visitor, path: str) -> str:
    answer = visitor.get(path)
    assert answer.status_code == 200, answer.text[:500]
    return answer.text


def words(html: str) -> str:
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", html))


def contents(guild: Any) -> dict[str, list[str]]:
    """Everything in the database but the sessions, which every page touches."""
    with guild.tenant.read() as conn:
        every = [sa.table(name) for name in sa.inspect(conn).get_table_names() if "session" not in name]
        return {table.name: sorted(map(repr, conn.execute(sa.select(sa.text("*")).select_from(table)))) for table in every}


def test_an_administrator_sees_every_chain_and_nobody_else_any(guild, visit):
    shown = page_of(visit("admin"), "/approval/chains/")
    assert all(chain.label.zh in shown and f"/hall/approval/chains/{chain.address}" in shown for chain in guild.tenant.revision().catalog.chains.values())
    assert "审批流程" in page_of(visit("admin"), "/") and "/approval/chains/" not in page_of(visit("checker"), "/")
    for path in ("/approval/chains/", f"/approval/chains/{BANDS}", f"/approval/draft/{REQUEST}", "/approval/changed/"):
        assert visit("checker").get(path).status_code == 403


def test_a_chain_is_drawn_with_its_people_conditions_and_lines(guild, visit):
    shown = words(page_of(visit("admin"), f"/approval/chains/{BANDS}"))
    line = 1 + (ROOT / "tests/packs/guild/house/request/approval.yaml").read_text(encoding="utf-8").splitlines().index("  bands:")
    assert f"guild/house/request/approval.yaml:{line}" in shown and "amount &lt;= 100" in shown
    assert re.search(r"快审 审核 · 或签", shown) and "其他情况" in shown and re.search(r"风险 评委 · 或签", shown)
    assert "2/3" in words(page_of(visit("admin"), f"/approval/chains/{REQUEST}/committee"))
    assert "8 个工作小时" in words(page_of(visit("admin"), f"/approval/chains/{REQUEST}/timed"))
    assert "须手写签名" in words(page_of(visit("admin"), f"/approval/chains/{REQUEST}/by_hand"))
    assert "须输入登录密码签名" in words(page_of(visit("admin"), f"/approval/chains/{REQUEST}/signed"))
    made = words(page_of(visit("admin"), f"/approval/chains/{REQUEST}/made"))
    assert "经办人（须回避） 发起人 · created_by · reviewer · paper.created_by" in made and "须手写签名" not in made
    assert visit("admin").get(f"/approval/chains/{REQUEST}/none").status_code == 404


def test_trying_a_draft_shows_who_would_decide_and_writes_nothing(guild, visit):
    admin = visit("admin")
    form = page_of(admin, f"/approval/chains/{BANDS}")
    text = re.search(r"<textarea[^>]*name=\"draft\"[^>]*>(.*?)</textarea>", form, re.DOTALL)[1].replace("&lt;", "<").replace("&#34;", '"')  # type: ignore[index]
    before = contents(guild)
    asked = {"source": "text", "limit": "100", "where": "", "draft": text.replace("amount <= 100", "amount <= 200")}
    answer = admin.post(f"/approval/chains/{BANDS}/simulate", asked, headers={"HX-Request": "true"})
    assert answer.status_code == 200
    told = words(answer.text)
    assert "采购 150" in told and "按金额：大额 → 小额" in told and "慢审 审批人：赵终审 → 不经过" in told
    assert "审批人不同 1" in told and "无变化" in told
    sheet = admin.post(f"/approval/chains/{BANDS}/simulate", {**asked, "as": "csv"})
    assert sheet.mimetype == "text/csv" and "采购 150" in sheet.data.decode("utf-8-sig") and "李初审" in sheet.data.decode("utf-8-sig")
    assert contents(guild) == before


def test_findings_of_a_draft_name_its_lines_and_what_was_typed_stays(guild, visit):
    admin = visit("admin")
    draft = "bands:\n  label: {zh: 分级, en: Bands}\n  subject: {zh: x, en: x}\n  steps:\n    one: {label: {zh: 一, en: One}, who: [{role: nobody_knows}]}\n"
    answer = admin.post(f"/approval/chains/{BANDS}/simulate", {"source": "text", "limit": "10", "draft": draft})
    assert answer.status_code == 400 and 'data-goto-line="5"' in answer.text and "ML-REF-001" in answer.text and "nobody_knows" in answer.text
    assert "role: nobody_knows" in re.search(r"<textarea[^>]*name=\"draft\".*?</textarea>", answer.text, re.DOTALL)[0]  # type: ignore[index]


@pytest.mark.parametrize("wrong", [{"limit": "0"}, {"limit": "501"}, {"limit": "x"}, {"source": "elsewhere"}, {"where": "amount +"}, {"where": "amount > 1"},
                                   {"source": "text", "draft": ""}, {"source": "text", "draft": "main: {}"}, {"source": "files"}])
def test_what_cannot_be_tried_is_said(guild, visit, wrong):
    answer = visit("admin").post(f"/approval/chains/{BANDS}/simulate", {"source": "published", "limit": "10", **wrong})
    assert answer.status_code == 400 and ('class="notice bad"' in answer.text or "草稿有" in answer.text)


def test_a_new_chain_is_tried_on_the_records_that_the_person_reads(guild, visit):
    admin = visit("admin")
    assert "new_chain:" in page_of(admin, f"/approval/draft/{REQUEST}")
    draft = "fresh:\n  label: {zh: 新, en: New}\n  subject: {zh: x, en: x}\n  steps:\n    one: {label: {zh: 一, en: One}, who: [{role: master}]}\n"
    answer = admin.post(f"/approval/draft/{REQUEST}", {"limit": "10", "draft": draft})
    assert answer.status_code == 200 and "没有可试算的单据" in answer.text, "this administrator reads no requests"
    assert admin.get("/approval/draft/?entity=" + REQUEST).status_code == 302 and admin.get("/approval/draft/guild.none").status_code == 404


def test_cases_of_a_changed_chain_are_previewed_and_moved_by_the_page(guild, visit, publish):
    admin = visit("admin")
    assert "所有在途审批单都在按现行流程办理" in page_of(admin, "/approval/changed/")
    same, mapped, begins, stays = (guild.start("three", guild.request(name=f"变更{n}")) for n in range(4))
    for case in (mapped, begins):
        guild.decide(case, "checker")
    publish(OLD, RENAMED)
    shown = page_of(admin, "/approval/changed/")
    told = words(shown)
    assert "二级 删除环节" in told and "中级 新增环节" in told and "变更0" in told and "4 个在途" in told
    assert "4 个审批单仍按旧流程办理" in words(page_of(admin, "/approval/chains/"))
    form = {name: re.search(rf'name="{name}" value="([^"]+)"', shown)[1] for name in ("chain", "digest", "published")}  # type: ignore[index]

    def sent(mode: str, *cases: int, **more: str) -> dict[str, Any]:
        return {**form, "mode": mode, "cases": [str(case) for case in cases], "reason": "按新制度办理", **more}

    before = contents(guild)
    previewed = words(admin.post("/approval/changed/preview", sent("move", same, mapped)).text)
    assert "变更0 一级 李初审" in previewed and "新流程中没有环节 二级 的对应环节" in previewed
    cured = words(admin.post("/approval/changed/preview", sent("move", mapped, **{"map.two": "middle"})).text)
    assert "变更1 中级 钱评委、周评委、吴评委" in cured
    assert contents(guild) == before
    done = admin.post("/approval/changed/", sent("move", same, mapped))
    assert "1 单，1 单未能处理" in words(done.text) and guild.case(mapped)["current_steps"] == "二级" and guild.case(same)["current_steps"] == "一级"
    assert "0 单未能处理" in words(admin.post("/approval/changed/", sent("move", mapped, **{"map.two": "middle"})).text)
    assert guild.case(mapped)["current_steps"] == "中级"
    assert "已按新流程重新开始" in words(admin.post("/approval/changed/", sent("restart", begins)).text) and guild.case(begins)["current_steps"] == "一级"
    assert "继续按原流程办理" in words(admin.post("/approval/changed/", sent("pin", stays)).text) and guild.log(stays)[-1] == "chain_kept"
    assert [row["reason"] for row in guild.rows("audit", record_id=mapped, command="change_case_chain")] == ["按新制度办理"]
    guild.check(same, mapped, begins, stays)
    for judge in ("judge1", "judge2", "judge3"):
        guild.decide(mapped, judge)
    guild.decide(mapped, "payer")
    assert guild.case(mapped)["status"] == "approved"


def test_a_change_wants_cases_a_mode_and_a_reason_and_the_chain_that_was_shown(guild, visit, publish):
    admin = visit("admin")
    case = guild.start("three", guild.request(name="不完整"))
    publish(OLD, RENAMED)
    shown = page_of(admin, "/approval/changed/")
    form = {name: re.search(rf'name="{name}" value="([^"]+)"', shown)[1] for name in ("chain", "digest", "published")}  # type: ignore[index]
    good = {**form, "mode": "restart", "cases": [str(case)], "reason": "因故"}
    for missing, said in (("mode", "请选择处理方式"), ("cases", "请选择审批单"), ("reason", "请填写原因")):
        answer = admin.post("/approval/changed/", {k: v for k, v in good.items() if k != missing})
        assert answer.status_code == 400 and said in answer.text
    publish(OLD, OLD + "      extra: {label: {zh: 加审, en: Extra}, who: [{role: judge}]}\n")
    late = admin.post("/approval/changed/", good)
    assert late.status_code == 409 and "又发布了新版本" in late.text and guild.log(case)[-1] != "restarted"
    assert visit("checker").post("/approval/changed/", good).status_code == 403


def test_no_more_than_the_first_cases_are_listed_and_the_page_says_so(guild, visit, publish, monkeypatch):
    monkeypatch.setattr(chains_open, "SHOWN", 2)
    for n in range(3):
        guild.start("three", guild.request(name=f"很多{n}"))
    publish(OLD, RENAMED)
    shown = words(page_of(visit("admin"), "/approval/changed/"))
    assert re.search(r"[3-9] 个在途", shown) and "处理后显示其余" in shown


def test_every_word_is_known_in_both_languages(guild, visit, publish):
    guild.start("three", guild.request(name="双语"))
    publish(OLD, RENAMED)
    for locale in ("zh", "en"):
        admin = visit("admin")
        admin.client.set_cookie("ml_locale", locale, path="/hall")
        chains = [f"/approval/chains/{address}" for address in guild.tenant.revision().catalog.chains]
        for path in ("/approval/chains/", "/approval/changed/", f"/approval/draft/{REQUEST}", *chains):
            shown = words(page_of(admin, path))
            assert not re.findall(r"(?<![\w/.-])(?:chain|simulate|changed|approval)\.[a-z_]+\.?[a-z_]*(?![\w/])", shown.replace("approval.yaml", "")), path
