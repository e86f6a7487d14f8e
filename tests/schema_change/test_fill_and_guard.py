"""Rows that are there get the values of new fields, append-only tables are guarded by the database, and keys follow renames."""

from datetime import UTC, datetime
from decimal import Decimal
from importlib import import_module

import pytest
import sqlalchemy as sa

import metaloom.schema_change.fill as filling
from metaloom.app.invariants import examine
from metaloom.schema_change import plan_for, publish, rollback
from metaloom.storage import violation
from metaloom.storage.companions import stored_values
from tests.schema_change.test_plan_and_publish import NAME, entity, field, insert, shop, table, values

publishing = import_module("metaloom.schema_change.publish")
STAMP = datetime(2026, 1, 1, tzinfo=UTC)
AMOUNT = field("amount", "money")
TWICE = field("twice", "money", "computed: 'amount * 2'")
LEVEL = field("level", "integer", "default: '3'")


def things(*fields, more=""):
    return shop(entity("thing", "\n".join((NAME, *fields)), more))


class Killed(BaseException):
    pass


def rows(tenant, *names):
    return sorted(values(tenant, *names), key=str)


def put(tenant, **row):
    insert(tenant, **row)


# -- values of new fields -----------------------------------------------------------------------------------------------


def test_a_new_computed_field_and_a_new_default_reach_the_rows_that_are_there(tenant):
    publish(tenant, things(AMOUNT))
    with tenant.write() as conn:
        conn.execute(table(tenant).insert(), [{"name": str(n), "amount": Decimal(n), "created_at": STAMP, "updated_at": STAMP} for n in range(1200)])
    made, _ = plan_for(tenant, things(AMOUNT, TWICE, LEVEL))
    assert [step.action for step in made.of("backfill")] == ["values", "values"]
    publish(tenant, things(AMOUNT, TWICE, LEVEL))
    assert {Decimal(twice) - 2 * Decimal(amount) for amount, twice in values(tenant, "amount", "twice")} == {Decimal(0)}
    assert {level for level, in values(tenant, "level")} == {3}
    assert {version for version, in values(tenant, "row_version")} == {1}, "no row changed its version"
    assert plan_for(tenant, things(AMOUNT, TWICE, LEVEL))[0].steps == ()


def test_a_default_leaves_what_is_entered_and_a_required_one_is_no_missing_value(tenant):
    publish(tenant, things(AMOUNT, LEVEL))
    put(tenant, name="a", level=7)
    publish(tenant, things(AMOUNT))
    put(tenant, name="b")
    made, _ = plan_for(tenant, things(AMOUNT, field("level", "integer", "default: '3', required: true")))
    assert made.impacts == ()
    publish(tenant, things(AMOUNT, field("level", "integer", "default: '3', required: true")))
    assert rows(tenant, "name", "level") == [("a", 7), ("b", 3)]


def test_a_formula_reads_links_and_secrets_and_a_row_where_it_fails_stays_empty(tenant):
    other = entity("other", NAME + "\n" + field("factor", "integer"))
    link, mobile = field("other", "link", "entity: other"), field("mobile", "phone", "encrypted: true, mask: phone")
    publish(tenant, shop(other, entity("thing", "\n".join((NAME, AMOUNT, link, mobile)))))
    made = tenant.revision().catalog.entity("shop.thing")
    id = insert(tenant, "shop.other", name="o", factor=5)
    put(tenant, name="a", amount=Decimal("2.00"), other_id=id, **stored_values(made, made.fields["mobile"], "13800001111", tenant.secrets))
    put(tenant, name="b", amount=Decimal("2.00"))
    product = field("product", "money", "computed: 'amount * other.factor'")
    quotient = field("quotient", "money", "computed: 'amount / (other.factor - 5)'")
    publish(tenant, shop(other, entity("thing", "\n".join((NAME, AMOUNT, link, mobile, product, quotient)))))
    assert rows(tenant, "name", "product", "quotient") == [("a", Decimal("10.00"), None), ("b", None, None)]


@pytest.mark.parametrize("point", ["expanded", "indexed", "in the middle", "backfilled", "swapped"])
def test_a_publisher_killed_while_filling_is_continued_by_the_next(tenant, monkeypatch, point):
    publish(tenant, things(AMOUNT))
    with tenant.write() as conn:
        conn.execute(table(tenant).insert(), [{"name": str(n), "amount": Decimal(n), "created_at": STAMP, "updated_at": STAMP} for n in range(1100)])
    with monkeypatch.context() as broken:
        if point == "in the middle":
            ranges = iter((True, False))
            plain = filling._Work.range

            def dies(self, *given):
                if not next(ranges):
                    raise Killed
                return plain(self, *given)

            broken.setattr(filling._Work, "range", dies)
        else:
            def reached(here):
                if here == point:
                    raise Killed

            broken.setattr(publishing, "reached", reached)
        with pytest.raises(Killed):
            publish(tenant, things(AMOUNT, TWICE))
    publish(tenant, things(AMOUNT, TWICE, field("more", "text")))
    assert {Decimal(twice) - 2 * Decimal(amount) for amount, twice in values(tenant, "amount", "twice")} == {Decimal(0)}


def test_a_row_written_by_the_old_revision_meanwhile_is_caught_up(tenant, monkeypatch):
    publish(tenant, things(AMOUNT))
    put(tenant, name="before", amount=Decimal("1.00"))

    def reached(point):
        if point == "validated":
            put(tenant, name="meanwhile", amount=Decimal("4.00"))

    monkeypatch.setattr(publishing, "reached", reached)
    publish(tenant, things(AMOUNT, TWICE, LEVEL))
    assert rows(tenant, "name", "twice", "level") == [("before", Decimal("2.00"), 3), ("meanwhile", Decimal("8.00"), 3)]


def test_values_arrive_also_where_columns_are_renamed_in_the_same_publish(tenant):
    publish(tenant, things(AMOUNT))
    put(tenant, name="a", amount=Decimal("3.00"))
    publish(tenant, things(field("sum", "money"), field("twice", "money", "computed: 'sum * 2'"), more="renamed_fields: {sum: amount}"))
    assert rows(tenant, "sum", "twice") == [(Decimal("3.00"), Decimal("6.00"))]


# -- append-only tables -------------------------------------------------------------------------------------------------


def guarded(*more, name="thing"):
    return shop(entity(name, "\n".join((NAME, *more)), "append_only: true\n  delete: never"))


def refused(tenant, statement, address="shop.thing"):
    with pytest.raises(sa.exc.DBAPIError) as wrong, tenant.write() as conn:
        conn.execute(statement)
    found = violation(wrong.value)
    return found.kind, found.table


@pytest.mark.parametrize("when", ["from the start", "later"])
def test_the_database_refuses_to_change_or_delete_rows_of_an_append_only_table(tenant, when):
    if when == "later":
        publish(tenant, things())
        put(tenant, name="old")
    publish(tenant, guarded())
    put(tenant, name="a")
    here = table(tenant)
    name = here.name
    assert refused(tenant, here.update().values(name="b")) == ("append_only", name)
    assert refused(tenant, here.delete()) == ("append_only", name)
    if tenant.dialect == "postgresql":
        with pytest.raises(sa.exc.DBAPIError), tenant.ddl() as conn:
            conn.execute(sa.text(f'TRUNCATE "{name}"'))
    assert "a" in {found for found, in values(tenant, "name")}
    assert plan_for(tenant, guarded())[0].steps == ()


def pages(tenant):
    """The page of each row (PostgreSQL)."""
    with tenant.read() as conn:
        return dict(conn.execute(sa.text(f"SELECT id, split_part(ctid::text, ',', 1) FROM {table(tenant).name}")).all())  # noqa: S608


@pytest.mark.parametrize("when", ["from the start", "later"])
def test_rows_that_change_often_find_room_beside_the_old_version(tenant, when):
    """Then a change of a field without an index touches no index. SQLite changes rows in place anyway."""
    often = shop(entity("thing", NAME, "often_changed: true"))
    if when == "later":
        publish(tenant, things())
    publish(tenant, often)
    assert plan_for(tenant, often)[0].steps == ()
    with tenant.write() as conn:
        conn.execute(table(tenant).insert(), [{"name": f"n{n}", "row_version": 1, "created_at": STAMP, "updated_at": STAMP} for n in range(300)])
    before = pages(tenant) if tenant.dialect == "postgresql" else None
    with tenant.write() as conn:
        conn.execute(table(tenant).update().values(updated_at=datetime(2026, 1, 2, tzinfo=UTC)))
    if before is not None:
        assert len(set(before.values())) > 2 and pages(tenant) == before
    plan = plan_for(tenant, things())[0]
    assert [step.action for step in plan.steps] == (["room"] if tenant.dialect == "postgresql" else [])
    publish(tenant, things())
    assert plan_for(tenant, things())[0].steps == ()


def test_the_guard_goes_and_comes_with_the_metadata_and_with_a_rollback(tenant):
    first = publish(tenant, guarded()).number
    put(tenant, name="a")
    second = publish(tenant, things()).number
    with tenant.write() as conn:
        conn.execute(table(tenant).update().values(name="b"))
    rollback(tenant, first)
    assert refused(tenant, table(tenant).update().values(name="c"))[0] == "append_only"
    rollback(tenant, second)
    with tenant.write() as conn:
        conn.execute(table(tenant).delete())
    assert values(tenant, "name") == []


def test_the_guard_steps_aside_for_the_publish_alone(tenant):
    """New values are filled in, a text is cut by an explicit word, the table gets another name: guarded before and after."""
    publish(tenant, guarded(AMOUNT, field("note", "text", "length: 20")))
    put(tenant, name="a", amount=Decimal("1.00"), note="0123456789")
    publish(tenant, guarded(AMOUNT, TWICE, field("note", "text", "length: 5")), allow=("narrow:shop.thing/note",))
    assert rows(tenant, "twice", "note") == [(Decimal("2.00"), "01234")]
    assert refused(tenant, table(tenant).update().values(name="b"))[0] == "append_only"
    publish(tenant, shop(entity("item", "\n".join((NAME, AMOUNT, TWICE, field("note", "text", "length: 5"))),
                                "append_only: true\n  delete: never\n  renamed_from: thing")))
    item = tenant.revision().tables.of("shop.item")
    assert refused(tenant, item.update().values(name="b")) == ("append_only", item.name)
    assert refused(tenant, item.delete()) == ("append_only", item.name)


# -- foreign keys -------------------------------------------------------------------------------------------------------


def keys(tenant):
    with tenant.read() as conn:
        return {(key["constrained_columns"][0], key["name"]) for name in ("shop__thing", "shop__item") if sa.inspect(conn).has_table(name)
                for key in sa.inspect(conn).get_foreign_keys(name)}


@pytest.mark.postgres
@pytest.mark.parametrize("database", ["postgresql"], indirect=True)
def test_a_foreign_key_is_called_after_its_table_and_column(tenant):
    """SQLite's foreign keys have no names."""
    other = entity("other", NAME)

    def linked(name, *fields, called="thing", more=""):
        return shop(other, entity(called, "\n".join((NAME, field(name, "link", "entity: other"), *fields)), more))

    publish(tenant, linked("first"))
    assert keys(tenant) == {("first_id", "shop__thing__first_id__fk")}
    publish(tenant, linked("second", more="renamed_fields: {second: first}"))
    assert keys(tenant) == {("second_id", "shop__thing__second_id__fk")}
    publish(tenant, linked("second", field("first", "link", "entity: other"), called="item", more="renamed_from: thing"))
    assert keys(tenant) == {("second_id", "shop__item__second_id__fk"), ("first_id", "shop__item__first_id__fk")}
    with tenant.ddl() as conn:
        conn.execute(sa.text('ALTER TABLE "shop__item" RENAME CONSTRAINT "shop__item__first_id__fk" TO "shop__thing__first_id__fk"'))
    made, _ = plan_for(tenant, linked("second", field("first", "link", "entity: other"), called="item", more="renamed_from: thing"))
    assert [step.action for step in made.steps] == ["rename_key"]


# -- links that are looked up statement by statement --------------------------------------------------------------------


def day_of_things(in_sets=True, thing="delete: never", called="day", target="thing", more=""):
    journal = "append_only: true\n  delete: never\n  bulk: journal\n  unique: {one: {fields: [thing, held_on], message: {zh: 已有, en: There}}}"
    links = (field(name, "link", f"entity: {target}") for name in ("thing", "other"))
    return shop(entity(target, NAME, thing), entity(called, "\n".join((NAME, *links, field("held_on", "date"))),
                journal + ("\n  checked_in_sets: [thing, other]" if in_sets else "") + more))


def days(tenant, *pairs, address="shop.day"):
    with tenant.write() as conn:
        conn.execute(tenant.revision().tables.of(address).insert(), [
            {"name": "d", "thing_id": one, "other_id": two, "row_version": 1, "created_at": STAMP, "updated_at": STAMP} for one, two in pairs])


def pointing_nowhere(tenant, *pairs, address="shop.day"):
    with pytest.raises(sa.exc.DBAPIError) as wrong:
        days(tenant, *pairs, address=address)
    found = violation(wrong.value)
    return found.kind, found.columns


def held_by(tenant, name="shop__day"):
    """The foreign keys of the table, and whether the trigger looks in their place (PostgreSQL)."""
    with tenant.read() as conn:
        there = {key["constrained_columns"][0] for key in sa.inspect(conn).get_foreign_keys(name)}
        looks = conn.scalar(sa.text("SELECT count(*) FROM pg_trigger WHERE tgname LIKE :name AND tgrelid = CAST(:owner AS regclass)"),
                            {"name": "%look_up", "owner": name}) if tenant.dialect == "postgresql" else 0
    return there, looks


@pytest.mark.parametrize("when", ["from the start", "later"])
def test_links_checked_in_sets_are_held_without_a_foreign_key(tenant, when):
    if when == "later":
        publish(tenant, day_of_things(in_sets=False))
        days(tenant, (None, None))
    publish(tenant, day_of_things())
    put(tenant, name="a")
    put(tenant, name="b")
    days(tenant, (1, 2), (2, None), (1, 1))
    days(tenant, (None, 2))
    columns = ("thing_id",) if tenant.dialect == "postgresql" else ()
    assert pointing_nowhere(tenant, (1, 1), (7, 1)) == ("foreign_key", columns)
    assert pointing_nowhere(tenant, (1, 1), (None, 9))[0] == "foreign_key"
    assert pointing_nowhere(tenant, (5, None)) == ("foreign_key", columns)
    assert held_by(tenant) == ((set(), 1) if tenant.dialect == "postgresql" else ({"thing_id", "other_id"}, 0))
    assert plan_for(tenant, day_of_things())[0].steps == ()


def test_foreign_keys_come_back_with_a_rollback_and_go_again(tenant):
    first = publish(tenant, day_of_things(in_sets=False)).number
    put(tenant, name="a")
    second = publish(tenant, day_of_things()).number
    days(tenant, (1, None))
    rollback(tenant, first)
    assert held_by(tenant) == ({"thing_id", "other_id"}, 0) and pointing_nowhere(tenant, (5, 1))[0] == "foreign_key"
    assert plan_for(tenant, day_of_things(in_sets=False))[0].steps == ()
    rollback(tenant, second)
    assert pointing_nowhere(tenant, (5, 1))[0] == "foreign_key"
    if tenant.dialect == "postgresql":
        assert held_by(tenant) == (set(), 1)
        with tenant.read() as conn:
            assert not conn.scalar(sa.text("SELECT count(*) FROM pg_constraint WHERE contype = 'f' AND NOT convalidated"))


def test_links_checked_in_sets_follow_a_renamed_table_and_target(tenant):
    publish(tenant, day_of_things())
    put(tenant, name="a")
    renamed = day_of_things(thing="delete: never\n  renamed_from: thing", called="morning", target="item", more="\n  renamed_from: day")
    publish(tenant, renamed)
    assert plan_for(tenant, renamed)[0].steps == ()
    days(tenant, (1, 1), address="shop.morning")
    assert pointing_nowhere(tenant, (5, 1), address="shop.morning")[0] == "foreign_key"


def test_an_index_that_begins_as_the_unique_rule_does_is_not_made(tenant):
    """Rows that come in masses pay for every index."""
    publish(tenant, day_of_things())
    with tenant.read() as conn:
        there = {tuple(index["column_names"]) for index in sa.inspect(conn).get_indexes("shop__day")}
    assert ("thing_id", "held_on") in there and ("other_id", "id") in there and ("thing_id", "id") not in there


@pytest.mark.postgres
@pytest.mark.parametrize("database", ["postgresql"], indirect=True)
def test_the_doctor_finds_what_points_nowhere(tenant):
    publish(tenant, day_of_things())
    put(tenant, name="a")
    days(tenant, (1, None))

    def links():
        return next(one for one in examine(tenant) if one.name == "links")

    assert (links().rows, links().holds) == (2, True)
    with tenant.ddl() as conn:
        conn.execute(sa.text('ALTER TABLE "shop__day" DISABLE TRIGGER "shop__day__look_up"'))
        conn.execute(table(tenant, "shop.day").insert().values(name="d", thing_id=7, row_version=1, created_at=STAMP, updated_at=STAMP))
    assert links().first == ("shop.day 2 points to shop.thing 7, which is not there",)
