"""What people of the house are told: who is meant, what each may read, and what each wants to hear."""

import pytest

from metaloom.base.errors import Invalid
from metaloom.command import create_record, my_messages, prefer_messages, read_messages, waiting, wishes
from metaloom.message import Reach, end_of_quiet
from tests.command.club import NOW

SENTINEL = 987_654


def tell(office, **values):
    """The chief's action on a member with a rating that clerks may not read; the new messages by person."""
    member = create_record(office.ctx("boss"), "club.member", office.values(**values))
    newest = max((row["id"] for row in office.messages()), default=0)
    office.act("tell_chiefs", member.id)
    names = {number: name for name, number in office.people.items()}
    return [(names[row["receiver_id"]], row) for row in office.messages() if row["id"] > newest]


def test_holders_of_a_role_are_told_where_it_covers_the_record_and_once(office):
    told = [name for name, row in tell(office) if row["channel"] == "in_app"]
    assert sorted(told) == ["boss", "chief", "clerk"], "somebody of the other company was told, or somebody twice"


def test_a_field_that_the_receiver_may_not_read_is_nowhere(office):
    """Sentinel: clerks have no right on the rating here; nobody ever gets the identity number."""
    told = tell(office, rating=SENTINEL, id_no="110101199003070011")
    said = {(name, row["channel"]): f"{row['subject']} {row['body']} {row['error']}" for name, row in told}
    assert str(SENTINEL) in said["chief", "in_app"].replace(",", ""), "the one who may read it was not told"
    assert str(SENTINEL) not in said["clerk", "in_app"].replace(",", "") and "入会：-" in said["clerk", "in_app"]
    office.work()
    everything = f"{office.messages()} {office.engine_rows('outbox')} {[m.content for m in office.mailbox.mails]}"
    assert "110101199003070011" not in everything


def test_mail_goes_to_the_accounts_address_with_the_words_for_mail(office):
    told = tell(office)
    mails = [(name, row) for name, row in told if row["channel"] == "email"]
    assert sorted(name for name, _ in mails) == ["boss", "chief", "clerk"] and all(row["status"] == "queued" for _, row in mails)
    before = len(office.mailbox.mails)
    office.work()
    assert sorted(m.rcpt_tos[0] for m in office.mailbox.mails[before:]) == [f"{n}@example.com" for n in ("boss", "chief", "clerk")]


def test_preferences_hold_back_with_a_reason_and_can_ask_for_more(office):
    clerk = office.ctx("clerk")
    prefer_messages(clerk, {("club.welcome", "in_app"): False, ("club.welcome", "email"): False})
    told = {row["channel"]: row for name, row in tell(office) if name == "clerk"}
    assert {c: (r["status"], r["why"]) for c, r in told.items()} == {
        "in_app": ("suppressed", "preference"), "email": ("suppressed", "preference")}
    prefer_messages(clerk, {("club.welcome", "in_app"): True, ("club.welcome", "email"): True})
    told = {row["channel"]: row["status"] for name, row in tell(office) if name == "clerk"}
    assert told == {"in_app": "delivered", "email": "queued"}


def test_what_is_important_cannot_be_switched_off_and_unknown_kinds_are_refused(office):
    clerk = office.ctx("clerk")
    prefer_messages(clerk, {("club.alarm", "in_app"): False})
    with office.tenant.read() as conn:
        by_kind = {wish.kind: wish for wish in wishes(clerk, conn)}
    assert by_kind["club.alarm"].important and by_kind["club.alarm"].channels["in_app"] is True
    assert by_kind["club.welcome"].channels == {"in_app": True, "email": True, "sms": False, "wechat": False}
    with pytest.raises(Invalid):
        prefer_messages(clerk, {("club.nothing", "in_app"): False})
    with pytest.raises(Invalid):
        prefer_messages(clerk, {("club.alarm", "email2"): False})


def test_everybody_reads_and_marks_only_the_own_messages(office):
    tell(office)
    clerk, chief = office.ctx("clerk"), office.ctx("chief")
    with office.tenant.read() as conn:
        mine, theirs = my_messages(clerk, conn, unread=True), my_messages(chief, conn, unread=True)
        assert mine and theirs and not {n.id for n in mine} & {n.id for n in theirs}
        before = waiting(chief, conn).unread
    read_messages(clerk, [note.id for note in theirs])
    with office.tenant.read() as conn:
        assert waiting(chief, conn).unread == before
    read_messages(clerk, [mine[0].id])
    with office.tenant.read() as conn:
        assert waiting(clerk, conn).unread == len(mine) - 1 and my_messages(clerk, conn, unread=False)[0].id == mine[0].id
    read_messages(clerk)
    with office.tenant.read() as conn:
        assert waiting(clerk, conn).unread == 0 and my_messages(clerk, conn, unread=True) == []
        assert len(my_messages(clerk, conn, limit=1)) == 1 and my_messages(clerk, conn, before=1) == []


def test_counting_what_waits_is_one_statement(office):
    import sqlalchemy as sa

    clerk, seen = office.ctx("clerk"), []
    with office.tenant.read() as conn:
        sa.event.listen(conn, "before_cursor_execute", lambda *a: seen.append(a[2]))
        assert waiting(clerk, conn).todo == 0
    assert len(seen) == 1, seen


@pytest.mark.parametrize("now, end", [
    ("21:59", None), ("22:00", "2026-03-03T08:00"), ("23:59", "2026-03-03T08:00"), ("00:00", "2026-03-02T08:00"), ("07:59", "2026-03-02T08:00"),
    ("08:00", None), ("12:00", None)])
def test_quiet_hours_over_midnight(now, end):
    hours = Reach.of({"messages": {"quiet_hours": {"from": "22:00", "to": "08:00"}}}).quiet
    hour, minute = map(int, now.split(":"))
    found = end_of_quiet(NOW.replace(hour=hour, minute=minute), hours)
    assert (found.isoformat()[:16] if found else None) == end


def test_quiet_hours_within_a_day_and_none():
    lunch = Reach.of({"messages": {"quiet_hours": {"from": "12:00", "to": "13:00"}}}).quiet
    assert end_of_quiet(NOW.replace(hour=12, minute=30), lunch).hour == 13 and end_of_quiet(NOW.replace(hour=13), lunch) is None
    assert end_of_quiet(NOW, None) is None and Reach.of({}).outside == ()
