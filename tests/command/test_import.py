"""Imports: dry run, all or nothing, good rows only; the form's rules hold."""

from decimal import Decimal

import pytest

from metaloom.base.errors import Invalid, NotAllowed, NotPossible, Problem
from metaloom.base.messages import message
from metaloom.command import import_records
from metaloom.record.schema import PartlyRead

MEMBER = "club.member"


def rows_for(club):
    return [club.values(email="i1@example.com"), club.values(fee=Decimal("0")), club.values(email="i1@example.com"),
            club.values(status="active"), Invalid([Problem("fee", message("record.not_number"))]), club.values()]


def test_a_dry_run_tells_everything_and_keeps_nothing(club):
    before = club.dump()
    found = import_records(club.ctx("clerk"), MEMBER, rows_for(club), "dry_run")
    assert (found.created, found.good) == ((), 2)
    assert [(p.row, p.problem.field) for p in found.problems] == [(2, "fee"), (3, "email"), (4, "status"), (5, "fee")]
    assert club.dump() == before


def test_a_row_that_holds_what_an_earlier_row_holds_names_that_row(club):
    rows = [club.values(email="twin@example.com"), club.values(), club.values(email="twin@example.com")]
    for numbers, row in (((4, 5, 7), "4"), ((), "1")):
        [told] = import_records(club.ctx("clerk"), MEMBER, rows, "dry_run", numbers=numbers).problems
        assert (told.row, told.problem.field) == (3, "email")
        assert f"第 {row} 行" in told.problem.message.say("zh") and f"row {row} of the file" in told.problem.message.say("en")
    import_records(club.ctx("clerk"), MEMBER, rows[:1], "all")
    stays = import_records(club.ctx("clerk"), MEMBER, rows, "dry_run").problems
    assert [p.row for p in stays] == [1, 3] and not any("行" in p.problem.message.say("zh") for p in stays)


def test_a_row_that_cannot_be_read_whole_tells_what_is_wrong_with_the_rest_of_it_too(club):
    unread = PartlyRead([Problem("fee", message("record.not_number"))], {**club.values(status="active"), "fee": None})
    found = import_records(club.ctx("clerk"), MEMBER, [unread, club.values()], "good_rows")
    assert {(p.row, p.problem.field) for p in found.problems} == {(1, "fee"), (1, "status")} and len(found.created) == 1
    found = import_records(club.ctx("clerk"), MEMBER, [PartlyRead([Problem("fee", message("record.not_number"))], club.values())], "good_rows")
    assert [p.problem.field for p in found.problems] == ["fee"] and not found.created


def test_all_or_nothing(club):
    before = club.dump()
    assert import_records(club.ctx("clerk"), MEMBER, rows_for(club), "all").created == ()
    assert club.dump() == before
    found = import_records(club.ctx("clerk"), MEMBER, [club.values(), club.values()], "all")
    assert len(found.created) == 2
    assert not found.problems
    assert {row["channel"] for row in club.engine_rows("audit")[-2:]} == {"import"}


def test_good_rows_only(club):
    count = club.number_of(MEMBER)
    found = import_records(club.ctx("clerk"), MEMBER, rows_for(club), "good_rows")
    assert (len(found.created), len(found.problems)) == (2, 4)
    assert club.number_of(MEMBER) == count + 2


def test_the_right_the_mode_and_the_size_are_asked(club):
    with pytest.raises(NotAllowed):
        import_records(club.ctx("guest"), MEMBER, [club.values()], "all")
    with pytest.raises(Invalid):
        import_records(club.ctx("clerk"), MEMBER, [], "nonsense")
    with pytest.raises(NotPossible):
        import_records(club.ctx("clerk"), MEMBER, [{}] * 5001, "dry_run")
