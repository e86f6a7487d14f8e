"""The job, the save and Python give one verdict on random records; two evaluations at once raise one alert; the machine's laws."""

import random
import threading
from dataclasses import replace
from datetime import date, timedelta
from types import SimpleNamespace

import pytest
import sqlalchemy as sa
from hypothesis import given
from hypothesis import strategies as st

from metaloom.base.messages import message
from metaloom.base.text import Text
from metaloom.command import change_record, rows
from metaloom.command.context import ActionDone
from metaloom.command.explain_warning import explain_warning, verdict_of
from metaloom.command.store import change_stored
from metaloom.command.unit import Unit, perform
from metaloom.model import Again, AlertEscalation, WarningRule
from metaloom.record.alert_rows import DONE, LIVE, WAITING
from metaloom.warning import Standing, Verdict, alert, next_step
from tests.warning.world import EXPIRY, TODAY, VISIT_DUE

SINCE, SPAN = TODAY - timedelta(days=120), 200


def some_day(dice, nulls=0.15):
    if dice.random() < nulls:
        return None
    edge = dice.choice([-91, -90, -89, -1, 0, 1, 7, 8, 15, 16, 30, 31, 366])
    return TODAY + timedelta(days=edge if dice.random() < 0.6 else dice.randrange(-400, 400))


def permits(depot, dice, number):
    return [{"code": f"r{i}", "kind": dice.choice(["dry", "cold", None]), "active": dice.choice([True, True, False, None]), "valid_to": some_day(dice),
             "granted_on": some_day(dice, 0.3), "worth": None, "fee": None, "archived_at": depot.clock.now() if dice.random() < 0.1 else None,
             "company_id": dice.choice([depot.north, depot.south]), "owner_id": depot.people["keeper"]} for i in range(number)]


def stored(depot, entity):
    table = depot.tenant.revision().tables.of(f"depot.{entity}")
    with depot.tenant.read() as conn:
        return [dict(row) for row in conn.execute(sa.select(table).order_by(table.c.id)).mappings()]


def standing(depot, rule):
    return {(a["record_id"], a["cause"]): (a["level"], a["days"]) for a in depot.alerts(rule=rule) if a["cleared_at"] is None}


def by_python(depot, rule):
    """What Python says of every record, one by one."""
    found, definition = {}, depot.tenant.revision().catalog.warning_rules[rule]
    with depot.tenant.read() as conn:
        unit = Unit(depot.system, conn, "test", depot.clock.now())
        from metaloom.command import rows
        for row in stored(depot, "permit"):
            verdict = verdict_of(unit, definition, rows.fetch(unit, "depot.permit", row["id"]))
            if verdict.holds:
                level = ("info", "yellow", "orange", "red")[verdict.severity]
                found[row["id"], verdict.cause] = (level, alert.days_left(verdict.due, unit.env(row["company_id"]).business_date))
    return found


def test_job_save_and_python_agree_on_random_records(depot):
    dice = random.Random(20260301)
    depot.insert("permit", permits(depot, dice, 400))
    ids = [row["id"] for row in stored(depot, "permit")]
    depot.insert("visit", [{"permit_id": dice.choice(ids), "state": dice.choice(["done", "planned"]), "done_on": some_day(dice)} for _ in range(500)])
    nulls = sum(row["valid_to"] is None for row in stored(depot, "permit"))
    assert nulls > 30
    for day in (TODAY, TODAY + timedelta(days=1), date(2028, 2, 29)):
        depot.day(day, depot.north)
        depot.day(min(day, TODAY + timedelta(days=1)), depot.south)
        depot.run()
        for rule in (EXPIRY, VISIT_DUE):
            expected = by_python(depot, rule)
            assert standing(depot, rule) == expected and len(expected) > 40, rule
    before = {rule: standing(depot, rule) for rule in (EXPIRY, VISIT_DUE)}
    for row in [r for r in stored(depot, "permit") if r["archived_at"] is None and r["company_id"] == depot.north][:120]:
        change_record(depot.system, "depot.permit", row["id"], {"valid_to": some_day(dice), "granted_on": some_day(dice), "active": dice.choice([True, False])},
                      row["row_version"])
    saved = {rule: standing(depot, rule) for rule in before}
    assert saved != before
    depot.run()
    assert {rule: standing(depot, rule) for rule in before} == saved == {rule: by_python(depot, rule) for rule in before}


def test_two_evaluations_at_once_give_one_alert(depot):
    depot.insert("permit", [{"code": f"two{i}", "active": True, "kind": "dry", "valid_to": date(2028, 3, 1), "company_id": depot.north} for i in range(300)])
    depot.make("permit", code="both", valid_to=date(2028, 3, 1))
    start, failed = threading.Barrier(4), []

    def work():
        try:
            start.wait()
            depot.run(EXPIRY)
        except Exception as error:
            failed.append(error)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failed == []
    found = [a for a in depot.alerts() if a["cause"] == "2028-03-01" and a["cleared_at"] is None]
    assert len(found) == len({a["record_id"] for a in found}) >= 301
    assert all(a["alert_no"] for a in found) and len({a["alert_no"] for a in found}) == len(found)


@pytest.mark.parametrize("depot", ["postgresql"], indirect=True)
def test_a_record_that_a_command_holds_gets_its_alert_from_the_job_beside_it(depot):
    """The job lays the alert row and looks whether its record is there; the command holds the record and wants to lay the same alert.
    Neither may wait for the other: a command repeats what a deadlock took, so only the waiting tells of one."""
    made = depot.make("permit", code="held", valid_to=date(2029, 3, 1))
    depot.alter("permit", made, valid_to=date(2026, 3, 5))
    failed, waits = [], []

    def quietly(work):
        def attempt():
            try:
                work()
            except Exception as error:
                failed.append(error)
        return threading.Thread(target=attempt)

    def change(unit):
        before = rows.fetch(unit, "depot.permit", made, lock=True)
        job.start()
        job.join(5)
        waits.append(job.is_alive())
        change_stored(unit, "depot.permit", before, {"worth": "7.00"}, trusted=True)
        return ActionDone("depot.permit", made, None, message("warnings.done", raised=0, closed=0))

    holder = quietly(lambda: perform(depot.system.with_key(None), "change", [made], change))
    job = quietly(lambda: depot.run(EXPIRY))
    holder.start()
    holder.join(30)
    job.join(30)
    assert failed == [] and waits == [False] and [a["cause"] for a in depot.alerts(made)] == ["2026-03-05"]


def test_the_explanation_names_every_clause_and_what_would_happen(depot):
    made = depot.make("permit", code="why", valid_to=date(2028, 3, 10), phone="13800138000", granted_on=date(2025, 1, 1))
    found = explain_warning(depot.system, EXPIRY, made)
    assert [(c.what, c.text, c.verdict) for c in found.clauses[:2]] == [("when", "active", True), ("when", "valid_to <= add_days(business_date(), 30)", True)]
    assert found.clauses[1].values == {"valid_to": date(2028, 3, 10)} and found.level == "yellow" and found.next.kind == "keep"
    depot.alter("permit", made, active=None)
    found = explain_warning(depot.system, EXPIRY, made)
    assert (found.clauses[0].verdict, found.verdict.holds, found.next.kind) == (None, False, "close")
    visit = depot.make("visit", permit=made, done_on=date(2028, 2, 1))
    found = explain_warning(depot.system, VISIT_DUE, made)
    assert [c.values for c in found.clauses if c.what == "missing"] == [{"depot.visit": f"#{visit}"}]


# -- the machine ---------------------------------------------------------------------------------------------------------

RULE = WarningRule("a/b", "a", "b", Text("", ""), "true", Text("", ""), escalate=(AlertEscalation(7, level="orange"), AlertEscalation(14, level="red")))
standings = st.builds(
    lambda status, severity, raised, escalated, handled, until: Standing(
        status, severity, "c", TODAY - timedelta(days=raised), escalated, TODAY - timedelta(days=handled) if status in DONE else None,
        TODAY + timedelta(days=until) if status == "snoozed" else None),
    st.sampled_from([*LIVE, *DONE]), st.integers(0, 3), st.integers(0, 30), st.integers(0, 2), st.integers(0, 30), st.integers(-5, 5))
verdicts = st.builds(Verdict, st.booleans(), st.integers(0, 3), st.none(), st.sampled_from(["c", "d"]))
rules = st.builds(lambda after, rise: replace(RULE, again=Again(after, rise)), st.sampled_from([0, 5]), st.booleans())


@given(rules, st.one_of(st.none(), standings), verdicts, st.booleans())
def test_laws_of_the_machine(rule, before, verdict, passes):
    step = next_step(rule, before, verdict, TODAY, time_passes=passes)
    same = before is not None and verdict.holds and verdict.cause == before.cause
    assert (step.alert is None) == (not verdict.holds or (before is not None and not same))
    if step.alert is None:
        return
    after = step.alert
    again = next_step(rule, after, verdict, TODAY, time_passes=passes)
    assert again.kind == "keep" and again.alert == after and not again.woken and not again.escalated_to, "a second evaluation changes nothing"
    if same and before.status in DONE and step.kind == "keep":
        assert after == before, "what is handled is left alone"
    if after.status in LIVE:
        assert after.severity >= max(verdict.severity, alert.floor(rule, after.escalated))
    if same and before.status in WAITING:
        assert after.escalated >= before.escalated and (passes or after.escalated == before.escalated)
    if after.status == "snoozed":
        assert after.snoozed_until is not None and after.snoozed_until > TODAY


@pytest.mark.parametrize(("due", "left"), [(TODAY, 0), (date(2026, 2, 28), -1), (date(2028, 2, 29), 730), (None, None)])
def test_days_left(due, left):
    assert alert.days_left(due, TODAY) == left


def test_the_worker_knows_the_evaluation(depot):
    from metaloom.worker.handlers import handlers
    depot.insert("permit", [{"code": "outbox", "active": True, "kind": "dry", "valid_to": date(2028, 3, 1), "company_id": depot.north}])
    handle = handlers(depot.system.plugins, depot.clock)["warnings.evaluate"]
    summary = handle(depot.tenant, SimpleNamespace(id=1, payload={"rules": [EXPIRY]}))
    assert summary.total.raised == 1 and handle(depot.tenant, SimpleNamespace(id=1, payload=None)).total.raised == 0
