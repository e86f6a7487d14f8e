"""People and time: acknowledge, snooze, handle, ignore, escalation, being told, whose alerts one sees, and what stays hidden."""

from datetime import date, timedelta

import pytest

from metaloom.base.errors import Invalid, NotAllowed, NotFound, NotPossible
from metaloom.command import change_record, create_record, transfer_record
from metaloom.record import Reader
from metaloom.record.alert_rows import counts
from tests.warning.world import ALERT, CRATE_DUE, EXPIRY, TODAY, VISIT_DUE


@pytest.fixture
def raised(depot):
    """A permit that is due today, and its alert; the clock of the books is set back to the first day by a fresh company day."""
    day = depot.now if hasattr(depot, "now") else TODAY
    made = depot.make("permit", code="H", valid_to=day)
    return made, depot.alert(made)


def on(depot, days):
    """Moves the books on by ``days`` and runs the job."""
    depot.now = (depot.now if hasattr(depot, "now") else TODAY) + timedelta(days=days)
    depot.day(depot.now)
    return depot.run(EXPIRY)


def test_acknowledged_and_handled_with_a_measure(depot, raised):
    made, alert = raised
    depot.do("keeper", alert, "acknowledge")
    assert (depot.alert(made)["status"], depot.alert(made)["handler_id"]) == ("working", depot.people["keeper"])
    with pytest.raises(Invalid):
        depot.do("keeper", alert, "handle", measure="renew")
    with pytest.raises(Invalid):
        depot.do("keeper", alert, "handle", measure="contacted", note="x")
    depot.do("keeper", alert, "handle", measure="renew", note="已换证")
    found = depot.alert(made)
    assert (found["status"], found["measure"], found["measure_note"]) == ("handled", "renew", "已换证")
    assert found["handled_on"] is not None and found["cleared_at"] is None
    with pytest.raises(NotPossible):
        depot.do("keeper", alert, "snooze", until=depot.now if hasattr(depot, "now") else TODAY)


def test_what_is_handled_stays_handled_until_its_cause_goes(depot, raised):
    made, alert = raised
    depot.do("keeper", alert, "handle", measure="other", note="x")
    on(depot, 0)
    assert len(depot.alerts(made)) == 1
    depot.alter("permit", made, active=False)
    on(depot, 0)
    assert (depot.alert(made)["status"], depot.alert(made)["cleared_at"] is not None) == ("handled", True)
    depot.alter("permit", made, active=True)
    on(depot, 0)
    assert [a["status"] for a in depot.alerts(made)] == ["handled", "open"]


def test_ignored_with_a_reason_and_reopened(depot, raised):
    made, alert = raised
    with pytest.raises(Invalid):
        depot.do("keeper", alert, "ignore")
    depot.do("keeper", alert, "ignore", why="重复")
    assert (depot.alert(made)["status"], depot.alert(made)["measure_note"]) == ("ignored", "重复")
    with pytest.raises(Invalid):
        depot.do("chief", alert, "reopen")
    depot.do("chief", alert, "reopen", reason="看错了")
    assert depot.alert(made)["status"] == "open"


def test_a_handled_alert_whose_level_rises_or_that_grows_old_is_raised_again(depot, raised):
    made, alert = raised
    depot.do("keeper", alert, "handle", measure="other", note="x")
    on(depot, 1)
    assert [(a["status"], a["level"]) for a in depot.alerts(made)] == [("handled", "orange"), ("open", "red")]
    depot.do("keeper", depot.alert(made), "handle", measure="other", note="x")
    on(depot, 9)
    assert len(depot.alerts(made)) == 2, "nine days are not ten"
    on(depot, 1)
    assert [a["status"] for a in depot.alerts(made)] == ["handled", "handled", "open"]


def test_a_snoozed_alert_comes_back_on_its_day_and_when_its_level_rises(depot):
    today = depot.now
    late = depot.make("permit", code="S1", valid_to=today + timedelta(days=12))
    rising = depot.make("permit", code="S2", valid_to=today + timedelta(days=8))
    with pytest.raises(NotPossible):
        depot.do("keeper", depot.alert(late), "snooze", until=today)
    with pytest.raises(NotPossible):
        depot.do("keeper", depot.alert(late), "snooze", until=today + timedelta(days=91))
    for made in (late, rising):
        depot.do("keeper", depot.alert(made), "snooze", until=today + timedelta(days=3))
    on(depot, 1)
    assert [(depot.alert(m)["status"], depot.alert(m)["level"]) for m in (late, rising)] == [("snoozed", "yellow"), ("open", "orange")]
    on(depot, 1)
    assert depot.alert(late)["status"] == "snoozed"
    assert on(depot, 1).total.woken == 1
    assert (depot.alert(late)["status"], depot.alert(late)["snoozed_until"], depot.alert(late)["days"]) == ("open", None, 9)


def test_an_alert_that_nobody_handles_escalates_once_for_each_step(depot):
    made = depot.make("permit", code="E", valid_to=depot.now + timedelta(days=30))
    working = depot.make("permit", code="W", valid_to=depot.now + timedelta(days=30))
    handled = depot.make("permit", code="D", valid_to=depot.now + timedelta(days=30))
    depot.do("keeper", depot.alert(working), "acknowledge")
    depot.do("keeper", depot.alert(handled), "handle", measure="other", note="x")
    before = len(depot.messages("chief"))
    on(depot, 6)
    assert depot.alert(made)["escalated"] == 0
    on(depot, 1)
    assert (depot.alert(made)["escalated"], depot.alert(made)["level"]) == (1, "orange")
    assert [depot.alert(m)["escalated"] for m in (working, handled)] == [1, 0]
    told = depot.messages("chief")[before:]
    assert any("未处理" in m["subject"] or "许可证" in m["subject"] for m in told)
    on(depot, 1)
    assert (depot.alert(made)["escalated"], depot.alert(made)["level"]) == (1, "orange"), "what was raised stays raised"
    on(depot, 6)
    assert (depot.alert(made)["escalated"], depot.alert(made)["level"]) == (2, "red")


def test_owner_and_holders_of_the_role_are_told_those_of_another_company_are_not(depot):
    before = {p: len(depot.messages(p)) for p in ("keeper", "chief", "other", "far", "far_chief", "clerk")}
    made = depot.make("permit", code="Told", valid_to=depot.now, worth="7.00")
    after = {p: len(depot.messages(p)) - n for p, n in before.items()}
    assert after == {"keeper": 1, "chief": 1, "other": 0, "far": 0, "far_chief": 0, "clerk": 0}
    told = depot.messages("chief")[-1]
    assert "Told" in told["subject"] and told["link"] == f"/e/{ALERT}/{depot.alert(made)['id']}" and told["kind"] == "alert"
    theirs = {"active": True, "kind": "dry", "valid_to": depot.now, "company_id": depot.north, "owner_id": depot.people["other"]}
    depot.insert("permit", [{"code": f"m{i}", **theirs} for i in range(3)])
    on(depot, 0)
    assert "3" in depot.messages("chief")[-1]["subject"] and "3" in depot.messages("other")[-1]["subject"]
    assert len(depot.messages("far")) == before["far"]


def test_one_sees_the_alerts_of_ones_own_records_and_they_move_with_them(depot):
    made = depot.make("permit", code="Mine", valid_to=depot.now)
    crate = depot.make("crate", permit=made, code="K", unpack_by=depot.now - timedelta(days=1))
    depot.run(CRATE_DUE)
    ids = {depot.alert(made)["id"], depot.alert(crate, CRATE_DUE)["id"]}
    assert (depot.alert(crate, CRATE_DUE)["owner_id"], depot.alert(crate, CRATE_DUE)["permit_id"]) == (depot.people["keeper"], made)

    def sees(person):
        return ids & {row.id for row in depot.seen(person)}

    assert (sees("keeper"), sees("chief"), sees("other"), sees("far"), sees("far_chief")) == (ids, ids, set(), set(), set())
    transfer_record(depot.ctx("chief"), "depot.permit", made, user=depot.people["other"])
    assert (sees("keeper"), sees("other")) == (set(), ids)
    transfer_record(depot.system, "depot.permit", made, company=depot.south, org_unit=depot.units[depot.south], user=depot.people["far"])
    assert (sees("chief"), sees("other"), sees("far"), sees("far_chief")) == (set(), set(), ids, ids)
    with pytest.raises(NotFound):
        depot.do("chief", depot.alert(made), "acknowledge")
    depot.alter(ALERT, depot.alert(made)["id"], owner_id=depot.people["keeper"], company_id=depot.north)
    depot.run(EXPIRY)
    assert sees("far") == ids, "the job heals owners that went astray"


def test_a_hidden_field_is_not_told_by_the_subject(depot):
    made = depot.make("permit", code="Secret", valid_to=depot.now, worth="123.45")
    found = depot.alert(made)["id"]
    chief = next(row for row in depot.seen("chief") if row.id == found)
    clerk = next(row for row in depot.seen("clerk") if row.id == found)
    assert "123.45" in chief.values["subject"] and chief.values["rule_name"] == "许可证到期"
    assert clerk.values["subject"] == "许可证到期" and "123.45" not in str(clerk)
    ctx = depot.ctx("clerk")
    with depot.tenant.read() as conn:
        reader = Reader(conn, depot.tenant, ctx.revision, ctx.plan, locale="en")
        assert reader.get(ALERT, found).values["subject"] == "Permit expires"
        with pytest.raises(Invalid):
            reader.list(ALERT, sort=["subject"])
        assert found not in {row.id for row in reader.list(ALERT, q="123.45").rows}
    assert all("123.45" not in str(m) for m in depot.messages("clerk"))


def test_nobody_makes_changes_or_moves_an_alert_by_hand(depot, raised):
    made, alert = raised
    for person in ("keeper", "chief"):
        with pytest.raises(NotAllowed):
            create_record(depot.ctx(person), ALERT, {"alert_no": "X"})
        with pytest.raises(NotAllowed):
            change_record(depot.ctx(person), ALERT, alert["id"], {"level": "info"}, alert["row_version"])
        with pytest.raises(NotAllowed):
            transfer_record(depot.ctx(person), ALERT, alert["id"], user=depot.people["other"])
    with pytest.raises(NotAllowed):
        depot.do("clerk", alert, "acknowledge")
    with pytest.raises((NotAllowed, NotFound)):
        depot.do("other", alert, "acknowledge")


def test_counters_count_what_the_person_may_list_and_only_what_waits(depot):
    def waiting(person):
        ctx = depot.ctx(person)
        with depot.tenant.read() as conn:
            return {(rule, level): n for rule, level, n in counts(ctx.plan, conn, None)}

    before, others = waiting("chief"), waiting("far_chief")
    made = depot.make("permit", code="C", valid_to=depot.now)
    key = (EXPIRY, "orange")
    assert waiting("chief")[key] == before.get(key, 0) + 1 and waiting("far_chief") == others
    depot.do("keeper", depot.alert(made), "snooze", until=depot.now + timedelta(days=2))
    assert waiting("chief").get(key, 0) == before.get(key, 0)


def test_companies_at_different_days_are_judged_by_their_own(depot):
    depot.day(depot.now + timedelta(days=40), depot.south)
    rows = [{"code": c, "active": True, "kind": "dry", "valid_to": depot.now + timedelta(days=35), "company_id": company, "granted_on": None}
            for c, company in (("near", depot.north), ("far", depot.south))]
    depot.insert("permit", rows)
    depot.run(EXPIRY)
    due = (depot.now + timedelta(days=35))
    found = [(a["company_id"], a["level"], a["days"]) for a in depot.alerts() if a["due_on"] == due]
    assert found == [(depot.south, "red", -5)]
    again = depot.run(EXPIRY).total
    assert (again.raised, again.closed, again.refreshed) == (0, 0, 0)


def test_the_audit_tells_of_a_run_once_per_rule_and_of_a_person_by_name(depot):
    summary = depot.run(EXPIRY)
    table = depot.tenant.revision().tables.engine.audit
    import sqlalchemy as sa
    depot.insert("permit", [{"code": "aud", "active": True, "kind": "dry", "valid_to": depot.now, "company_id": depot.north}])
    summary = depot.run(EXPIRY)
    with depot.tenant.read() as conn:
        found = sa.select(table).where(table.c.entity == ALERT, table.c.command == "evaluate_warnings").order_by(table.c.id.desc())
        rows = [dict(r) for r in conn.execute(found).mappings()]
    mine = [r for r in rows if r["after"].get("run") == summary.run]
    assert len(mine) == 1 and mine[0]["after"]["rule"] == EXPIRY and mine[0]["after"]["raised"] == 1


def test_a_rule_that_is_gone_or_switched_off_takes_its_alerts_along(depot):
    from metaloom import schema_change
    from tests.warning.world import PERMIT, sources
    made = depot.make("permit", code="Gone", valid_to=depot.now, granted_on=date(2025, 1, 1))
    assert depot.alert(made)["status"] == depot.alert(made, VISIT_DUE)["status"] == "open"
    head, _, rest = PERMIT.partition("  visit_due:")
    label = "    label: {zh: 许可证到期, en: Permit expires}"
    changed = head.replace(label, label + "\n    enabled: false") + rest[rest.index("access:"):]
    schema_change.publish(depot.tenant, sources(permit=changed))
    try:
        summary = depot.run()
        assert summary.orphans >= 1 and depot.alert(made)["status"] == depot.alert(made, VISIT_DUE)["status"] == "closed"
        late = depot.make("permit", code="Late", valid_to=depot.now)
        assert depot.alerts(late) == []
    finally:
        schema_change.publish(depot.tenant, sources())
