"""Creating records: what is filled in, what is refused, and that a refusal leaves nothing."""

from datetime import date
from decimal import Decimal

import pytest

from metaloom.base.errors import Invalid, NotAllowed, NotPossible
from metaloom.base.identity import id_card_check_digit
from metaloom.command import archive_record, create_record
from tests.command.club import ID_CARDS, TODAY
from tests.record.world import statements

UNIQUE_CARD = "11010119900101000" + id_card_check_digit("11010119900101000")


def problems(refusal):
    return {problem.field for problem in refusal.value.problems}


def test_defaults_numbers_state_owner_and_computed_values_are_filled_in(club):
    made = club.new(id_no=ID_CARDS[0], contacts=[{"name": "甲", "share": 30}, {"name": "乙"}])
    row = club.row("club.member", made.id)
    assert made.row_version == 1
    assert row["member_no"].startswith(f"HY{TODAY:%Y%m%d}")
    assert (row["status"], row["level"], row["joined_on"], row["balance"]) == ("draft", "plain", TODAY, Decimal("0.00"))
    assert (row["company_id"], row["org_unit_id"], row["owner_id"]) == (club.north, club.desk, club.people["clerk"])
    assert (row["yearly"], row["shares"], row["birthday"]) == (Decimal("1200.00"), 40, date(1949, 12, 31))
    assert row["created_by"] == club.people["clerk"]
    assert row["id_no"] != ID_CARDS[0]
    assert club.number_of("club.contact", member_id=made.id) == 2


def test_numbers_of_a_gapless_series_follow_each_other_also_after_a_refusal(club):
    first = club.row("club.member", club.new().id)["member_no"]
    with pytest.raises(Invalid):
        club.new(fee=Decimal("9999.00"))
    second = club.row("club.member", club.new().id)["member_no"]
    assert int(second[-4:]) == int(first[-4:]) + 1


@pytest.mark.parametrize(("values", "field"), [
    ({"fee": Decimal("0.00")}, "fee"), ({"fee": Decimal("-5")}, "fee"), ({"fee": Decimal("NaN")}, "fee"),
    ({"fee": Decimal("0.001")}, "fee"), ({"fee": True}, "fee"), ({"fee": 1.5}, "fee"), ({"fee": None}, "fee"),
    ({"fee": Decimal("500.01")}, "fee"), ({"fee": Decimal("1E+30")}, "fee"),
    ({"name": ""}, "name"), ({"name": None}, "name"), ({"name": "x" * 41}, "name"), ({"name": "a\x00b"}, "name"),
    ({"level": "none"}, "level"), ({"level": "old"}, "level"), ({"email": "nonsense"}, "email"),
    ({"id_no": "123"}, "id_no"), ({"plan": 999_999}, "plan"), ({"plan": "x"}, "plan"), ({"plan": -1}, "plan"),
    ({"joined_on": "2026-02-30"}, "joined_on"), ({"gift": Decimal("5.00")}, "gift"), ({"level": "gold"}, "gift"),
    ({"birthday": date(2027, 1, 1)}, "birthday"), ({"contacts": [{"name": "甲", "share": 101}]}, "contacts.0.share"),
    ({"contacts": [{"share": 5}]}, "contacts.0.name"), ({"contacts": "x"}, "contacts"),
    ({"contacts": [{"name": "甲", "worth": Decimal("1")}]}, "contacts.0.worth"),
    ({"contacts": [{"name": "甲", "member": 1}]}, "contacts.0.member"), ({"contacts": [{"id": 5, "name": "x"}]}, "contacts.0.id"),
])
def test_a_value_that_breaks_a_rule_is_named_and_nothing_is_stored(club, values, field):
    before = club.dump()
    with pytest.raises(Invalid) as refusal:
        club.new(**values)
    assert field in problems(refusal), refusal.value.problems
    assert club.dump() == before


@pytest.mark.parametrize("name", [
    "id", "row_version", "created_by", "created_at", "updated_by", "status", "balance", "yearly", "member_no", "admitted_by",
    "archived_at", "company_id", "tenant_id", "nonsense", "rating", "company", "owner", "org_unit",
])
def test_mass_assignment_is_refused_field_by_field(club, name):
    before = club.dump()
    value = {"company": club.south, "owner": club.people["stranger"], "org_unit": club.far, "status": "active"}.get(name, 7)
    with pytest.raises(Invalid) as refusal:
        club.new(**{name: value})
    assert problems(refusal) == {name}
    assert club.dump() == before


def test_the_right_to_hand_over_may_name_another_owner(club):
    made = create_record(club.ctx("chief"), "club.member", club.values(owner=club.people["clerk"]))
    assert club.row("club.member", made.id)["owner_id"] == club.people["clerk"]
    with pytest.raises(NotAllowed):
        create_record(club.ctx("chief"), "club.member", club.values(company=club.south, org_unit=club.far))


def test_a_link_outside_the_own_rows_is_not_found(club):
    theirs = create_record(club.ctx("stranger"), "club.member", club.values())
    ours = club.new()
    before = club.dump()
    with pytest.raises(Invalid) as refusal:
        club.new(referrer=theirs.id)
    foreign = refusal.value.problems
    with pytest.raises(Invalid) as refusal:
        club.new(referrer=10**9)
    assert foreign == refusal.value.problems
    assert club.dump() == before
    assert club.row("club.member", club.new(referrer=ours.id).id)["referrer_id"] == ours.id


def test_a_link_is_read_once_and_the_new_row_judged_by_its_values(club):
    """What was read tells whether the person may see it: beside the two rows that are linked and the two that are written nothing is asked of them."""
    ours = club.new()
    with club.tenant.write() as conn:
        pass
    with statements(conn) as sent:
        club.new(referrer=ours.id)
    about = [" ".join(one.split())[:60] for one in sent if "club__member" in one and "ml_audit" not in one]
    assert [one.split()[0] for one in about] == ["SELECT", "INSERT"], about


def test_an_archived_link_is_not_taken_also_where_its_values_are_at_hand(club):
    gone = club.new()
    archive_record(club.ctx("chief"), "club.member", gone.id, gone.row_version)
    with pytest.raises(Invalid) as refusal:
        club.new(referrer=gone.id)
    assert problems(refusal) == {"referrer"}


def test_a_link_filter_holds_on_the_server_too(club):
    off = create_record(club.ctx("chief"), "club.plan", {
        "code": "OFF", "name": "停售", "fee_min": Decimal("1"), "fee_max": Decimal("500"), "on_sale": False})
    with pytest.raises(Invalid) as refusal:
        club.new(plan=off.id)
    assert problems(refusal) == {"plan"}


def test_the_rule_speaks_with_the_values_of_the_linked_record(club):
    with pytest.raises(Invalid) as refusal:
        club.new(fee=Decimal("600.00"))
    assert refusal.value.problems[0].message.say("zh") == "会费须在 1.00 与 500.00 之间"


def test_the_same_unique_value_twice_is_told_in_the_words_of_the_rule(club):
    club.new(email="a@example.com")
    with pytest.raises(Invalid) as refusal:
        club.new(email="a@example.com")
    assert [p.message.say("en") for p in refusal.value.problems] == ["This e-mail is taken"]
    club.new(id_no=UNIQUE_CARD)
    with pytest.raises(Invalid) as refusal:
        club.new(id_no=UNIQUE_CARD)
    assert problems(refusal) == {"id_no"}


def test_who_may_not_create_is_told_which_right_is_missing(club):
    before = club.dump()
    with pytest.raises(NotAllowed) as refusal:
        create_record(club.ctx("guest"), "club.member", club.values())
    assert "Member" in refusal.value.message.say("en")
    assert club.dump() == before


def test_engine_rows_child_rows_and_unknown_entities_are_no_business_of_create(club):
    for entity in ("platform.user", "platform.audit_entry", "club.contact", "club.nothing"):
        with pytest.raises((NotPossible, NotAllowed)):
            create_record(club.ctx("chief"), entity, {"name": "x"})
        with pytest.raises(NotPossible):
            create_record(club.system, entity, {"name": "x"})
