"""Changing, archiving, restoring, deleting and handing over."""

from decimal import Decimal

import pytest

from metaloom.base.errors import Invalid, NotAllowed, NotFound, NotPossible, Stale
from metaloom.command import (
    archive_record,
    change_record,
    create_record,
    delete_record,
    restore_record,
    run_action,
    transfer_record,
)

MEMBER = "club.member"


def problems(refusal):
    return {problem.field for problem in refusal.value.problems}


def test_a_change_writes_what_differs_and_one_audit_row(club):
    made = club.new(contacts=[{"name": "甲"}])
    rows = len(club.engine_rows("audit"))
    done = change_record(club.ctx("clerk"), MEMBER, made.id, {"name": "新名", "fee": Decimal("50.00")}, made.row_version)
    row = club.row(MEMBER, made.id)
    assert (row["name"], row["fee"], row["yearly"], row["row_version"]) == ("新名", Decimal("50.00"), Decimal("600.00"), 2)
    assert done.row_version == 2
    audit = club.engine_rows("audit")[rows:]
    assert len(audit) == 1
    assert audit[0]["after"] == {"name": "新名", "fee": {"decimal": "50.00"}, "yearly": {"decimal": "600.00"}}
    assert audit[0]["before"]["fee"] == {"decimal": "100.00"}
    assert (audit[0]["actor_id"], audit[0]["channel"], audit[0]["command"]) == (club.people["clerk"], "screen", "change")


def test_equal_values_write_nothing(club):
    made = club.new()
    before = club.dump()
    done = change_record(club.ctx("clerk"), MEMBER, made.id, {"fee": Decimal("100.0"), "level": "plain"}, 1)
    assert done.row_version == 1
    assert club.dump() == before


@pytest.mark.parametrize("version", [None, 0, 2, 99])
def test_a_stale_version_is_refused_with_the_present_values(club, version):
    made = club.new()
    with pytest.raises(Stale) as refusal:
        change_record(club.ctx("clerk"), MEMBER, made.id, {"name": "x"}, version)
    assert refusal.value.row_version == 1
    assert refusal.value.current.values["fee"] == Decimal("100.00")


@pytest.mark.parametrize(("name", "value"), [
    ("status", "active"), ("balance", Decimal("5")), ("yearly", Decimal("5")), ("member_no", "HY1"), ("created_by", 1), ("id", 7),
    ("row_version", 9), ("company", 2), ("owner", 2), ("admitted_by", 1), ("nonsense", 1), ("rating", 3), ("archived_at", None),
])
def test_mass_assignment_by_change_is_refused_and_the_row_stays(club, name, value):
    made = club.new()
    before = club.row(MEMBER, made.id)
    if before.get(name, "?") == value or before.get(f"{name}_id", "?") == value:
        value = 10**6
    if name == "archived_at":
        value = "2026-01-01T00:00:00Z"
    with pytest.raises(Invalid) as refusal:
        change_record(club.ctx("clerk"), MEMBER, made.id, {name: value}, 1)
    assert problems(refusal) == {name}
    assert club.row(MEMBER, made.id) == before


def test_a_record_outside_the_own_rows_does_not_exist_for_the_person(club):
    made = club.new()
    for person in ("stranger", "far_chief", "guest"):
        with pytest.raises((NotFound, NotAllowed)) as theirs:
            change_record(club.ctx(person), MEMBER, made.id, {"name": "x"}, 1)
        with pytest.raises((NotFound, NotAllowed)) as nobodys:
            change_record(club.ctx(person), MEMBER, 10**9, {"name": "x"}, 1)
        assert theirs.value.message == nobodys.value.message
    assert club.row(MEMBER, made.id)["row_version"] == 1


def test_a_state_that_is_not_editable_refuses_the_form_by_name(club):
    member = club.active()
    with pytest.raises(NotPossible) as refusal:
        change_record(club.ctx("clerk"), MEMBER, member, {"name": "x"}, club.version(member))
    assert "Active" in refusal.value.message.say("en")


def test_rules_look_at_the_whole_record_when_one_field_changes(club):
    made = club.new()
    other = create_record(club.ctx("chief"), "club.plan", {"code": f"B{made.id}", "name": "乙", "fee_min": Decimal("1"), "fee_max": Decimal("50")})
    with pytest.raises(Invalid) as refusal:
        change_record(club.ctx("clerk"), MEMBER, made.id, {"plan": other.id}, 1)
    assert problems(refusal) == {"fee"}
    done = change_record(club.ctx("clerk"), MEMBER, made.id, {"plan": other.id, "fee": Decimal("50")}, 1)
    assert done.row_version == 2


def test_an_invisible_field_keeps_its_value_and_takes_no_other(club):
    made = club.new(level="gold", gift=Decimal("9.00"))
    done = change_record(club.ctx("clerk"), MEMBER, made.id, {"level": "plain", "gift": Decimal("9.00")}, 1)
    with pytest.raises(Invalid) as refusal:
        change_record(club.ctx("clerk"), MEMBER, made.id, {"gift": Decimal("10.00")}, done.row_version)
    assert problems(refusal) == {"gift"}
    with pytest.raises(Invalid):
        change_record(club.ctx("clerk"), MEMBER, made.id, {"level": "gold", "gift": None}, done.row_version)


def test_child_rows_are_replaced_as_a_whole_and_parents_recomputed(club):
    made = club.new(contacts=[{"name": "甲", "share": 10}, {"name": "乙", "share": 20}])
    ids = [row["id"] for row in rows_of(club, made.id)]
    change_record(club.ctx("clerk"), MEMBER, made.id, {"contacts": [{"id": ids[1], "name": "乙", "share": 25}, {"name": "丙", "share": 5}]}, 1)
    rows = rows_of(club, made.id)
    assert [(row["name"], row["share"], row["worth"]) for row in rows] == [("乙", 25, Decimal("25.00")), ("丙", 5, Decimal("5.00"))]
    assert rows[0]["id"] == ids[1]
    assert club.row(MEMBER, made.id)["shares"] == 30


def test_child_rows_of_another_record_are_not_found(club):
    ours, theirs = club.new(), club.new(contacts=[{"name": "甲"}])
    foreign = rows_of(club, theirs.id)[0]["id"]
    with pytest.raises(Invalid) as refusal:
        change_record(club.ctx("clerk"), MEMBER, ours.id, {"contacts": [{"id": foreign, "name": "x"}]}, 1)
    assert problems(refusal) == {"contacts.0.id"}
    assert rows_of(club, theirs.id)[0]["name"] == "甲"


def test_a_stale_child_row_and_a_doubled_child_row_are_refused(club):
    made = club.new(contacts=[{"name": "甲"}])
    child = rows_of(club, made.id)[0]["id"]
    with pytest.raises(Stale):
        change_record(club.ctx("clerk"), MEMBER, made.id, {"contacts": [{"id": child, "row_version": 7, "name": "x"}]}, 1)
    with pytest.raises(Invalid):
        change_record(club.ctx("clerk"), MEMBER, made.id, {"contacts": [{"id": child, "name": "x"}, {"id": child, "name": "y"}]}, 1)


def rows_of(club, member):
    import sqlalchemy as sa
    with club.tenant.read() as conn:
        table = club.tenant.revision().tables.of("club.contact")
        return [dict(r) for r in conn.execute(sa.select(table).where(table.c.member_id == member).order_by(table.c.id)).mappings()]


def test_archive_and_restore_keep_the_values(club):
    made = club.new()
    done = archive_record(club.ctx("clerk"), MEMBER, made.id, 1, "twice entered")
    assert club.row(MEMBER, made.id)["archived_at"] is not None
    assert club.engine_rows("audit")[-1]["reason"] == "twice entered"
    with pytest.raises(NotPossible):
        change_record(club.ctx("clerk"), MEMBER, made.id, {"name": "x"}, done.row_version)
    with pytest.raises(NotPossible):
        archive_record(club.ctx("clerk"), MEMBER, made.id, done.row_version)
    with pytest.raises(Invalid):
        club.new(referrer=made.id)
    back = restore_record(club.ctx("clerk"), MEMBER, made.id, done.row_version)
    assert club.row(MEMBER, made.id)["archived_at"] is None
    with pytest.raises(NotPossible):
        restore_record(club.ctx("clerk"), MEMBER, made.id, back.row_version)


def test_restore_does_not_bring_back_a_value_that_is_taken_meanwhile(club):
    made = club.new(email="gone@example.com")
    done = archive_record(club.ctx("clerk"), MEMBER, made.id, 1)
    club.new(email="gone@example.com")
    with pytest.raises(Invalid) as refusal:
        restore_record(club.ctx("clerk"), MEMBER, made.id, done.row_version)
    assert problems(refusal) == {"email"}


def test_a_record_in_work_is_not_archived(club):
    member = club.active()
    with pytest.raises(NotPossible):
        archive_record(club.ctx("clerk"), MEMBER, member, club.version(member))


def test_physical_deletion_is_refused_while_others_refer_and_names_them(club):
    with pytest.raises(NotPossible) as refusal:
        delete_record(club.ctx("chief"), "club.plan", club.plan, club.version(club.plan, "club.plan"))
    assert "Member" in refusal.value.message.say("en")
    free = create_record(club.ctx("chief"), "club.plan", {"code": "FREE", "name": "空", "fee_min": Decimal("1"), "fee_max": Decimal("2")})
    delete_record(club.ctx("chief"), "club.plan", free.id, 1)
    assert club.number_of("club.plan", code="FREE") == 0
    assert club.engine_rows("audit")[-1]["before"]["code"] == "FREE"


@pytest.mark.parametrize(("verb", "entity"), [(delete_record, MEMBER), (archive_record, "club.plan"), (delete_record, "club.fee"),
                                              (archive_record, "club.fee"), (archive_record, "club.payout"), (delete_record, "platform.user")])
def test_what_the_entity_does_not_allow_is_not_possible(club, verb, entity):
    with pytest.raises(NotPossible):
        verb(club.ctx("chief"), entity, 1, 1)


def test_append_only_rows_never_change(club):
    member = club.active()
    run_action(club.ctx("chief"), MEMBER, member, "charge", {}, club.version(member), "due")
    with pytest.raises(NotPossible):
        change_record(club.system, "club.fee", 1, {"memo": "x"}, 1)


def test_handing_over_needs_its_own_right_and_a_fitting_unit(club):
    made = club.new()
    with pytest.raises(NotAllowed):
        transfer_record(club.ctx("clerk"), MEMBER, made.id, user=club.people["boss"])
    transfer_record(club.ctx("chief"), MEMBER, made.id, user=club.people["boss"])
    assert club.row(MEMBER, made.id)["owner_id"] == club.people["boss"]
    with pytest.raises(Invalid) as refusal:
        transfer_record(club.ctx("chief"), MEMBER, made.id, org_unit=club.far)
    assert problems(refusal) == {"org_unit"}
    with pytest.raises(Invalid):
        transfer_record(club.ctx("chief"), MEMBER, made.id, user=10**9)
    transfer_record(club.ctx("chief"), MEMBER, made.id, company=club.south, org_unit=club.far)
    with pytest.raises(NotFound):
        change_record(club.ctx("clerk"), MEMBER, made.id, {"name": "x"}, 4)
