"""A draft chain tried on the past records of a tenant: who would decide, what would differ; nothing is written (A11)."""

import json
import shutil
from decimal import Decimal

import pytest
import sqlalchemy as sa
from click.testing import CliRunner

from metaloom import expression
from metaloom.base.errors import Invalid, NotAllowed, NotFound
from metaloom.cli import main
from metaloom.command import create_record, save_user, simulate_chain, system_context
from metaloom.command.unit import Unit
from tests.command.guild import REQUEST, ROOT, sources

BANDS, THREE = f"{REQUEST}/bands", f"{REQUEST}/three"
SMALL = "when: \"amount <= 100\""
TWO = "      two: {label: {zh: 二级, en: Second}, who: [{role: master}]}\n"
RIGHT = "          right: {label: {zh: 右, en: Right}, steps: {money: {label: {zh: 资金, en: Money}, who: [{role: payer}]}}}\n"


def draft(guild, *changes):
    """The guild's catalog with other texts, compiled and not published."""
    texts = [(source.layer, source.path, source.text) for source in sources()]
    for old, new in changes:
        assert any(old in text for _, _, text in texts), old
        texts = [(layer, path, text.replace(old, new)) for layer, path, text in texts]
    return guild.tenancy.compiler(texts)


def engine(guild):
    return system_context(guild.tenant, plugins=None, clock=guild.clock)


def tried(guild, chain, *changes, records=(), **more):
    """The simulation, of these records alone where some are named; and what was found by record."""
    where = named(guild, records) if records else ""
    found = simulate_chain(engine(guild), chain, draft=draft(guild, *changes) if changes else None, where=where, **more)
    return found, {one.record: one for one in found.tried}


def named(guild, records):
    """A condition that holds for these records."""
    names = ", ".join(f"'{guild.record(record)['name']}'" for record in records)
    return f"name in [{names}]"


def who(guild, one):
    names = {user: name for name, user in guild.people.items()}
    return {step.step: [names[user] for user in step.people] for step in one.outcome.asked}


def differs(guild, one):
    names = {user: name for name, user in guild.people.items()}
    def said(d, side):
        return [names[user] for user in side] if d.what == "deciders" else list(side)
    return {(d.what, d.where): (said(d, d.before), said(d, d.after)) for d in one.differences}


def banded(guild, amount, judge="judge2"):
    """A request that went through the bands; its record."""
    record = guild.request(amount=Decimal(amount))
    case = guild.start("bands", record)
    guild.decide(case, "checker" if Decimal(amount) <= 100 else "master")
    guild.decide(case, judge, step="risk")
    guild.decide(case, "payer", step="money")
    assert guild.case(case)["status"] == "approved"
    return record


def test_a_changed_amount_band_moves_the_deciders_of_the_records_between(guild):
    small, between, large = banded(guild, "50"), banded(guild, "150"), banded(guild, "500")
    found, by_record = tried(guild, BANDS, (SMALL, "when: \"amount <= 200\""))
    assert {small, between, large} <= by_record.keys()
    assert found.changed("deciders") == found.changed("way") == (between,) and found.changed("result") == ()
    assert differs(guild, by_record[between]) == {
        ("way", "size"): (["large"], ["small"]), ("deciders", "slow"): (["master"], []), ("deciders", "quick"): ([], ["checker"])}
    assert who(guild, by_record[between]) == {"quick": ["checker"], "risk": ["judge1", "judge2", "judge3"], "money": ["payer"]}
    assert who(guild, by_record[large])["slow"] == ["master"]
    assert [one.outcome.result for one in found.tried] == ["approved"] * len(found.tried)
    assert found.survey.dead_ways == () and found.survey.stuck == () and not found.survey.nobody


def test_the_published_chain_over_its_own_cases_differs_in_nothing(guild):
    records = [banded(guild, "60"), banded(guild, "600", judge="judge3")]
    found, by_record = tried(guild, BANDS, records=records)
    assert [one.differences for one in found.tried] == [(), ()]
    assert {by_record[key].really for key in records} == {"approved"} and all(one.case for one in found.tried)


def test_newest_first_and_no_more_than_asked_for(guild):
    records = [banded(guild, "70") for _ in range(3)]
    found, _ = tried(guild, BANDS, limit=2)
    assert [one.record for one in found.tried] == records[:0:-1]
    found, _ = tried(guild, BANDS, records=records, limit=1)
    assert [one.record for one in found.tried] == records[2:]


def test_a_branch_that_no_record_takes_is_found(guild):
    records = [banded(guild, "50"), banded(guild, "500")]
    found, _ = tried(guild, BANDS, (SMALL, "when: \"amount <= 0.01\""), records=records)
    assert found.survey.dead_ways == (("size", "small"),) and found.survey.dead_steps == ("quick",)
    assert found.changed("way") == (records[0],)


def test_a_step_whose_role_nobody_holds_is_found(guild):
    record = banded(guild, "500")
    elder = (("  blind: {label", "  elder: {label: {zh: 长老, en: Elder}}\n  blind: {label"),
             ("  payer: {scope: company, actions: [list, read, pay_out]}\n", "  payer: {scope: company, actions: [list, read, pay_out]}\n"
              "  elder: {scope: company, actions: [list, read]}\n"))
    step = "      wise: {label: {zh: 长老, en: Wise}, who: [{role: elder}]%s}\n"
    found, by_record = tried(guild, BANDS, *elder, (RIGHT, RIGHT + step % ""), records=[record])
    assert found.survey.nobody == {"wise": (record,)} and found.survey.stuck == ()
    assert by_record[record].outcome.result == "approved", "the administrator says yes"
    found, by_record = tried(guild, BANDS, *elder, (RIGHT, RIGHT + step % ", empty: fail"), records=[record])
    assert found.survey.nobody == {"wise": (record,)} and found.changed("result") == (record,)
    assert differs(guild, by_record[record])["result", ""] == (["approved"], ["rejected"])


def test_a_case_that_could_not_even_begin_names_the_step(guild):
    record = guild.request()
    found, by_record = tried(guild, THREE, ("one: {label: {zh: 一级, en: First}, who: [{role: checker}]}",
                                            "one: {label: {zh: 一级, en: First}, who: [{user: nobody}], empty: fail}"), records=[record])
    assert found.survey.stuck == (record,) and found.survey.nobody == {"one": (record,)}
    assert "First" in by_record[record].outcome.refused.say("en")


def test_who_decided_really_decides_first_and_so_may_not_decide_twice(guild):
    record = banded(guild, "500", judge="judge2")
    found, by_record = tried(guild, BANDS, (RIGHT, RIGHT + "      seal: {label: {zh: 用印, en: Seal}, who: [{role: judge}]}\n"), records=[record])
    assert who(guild, by_record[record])["seal"] == ["judge1", "judge3"]
    seal = by_record[record].outcome.asked[-1]
    assert seal.dropped == {guild.people["judge2"]: "acted"}
    assert set(found.names) >= set(seal.people) | set(seal.dropped)


def test_answers_that_were_given_are_given_again(guild):
    record = guild.request(amount=Decimal("5000"))
    case = guild.start("main", record)
    guild.decide(case, "checker", fields={"purpose": "修缮"})
    guild.decide(case, "master", outputs={"granted": "2000"})
    guild.decide(case, "payer")
    found, by_record = tried(guild, f"{REQUEST}/main", records=[record])
    assert who(guild, by_record[record]) == {"check": ["checker"], "decide": ["master"], "pay": ["payer"]}
    assert by_record[record].differences == ()
    found, by_record = tried(guild, f"{REQUEST}/main", ("granted > 1000", "granted > 3000"), records=[record])
    assert differs(guild, by_record[record]) == {("deciders", "pay"): (["payer"], [])}


def test_a_rejected_case_stays_rejected_where_the_same_people_are_asked(guild):
    record = guild.request()
    case = guild.start("three", record)
    guild.decide(case, "checker")
    guild.decide(case, "master", "reject", "不可")
    found, by_record = tried(guild, THREE, records=[record])
    assert by_record[record].really == "rejected" and by_record[record].differences == ()
    found, by_record = tried(guild, THREE, (TWO, ""), records=[record])
    assert differs(guild, by_record[record]) == {("result", ""): (["rejected"], ["approved"]), ("deciders", "two"): (["master"], [])}
    assert found.changed("result") == (record,)


def test_a_withdrawn_case_says_nothing_of_the_result(guild):
    record = guild.request()
    case = guild.start("main", record)
    guild.move(case, "clerk", "withdraw")
    found, by_record = tried(guild, f"{REQUEST}/main", records=[record])
    assert by_record[record].really == "withdrawn" and by_record[record].differences == ()


def test_lots_are_not_drawn_anew(guild):
    record = guild.request()
    case = guild.start("drawn", record)
    drawn = next(name for name, user in guild.people.items() if user == guild.tasks(case)[0]["assignee_id"])
    guild.decide(case, drawn)
    more = ("      one: {label: {zh: 随机, en: Drawn}, who: [{role: judge}], mode: random}\n",
            "      one: {label: {zh: 随机, en: Drawn}, who: [{role: judge}], mode: random}\n"
            "      more: {label: {zh: 再审, en: More}, who: [{role: judge}]}\n")
    for _ in range(4):
        _, by_record = tried(guild, f"{REQUEST}/drawn", more, records=[record])
        assert by_record[record].outcome.asked[-1].dropped == {guild.people[drawn]: "acted"}


def test_a_record_without_a_case_is_held_against_the_published_chain(guild):
    record = guild.request(amount=Decimal("150"))
    found, by_record = tried(guild, BANDS, (SMALL, "when: \"amount <= 200\""), records=[record])
    assert by_record[record].case is None and differs(guild, by_record[record])["way", "size"] == (["large"], ["small"])
    found, by_record = tried(guild, BANDS, records=[record])
    assert by_record[record].differences == ()


def test_a_case_that_would_wait_and_a_draft_that_needs_a_new_field_say_so(guild):
    record = guild.request()
    found, by_record = tried(guild, f"{REQUEST}/papers", records=[record])
    assert by_record[record].outcome.stops_at == ("wait",) and found.survey.stuck == (record,)
    field = ("    times: {type: integer,", "    weight: {type: integer, label: {zh: 重量, en: Weight}}\n    times: {type: integer,")
    found, by_record = tried(guild, BANDS, field, (SMALL, "when: \"weight <= 100\""), records=[record])
    assert "weight" in by_record[record].outcome.refused.say("en") and found.survey.stuck == (record,)


def contents(guild):
    """Every row of every table."""
    with guild.tenant.read() as conn:
        every = [sa.table(name) for name in sa.inspect(conn).get_table_names()]
        return {table.name: sorted(map(repr, conn.execute(sa.select(sa.text("*")).select_from(table)))) for table in every}


def test_nothing_is_written(guild, monkeypatch):
    records, seen = [banded(guild, "50"), banded(guild, "150")], []
    changes = draft(guild, (SMALL, "when: \"amount <= 200\""))
    condition, before = named(guild, records), contents(guild)
    assert before["ml_audit"] and before["ml_approval_case"] and before["ml_approval_event"]

    def unit(ctx, conn, *more):
        seen.append(conn.scalar(sa.text("PRAGMA query_only" if conn.dialect.name == "sqlite" else "SHOW transaction_read_only")))
        return Unit(ctx, conn, *more)

    monkeypatch.setitem(simulate_chain.__globals__, "Unit", unit)
    found = simulate_chain(engine(guild), BANDS, draft=changes, where=condition)
    assert len(found.tried) == 2 and found.changed("deciders") == (records[1],)
    assert seen in ([1], ["on"])
    assert contents(guild) == before


def test_only_administrators_ask_and_only_for_what_there_is(guild):
    for person in ("clerk", "checker"):
        with pytest.raises(NotAllowed):
            simulate_chain(guild.ctx(person), BANDS)
    for chain in (f"{REQUEST}/none", "bands", ""):
        with pytest.raises(NotFound):
            simulate_chain(engine(guild), chain)
    with pytest.raises(expression.ExpressionError):
        simulate_chain(engine(guild), BANDS, where="amount +")
    with pytest.raises(expression.ExpressionError):
        simulate_chain(engine(guild), BANDS, where="amount")


def test_an_administrator_learns_nothing_of_records_beyond_what_cases_show(guild):
    """The administrator holds no right on requests: subjects of cases, but no titles; no condition over what cannot be read."""
    record = banded(guild, "50")
    admin = guild.ctx("admin")
    found = simulate_chain(admin, BANDS)
    one = next(one for one in found.tried if one.record == record)
    assert one.title == guild.record(record)["name"], "the subject of the case, which administrators see"
    with pytest.raises(Invalid) as refused:
        simulate_chain(admin, BANDS, where="amount > 1")
    assert "amount" in refused.value.problems[0].message.say("en")
    with pytest.raises(Invalid) as refused:
        simulate_chain(admin, BANDS, draft=draft(guild, (SMALL, "when: \"amount <= 100 and secret == 'x'\"")))
    assert "secret" in refused.value.problems[0].message.say("en") and "amount" not in refused.value.problems[0].message.say("en")
    moved = simulate_chain(admin, BANDS, draft=draft(guild, (SMALL, "when: \"amount <= 10\"")))
    assert record in moved.changed("deciders"), "of what the published chain asks about anyway"


@pytest.fixture
def boss(guild):
    """An administrator who reads requests as checkers do, while the test runs."""
    user = guild.add_person("boss", "platform.admin", "guild.checker")
    yield lambda: guild.ctx("boss")
    save_user(guild.system, user, {"active": False}, guild.version(user, "platform.user"))


def test_a_condition_of_an_administrator_with_rights_picks_among_the_rows_that_show_the_field(guild, boss):
    seen, unseen = banded(guild, "50"), guild.request(amount=Decimal("50.00"))
    found = simulate_chain(boss(), BANDS, where=named(guild, [seen, unseen]))
    assert {one.record for one in found.tried} == {seen, unseen} and {one.title for one in found.tried} == {guild.record(r)["name"] for r in (seen, unseen)}
    with pytest.raises(Invalid):
        simulate_chain(boss(), BANDS, where="secret is null")       # hidden from checkers
    elsewhere = create_record(engine(guild), REQUEST, {"name": "分会的事", "amount": Decimal("50.00"), "purpose": "x", "company": guild.other}).id
    found = simulate_chain(boss(), BANDS, where=named(guild, [seen, elsewhere]))
    assert {one.record for one in found.tried} == {seen}


def test_time_is_up_and_the_rest_is_told(guild):
    records = [banded(guild, amount) for amount in ("50", "60", "70")]
    asked = iter([False, False, True])
    found = simulate_chain(engine(guild), BANDS, where=named(guild, records), enough=lambda: next(asked))
    assert len(found.tried) == 2 and found.left == 1


@pytest.fixture
def run(guild, tmp_path, monkeypatch):
    """``metaloom approval simulate`` with the guild's files in a folder of its own; ``run.edit`` changes the chains there."""
    shutil.copytree(ROOT / "tests" / "packs" / "guild", tmp_path / "metadata" / "guild")
    shutil.copytree(ROOT / "metadata" / "platform", tmp_path / "metadata" / "platform")
    client = tmp_path / "tenants" / guild.tenant.name
    client.mkdir(parents=True)
    (client / "tenant.yaml").write_text("tenant: {label: {zh: 行会, en: Guild}, packs: [platform, guild]}\n", encoding="utf-8")
    settings = guild.tenancy.settings
    for name, value in (("HOME", settings.home), ("DATABASE_URL", settings.database_url or ""), ("REDIS_URL", ""),
                        ("METADATA", tmp_path / "metadata"), ("TENANTS", tmp_path / "tenants")):
        monkeypatch.setenv(f"METALOOM_{name}", str(value))

    def invoke(*words, code=0):
        result = CliRunner().invoke(main, ["approval", "simulate", guild.tenant.name, *map(str, words)], env={"COLUMNS": "200"})
        assert result.exit_code == code, result.output + repr(result.exception)
        return result.output

    def edit(old, new):
        path = tmp_path / "metadata" / "guild" / "house" / "request" / "approval.yaml"
        path.write_text(path.read_text(encoding="utf-8").replace(old, new), encoding="utf-8")

    invoke.edit = edit
    return invoke


def test_the_word_tries_the_files_before_they_are_published(guild, run):
    record = banded(guild, "150")
    run.edit(SMALL, "when: \"amount <= 200\"")
    where = ("--where", named(guild, [record]))
    assert json.loads(run(BANDS, *where, "--json"))["records"][0]["differs"] == []
    answer = json.loads(run(BANDS, "--draft", *where, "--json"))
    (one,) = answer["records"]
    assert one["path"] == ["size:small", "quick", "both:left", "risk", "both:right", "money"] and one["result"] == "approved"
    assert one["steps"][0] == {"step": "quick", "people": [{"id": guild.people["checker"], "name": "checker"}], "admin": False, "dropped": []}
    assert {"what": "way", "where": "size", "before": ["large"], "after": ["small"]} in one["differs"]
    assert answer["summary"]["deciders_change"] == [record] and answer["summary"]["dead_branches"] == ["size:large"]
    told = run(BANDS, "--draft", *where)
    for words in ("deciders slow: master -> -", "deciders quick: - -> checker", "way size: large -> small", "size:small > quick",
                  "no record took the branch size:large", "1 records; other deciders: 1"):
        assert words in told, told


def test_the_word_refuses_with_a_reason(guild, run):
    assert f"there is no chain {REQUEST}/none" in run(f"{REQUEST}/none", code=1)
    assert "--where" in run(BANDS, "--where", "amount +", code=1)
    assert "no record to try it on" in run(BANDS, "--where", "amount < 0")
    run.edit("who: [{role: payer}]", "who: [{role: nobody_at_all}]")
    refused = run(BANDS, "--draft", code=1)
    assert "nobody_at_all" in refused and "nothing was changed" in refused
    run(BANDS, "--limit", 0, code=2)
