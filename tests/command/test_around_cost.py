"""What looking at a record asks of the database: as much for one case or colleague as for many, and every case is reached."""

from __future__ import annotations

from contextlib import contextmanager

import sqlalchemy as sa

from metaloom.command import cases_around, rows
from metaloom.command.eyes import readings_as
from metaloom.command.unit import Unit
from metaloom.web.case_story import QUIET, people_in
from tests.command.guild import REQUEST


@contextmanager
def counted(conn):
    sent: list[str] = []

    def note(conn, cursor, statement, *rest):
        sent.append(statement)

    sa.event.listen(conn, "before_cursor_execute", note)
    yield sent
    sa.event.remove(conn, "before_cursor_execute", note)


def look(guild, record, person="clerk", **asked):
    ctx = guild.ctx(person)
    with guild.tenant.read() as conn:
        conn.execute(sa.select(1))
        with counted(conn) as sent:
            found = cases_around(ctx, conn, REQUEST, record, lambda events: people_in(events, ()), without=QUIET, **asked)
    return found, len(sent)


def with_cases(guild, number):
    record = guild.request()
    made = []
    for _ in range(number):
        made.append(guild.start("three", record))
        guild.move(made[-1], "clerk", "withdraw")
    return record, made


def test_many_cases_of_a_record_take_as_many_statements_as_one_and_all_are_reached(guild):
    (alone, _), (record, made) = with_cases(guild, 1), with_cases(guild, 13)
    look(guild, alone)                                  # the first reads the text of the chain
    (_, one), (found, many) = look(guild, alone), look(guild, record, limit=200)
    assert one == many <= 6, (one, many)
    assert set(found.cases) == set(made) and {event.kind for *_, event in found.events}.isdisjoint(QUIET)
    marks, reached, before = [mark for mark, *_ in found.events], [], None
    assert marks == sorted(marks, reverse=True) and [at for _, _, at, _ in found.events] == sorted((at for _, _, at, _ in found.events), reverse=True)
    while page := look(guild, record, limit=5, before=before)[0].events:
        reached += page
        before = page[-1][0]
    assert [mark for mark, *_ in reached] == marks and reached[-1][1] == made[0], "the oldest case is the end of the last page"
    assert {case for _, case, _, _ in reached} == set(made)


def test_cases_are_those_that_the_person_may_see(guild):
    record, made = with_cases(guild, 2)
    for name in guild.people:
        row, = guild.rows("user", id=guild.people[name])
        if not row["active"]:
            continue
        ctx = guild.ctx(name)
        with guild.tenant.read() as conn:
            unit = Unit(ctx, conn, "look", guild.clock.now())
            wanted = {case for case in made if {"list", "read"} <= rows.standing_or_none(unit, "platform.approval_case", case)}
        found, sent = look(guild, record, name)
        assert set(found.cases) == wanted, name
        assert wanted or sent <= 2, "the day of the books, and what there is"


def test_who_reads_is_found_in_one_statement_and_as_one_by_one(guild):
    records = [guild.request(), guild.request("clerk2", reviewer=guild.people["judge1"])]
    people = [guild.people[name] for name in guild.people]
    for record in records:
        with guild.tenant.read() as conn:
            unit = Unit(guild.ctx("clerk"), conn, "look", guild.clock.now())
            readings = {user: reading for user, reading in readings_as(unit, people).items() if reading is not None}
            wanted = {user for user, reading in readings.items() if "read" in rows.standing_or_none(reading, REQUEST, record)}
            with counted(conn) as sent:
                assert rows.who_reads(readings.values(), REQUEST, record) == wanted
            assert len(sent) == 1 and len(wanted) > 0
            rows.fetch(unit, REQUEST, record)
            with counted(conn) as sent:
                assert rows.who_reads(readings.values(), REQUEST, record) == wanted
            assert not sent
        with guild.tenant.read() as conn:
            unit = Unit(guild.ctx("clerk"), conn, "look", guild.clock.now())
            assert rows.who_reads(readings_as(unit, people[:1]).values(), REQUEST, 10**9) == set() == rows.who_reads([], REQUEST, record)
