"""What a decision asks of the database: as much for one person of a step as for many, and the same answers as asking one by one."""

from __future__ import annotations

from contextlib import contextmanager

import pytest
import sqlalchemy as sa

from metaloom.access import scope_holds
from metaloom.command import decide_task, decide_tasks, rows, set_substitute
from metaloom.command.eyes import reading_as, words_for
from metaloom.command.unit import Unit
from metaloom.record import Reader
from metaloom.storage import together
from tests.command.guild import REQUEST, TODAY

MOST = 14          # the first of them begins the transaction


@contextmanager
def counted(guild):
    """The statements that commands send meanwhile."""
    sent: list[str] = []

    def note(conn, cursor, statement, *rest):
        sent.append(statement)

    sa.event.listen(guild.tenant._access.write, "before_cursor_execute", note)
    try:
        yield sent
    finally:
        sa.event.remove(guild.tenant._access.write, "before_cursor_execute", note)


def cost(guild, case, person):
    """How many statements it takes this person to pass."""
    ctx, task, version = guild.ctx(person), guild.open_task(case, person), guild.version(guild.case(case)["record_id"])
    with counted(guild) as sent:
        decide_task(ctx, task, "pass", "可", record_version=version)
    guild.check(case)
    return len(sent)


def test_a_decision_takes_few_statements_however_many_come_next(guild):
    """One person at the next step of ``three``; at that of ``timed`` any judge, three of them, then thirteen."""
    for chain in ("three", "timed"):
        cost(guild, guild.start(chain), "checker")          # the first reads the text of the chain
    one, few = (cost(guild, guild.start(chain), "checker") for chain in ("three", "timed"))
    assert one <= MOST and few <= one, (one, few)
    names = [f"more{n}" for n in range(10)]
    for name in names:
        guild.add_person(name, "guild.judge", staff_no=f"N-{name}")
    try:
        case = guild.start("timed")
        many = cost(guild, case, "checker")
        assert len([t for t in guild.tasks(case) if t["status"] == "open"]) == 13
        print(one, few, many)
        assert many <= few + 2, "only who has the same staff number is asked once more"
    finally:
        for name in names:
            _switch_off(guild, name)


def _switch_off(guild, name):
    from metaloom.command import save_user

    row = guild.rows("user", id=guild.people[name])[0]
    save_user(guild.system, guild.people[name], {"active": False}, row["row_version"])


def test_many_decisions_at_once_cost_as_many_statements_each_as_one(guild):
    cases = [guild.start("three") for _ in range(9)]
    version = guild.version(guild.case(cases[0])["record_id"])
    tasks = {guild.open_task(case): version for case in cases}
    (first, one), *others = tasks.items()
    with counted(guild) as sent:
        decide_tasks(guild.ctx("checker"), {first: one}, "pass", "可")
    alone = len(sent)
    with counted(guild) as sent:
        outcomes = decide_tasks(guild.ctx("checker"), dict(others), "pass", "可")
    assert not [o.message for o in outcomes if o.error] and len(sent) == alone * len(others)


def test_a_row_that_was_read_is_judged_as_the_database_judges_it(guild):
    """Every scope of everybody over rows of both companies: the values of the row give the verdict of the SQL, or none."""
    cases = [guild.request(), guild.request("clerk2", reviewer=guild.people["judge1"])]
    if "far" not in guild.people:
        guild.add_person("far", "guild.clerk", company=guild.other)
    cases.append(guild.request("far"))
    asked = decided = 0
    with guild.tenant.read() as conn:
        for name in guild.people:
            ctx = guild.ctx(name) if guild.rows("user", id=guild.people[name])[0]["active"] else None
            if ctx is None:
                continue
            for record in cases:
                unit = Unit(ctx, conn, "look", guild.clock.now())
                by_database = rows.scopes_of(unit, REQUEST, record)
                row = rows.fetch(unit, REQUEST, record)
                assert rows.scopes_of(unit, REQUEST, record) == by_database, (name, record)
                verdicts = [scope_holds(unit.revision, scope, unit.entity(REQUEST), row) for scope in ctx.plan.rights(REQUEST).scopes]
                asked, decided = asked + len(verdicts), decided + len([v for v in verdicts if v is not None])
    assert decided == asked >= 20


def test_words_out_of_a_row_at_hand_are_those_that_the_reader_gives(guild):
    """Also of a field that the receiver does not read, and for who does not read the record at all."""
    record = guild.request(secret="geheim", purpose="修缮")
    names = ("name", "amount", "secret", "purpose", "title", "status", "clerk", "company.name")
    with guild.tenant.read() as conn:
        unit = Unit(guild.ctx("clerk"), conn, "look", guild.clock.now())
        for name in ("clerk", "checker", "payer", "blind", "admin"):
            for asked in (names, names[:6]):
                apart = words_for(reading_as(Unit(unit.ctx, conn, "look", unit.now), guild.people[name]), REQUEST, record, asked)
                rows.fetch(unit, REQUEST, record)
                assert words_for(reading_as(unit, guild.people[name]), REQUEST, record, asked) == apart, name
        assert apart.get("name") is None and "geheim" not in str(
            words_for(reading_as(unit, guild.people["checker"]), REQUEST, record, names[:6]))


def test_who_stands_in_is_found_with_the_holders_of_a_role(guild):
    """Nearest first: for this chain, else for this kind of record, else for everything; not for another chain."""
    def away(to, **more):
        return set_substitute(guild.ctx("master"), guild.people["master"], guild.people[to], TODAY, TODAY, **more).id

    away("judge1")
    away("judge2", entity=REQUEST, chain="pooled")
    case = guild.start("three")
    guild.decide(case, "checker")
    (task,) = [t for t in guild.tasks(case) if t["status"] == "open"]
    assert (task["assignee_id"], task["principal_id"]) == (guild.people["judge1"], guild.people["master"])
    away("judge3", entity=REQUEST, chain="three")
    case = guild.start("three")
    guild.decide(case, "checker")
    (task,) = [t for t in guild.tasks(case) if t["status"] == "open"]
    assert (task["assignee_id"], task["principal_id"]) == (guild.people["judge3"], guild.people["master"])


def test_what_travels_together_is_refused_as_what_goes_alone(guild):
    """The unique number of an event, met inside the block: the same kind of error, and nothing of the block stays."""
    case = guild.start("three")
    events = guild.tenant.revision().tables.engine.approval_event
    row = {name: value for name, value in guild.rows("approval_event", case_id=case)[0].items() if name != "id"}
    with pytest.raises(sa.exc.IntegrityError), guild.tenant.write() as conn, together(conn):
        conn.execute(events.insert().inline(), [row | {"seq": 900}])
        conn.execute(events.insert().inline(), [row])
        conn.execute(events.insert().inline(), [row | {"seq": 901}])
    assert not [r for r in guild.rows("approval_event", case_id=case) if r["seq"] >= 900]


def test_versions_are_those_of_rows_that_may_be_read(guild):
    mine, other = guild.request(), guild.request("far") if "far" in guild.people else guild.request("clerk2")
    ctx = guild.ctx("clerk")
    with guild.tenant.read() as conn:
        reader = Reader(conn, guild.tenant, ctx.revision, ctx.plan, None)
        found = reader.versions(REQUEST, [mine, other, 10**9, 0])
    assert found == {mine: 1} | ({other: 1} if "far" not in guild.people else {})
