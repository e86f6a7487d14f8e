"""From catalog to catalog: values are kept, losses need a word, bad rows are counted."""

from dataclasses import replace
from decimal import Decimal

import pytest
import sqlalchemy as sa

from metaloom.base.diagnostic import MetadataRefused
from metaloom.base.errors import Conflict, NotFound
from metaloom.schema_change import PlanRefused, apply, plan_for, publish, rollback, sources_of, with_site_layer
from metaloom.schema_change.publish import Author
from metaloom.storage import violation
from metaloom.storage.columns import NAME_BYTES_MAX
from metaloom.storage.companions import blind_value, stored_values
from metaloom.storage.engine import layout, revision
from metaloom.storage.engine import publish as journal
from metaloom.storage.types import utc_now
from tests.storage.sources import NAME, PACK, entity, label, shop


def thing(fields="", more="", top=""):
    return shop(entity("thing", f"{NAME}\n{fields}", more, top))


def table(tenant, address="shop.thing"):
    return tenant.revision().tables.of(address)


def insert(tenant, address="shop.thing", **values):
    with tenant.write() as conn:
        made = table(tenant, address).insert().values(created_at=utc_now(), updated_at=utc_now(), **values)
        return conn.scalar(made.returning(table(tenant, address).c.id))


def values(tenant, *columns, address="shop.thing"):
    found = table(tenant, address)
    with tenant.read() as conn:
        return conn.execute(sa.select(*(found.c[column] for column in columns)).order_by(found.c.id)).all()


def physical(tenant, name="shop__thing"):
    with tenant.read() as conn:
        return {column["name"] for column in sa.inspect(conn).get_columns(name)}


def field(name, kind, more=""):
    return f"{name}: {{type: {kind}, {more}{', ' if more else ''}{label(name)}}}"


ALL_TYPES = "\n".join([
    field("a", "text", "length: 60"), field("b", "long_text"), field("c", "integer"), field("d", "decimal"), field("e", "money"),
    field("f", "rate"), field("g", "date"), field("h", "datetime"), field("i", "time"), field("j", "boolean"), field("k", "json"),
    field("l", "phone"), field("m", "email"), field("n", "id_card"), field("o", "bank_card"), field("p", "credit_code"),
    field("q", "colour"), field("r", "tags"), field("s", "url"), field("t", "region"), field("u", "rich_text"),
    field("v", "attachment"), field("w", "image"),
])  # fmt: skip


def test_on_postgresql_what_is_found_by_stands_before_what_has_any_length(tenant):
    fields = ("story", "long_text"), ("seen", "boolean"), ("price", "money"), ("due", "date")
    publish(tenant, thing("\n".join(field(*one) for one in fields), "indexes: {by_due: {fields: [due]}}"))
    with tenant.read() as conn:
        order = [column["name"] for column in sa.inspect(conn).get_columns("shop__thing")]
    own = [one for one in order if one in {"name", *(one for one, _ in fields)}]
    assert own == (["due", "seen", "name", "story", "price"] if tenant.dialect == "postgresql" else ["name", "story", "seen", "price", "due"])
    stamps = [order.index(one) for one in ("row_version", "updated_at", "updated_by")]
    assert (order.index("seen") < min(stamps) and max(stamps) < order.index("name")) == (tenant.dialect == "postgresql"), "what changes stands together"


def test_every_field_type_gets_a_column_and_a_second_plan_is_empty(tenant):
    publish(tenant, thing(ALL_TYPES))
    assert set("abcdefghijklmnopqrstuvw") <= physical(tenant)
    made, _ = plan_for(tenant, thing(ALL_TYPES))
    assert made.steps == ()
    assert made.impacts == ()


def test_publishing_the_same_sources_again_makes_no_revision(tenant):
    first = publish(tenant, thing())
    assert publish(tenant, thing()).number == first.number == 1
    with tenant.read() as conn:
        assert conn.scalar(sa.select(sa.func.count()).select_from(revision)) == 1


def test_a_revision_keeps_author_reason_and_the_text_of_every_layer(tenant):
    made = publish(tenant, thing(), Author(7, "li"), "first")
    with tenant.read() as conn:
        row = conn.execute(sa.select(revision)).one()
    assert (row.number, row.author_id, row.author_name, row.reason, row.digest) == (1, 7, "li", "first", made.digest)
    assert [(s.layer, s.path) for s in sources_of(tenant, 1)] == [(s[0], s[1]) for s in thing()]
    with pytest.raises(NotFound):
        sources_of(tenant, 2)


def test_refused_metadata_changes_nothing(tenant):
    publish(tenant, thing())
    with pytest.raises(MetadataRefused):
        publish(tenant, thing("x: {type: no_such_type}"))
    assert tenant.revision().number == 1
    assert "x" not in physical(tenant)


def test_a_new_field_keeps_rows_and_can_be_used_at_once(tenant):
    publish(tenant, thing())
    insert(tenant, name="old")
    assert publish(tenant, thing(field("size", "integer"))).number == 2
    insert(tenant, name="new", size=5)
    assert values(tenant, "name", "size") == [("old", None), ("new", 5)]


def test_tables_and_columns_are_remembered_with_the_revision_that_made_them(tenant):
    def known():
        with tenant.read() as conn:
            rows = conn.execute(sa.select(layout).where(layout.c.table_name == "shop__thing")).all()
        return {row.column_name: row for row in rows}

    publish(tenant, thing(field("size", "integer") + "\n" + field("mobile", "phone", "encrypted: true, mask: phone")))
    first = known()
    assert first.keys() == {"", *physical(tenant)} and {row.since_revision for row in first.values()} == {1}
    assert first[""].spec is None and {name: row.spec["name"] for name, row in first.items() if name} == {name: name for name in first if name}
    assert (first["size"].spec["kind"], first["size"].origin, first["mobile"].origin) == ("integer", None, "shop.thing/field/mobile")
    publish(tenant, thing(field("size", "integer") + "\n" + field("weight", "integer")))
    second = known()
    assert second.keys() == {*first, "weight"} and second["weight"].since_revision == 2
    assert (second["size"], second["mobile"].retired_revision) == (first["size"], 2)
    with tenant.write() as conn:                 # known, and not there: remembered once, and no longer as gone
        conn.execute(layout.insert().values(table_name="shop__thing", column_name="width", spec={"name": "width", "kind": "text"}, retired_revision=2))
    publish(tenant, thing(field("size", "integer") + "\n" + field("width", "integer")))
    found = known()["width"]
    assert (found.spec["kind"], found.since_revision, found.retired_revision) == ("integer", None, None)


def test_a_field_that_left_keeps_its_column_and_is_found_again(tenant):
    publish(tenant, thing(field("size", "integer")))
    insert(tenant, name="a", size=5)
    made, _ = plan_for(tenant, thing())
    assert made.kept == ("shop__thing.size",)
    publish(tenant, thing())
    insert(tenant, name="b")
    assert "size" in physical(tenant)
    publish(tenant, thing(field("size", "integer") + "\n" + field("colour", "colour")))
    assert values(tenant, "name", "size") == [("a", 5), ("b", None)]


def test_rolling_back_and_forward_keeps_what_was_entered_meanwhile(tenant):
    publish(tenant, thing())
    publish(tenant, thing(field("size", "integer")))
    insert(tenant, name="meanwhile", size=7)
    assert rollback(tenant, 1, reason="oops").number == 1
    assert "size" not in table(tenant).c
    insert(tenant, name="after")
    assert values(tenant, "name") == [("meanwhile",), ("after",)]
    assert rollback(tenant, 2).number == 2
    assert values(tenant, "name", "size") == [("meanwhile", 7), ("after", None)]
    with tenant.read() as conn:
        assert conn.scalars(sa.select(journal.c.kind).order_by(journal.c.id)).all() == ["publish", "publish", "rollback", "rollback"]
    with pytest.raises(NotFound):
        rollback(tenant, 9)
    assert publish(tenant, thing(field("third", "text"))).number == 3


def test_a_renamed_field_keeps_its_values_and_gives_them_back_on_rollback(tenant):
    publish(tenant, thing(field("size", "integer", "min: 1")))
    insert(tenant, name="a", size=5)
    renamed = thing(field("width", "integer", "min: 1"), "renamed_fields: {width: size}")
    publish(tenant, renamed)
    assert values(tenant, "width") == [(5,)]
    assert "size" not in physical(tenant)
    with pytest.raises(sa.exc.IntegrityError):
        insert(tenant, name="b", width=0)
    publish(tenant, thing(field("width", "integer", "min: 1") + "\n" + field("note", "text")))   # the declaration is gone
    assert values(tenant, "width") == [(5,)]
    rollback(tenant, 1)
    assert values(tenant, "size") == [(5,)]
    rollback(tenant, 3)
    assert values(tenant, "width") == [(5,)]


def test_a_renamed_entity_keeps_its_rows_and_links(tenant):
    order = entity("orders", NAME + f"\nthing: {{type: link, entity: thing, {label('t')}}}")
    publish(tenant, shop(entity("thing", NAME), order))
    one = insert(tenant, name="a")
    insert(tenant, "shop.orders", name="o", thing_id=one)
    order2 = entity("orders", NAME + f"\nthing: {{type: link, entity: gadget, {label('t')}}}")
    publish(tenant, shop(entity("gadget", NAME + "\n" + field("size", "integer"), "renamed_from: thing"), order2))
    assert values(tenant, "name", "size", address="shop.gadget") == [("a", None)]
    with pytest.raises(sa.exc.IntegrityError):
        insert(tenant, "shop.orders", name="o2", thing_id=one + 99)
    rollback(tenant, 1)
    assert values(tenant, "name") == [("a",)]
    assert values(tenant, "thing_id", address="shop.orders") == [(one,)]


def test_a_link_is_a_foreign_key_and_children_go_with_their_parent(tenant):
    child = entity("line", f"{NAME}\nthing: {{type: link, entity: thing, {label('t')}}}",
                   "child_of: {entity: thing, field: thing}\ndelete: physical")
    other = entity("review", f"{NAME}\nthing: {{type: link, entity: thing, {label('t')}}}")
    parent = entity("thing", f"{NAME}\nlines: {{type: child, entity: line, {label('l')}}}")
    publish(tenant, shop(parent, child, other))
    first, second = insert(tenant, name="a"), insert(tenant, name="b")
    insert(tenant, "shop.line", name="l", thing_id=first)
    insert(tenant, "shop.review", name="r", thing_id=second)
    with tenant.write() as conn:
        conn.execute(table(tenant).delete().where(table(tenant).c.id == first))
        assert conn.scalar(sa.select(sa.func.count()).select_from(table(tenant, "shop.line"))) == 0
    with pytest.raises(sa.exc.IntegrityError) as caught, tenant.write() as conn:
        conn.execute(table(tenant).delete())
    assert violation(caught.value).kind == "foreign_key"


def test_unique_holds_among_live_rows_only(tenant):
    publish(tenant, thing(field("code", "text", "unique: true")))
    insert(tenant, name="a", code="x")
    with pytest.raises(sa.exc.IntegrityError) as caught:
        insert(tenant, name="b", code="x")
    found = violation(caught.value)
    assert found.kind == "unique"
    assert found.table == "shop__thing"
    assert "code" in found.name or "code" in found.columns
    with tenant.write() as conn:
        conn.execute(table(tenant).update().values(archived_at=utc_now()))
    insert(tenant, name="b", code="x")
    insert(tenant, name="c")
    insert(tenant, name="d")


def test_a_unique_rule_holds_for_rows_of_its_condition(tenant):
    rule = "unique: {one_open: {fields: [code], when: \"size > 0\"}}"
    publish(tenant, thing(field("code", "text") + "\n" + field("size", "integer"), rule))
    insert(tenant, code="x", size=0)
    insert(tenant, code="x", size=0)
    insert(tenant, code="x", size=1)
    with pytest.raises(sa.exc.IntegrityError):
        insert(tenant, code="x", size=2)


@pytest.mark.parametrize(("declared", "good", "bad"), [
    ("money, min: 0.01, max: 99.99", ["0.01", "99.99"], ["0.00", "-1", "100"]),
    ("decimal, scale: 3, min: 0", ["0", "0.001"], ["-0.001"]),
    ("rate, max: 0.24", ["0.24"], ["0.24000001"]),
])  # fmt: skip
def test_limits_are_held_by_the_database(tenant, declared, good, bad):
    publish(tenant, thing(f"amount: {{type: {declared}, {label('a')}}}"))
    for text in good:
        insert(tenant, name="a", amount=Decimal(text))
    for text in bad:
        with pytest.raises(sa.exc.IntegrityError) as caught:
            insert(tenant, name="a", amount=Decimal(text))
        assert violation(caught.value).kind == "check"
        with pytest.raises(sa.exc.IntegrityError), tenant.write() as conn:
            conn.execute(table(tenant).update().values(amount=Decimal(text)))
    assert len(values(tenant, "id")) == len(good)


def test_a_text_that_is_too_long_is_refused_by_the_database(tenant):
    publish(tenant, thing())
    insert(tenant, name="名" * 20)
    with pytest.raises((sa.exc.IntegrityError, sa.exc.DataError)):
        insert(tenant, name="x" * 21)


def test_limits_can_be_moved_both_ways(tenant):
    publish(tenant, thing(field("size", "integer", "min: 5")))
    insert(tenant, name="a", size=5)
    publish(tenant, thing(field("size", "integer", "min: 1")))
    insert(tenant, name="b", size=1)
    with pytest.raises(PlanRefused) as refused:
        publish(tenant, thing(field("size", "integer", "min: 5")))
    impact, = refused.value.plan.impacts
    assert (impact.kind, impact.place, impact.rows, impact.samples) == ("min", "shop.thing/size", 1, (2,))
    publish(tenant, thing(field("size", "integer", "max: 9")))
    insert(tenant, name="c", size=-5)
    with pytest.raises(sa.exc.IntegrityError):
        insert(tenant, name="d", size=10)


def test_unique_over_equal_rows_is_refused_with_their_ids(tenant):
    publish(tenant, thing(field("code", "text")))
    for code in ("x", "x", "y", "x", None, None):
        insert(tenant, code=code)
    with pytest.raises(PlanRefused) as refused:
        publish(tenant, thing(field("code", "text", "unique: true")))
    impact, = refused.value.plan.impacts
    assert (impact.kind, impact.place, impact.rows, impact.samples) == ("unique", "shop.thing/code", 3, (1,))
    assert tenant.revision().number == 1


def test_required_is_counted_and_does_not_refuse(tenant):
    publish(tenant, thing())
    insert(tenant, name=None)
    insert(tenant, name="a")
    required = shop(entity("thing", NAME.replace("length: 20", "length: 20, required: true")))
    made, _ = plan_for(tenant, required)
    assert [(i.kind, i.rows, i.samples, i.blocking) for i in made.impacts] == [("required", 1, (1,), False)]
    publish(tenant, required)
    assert values(tenant, "name") == [(None,), ("a",)]


def test_narrowing_a_text_with_long_values_needs_a_word_and_counts(tenant):
    publish(tenant, thing(field("note", "text", "length: 50")))
    insert(tenant, note="short")
    insert(tenant, note="a rather long note")
    narrow = thing(field("note", "text", "length: 10"))
    made, _ = plan_for(tenant, narrow)
    step, = [step for step in made.steps if step.kind == "narrowing"]
    assert (step.rows, step.word) == (1, "narrow:shop.thing/note")
    with pytest.raises(PlanRefused, match="narrow:shop.thing/note"):
        publish(tenant, narrow)
    assert values(tenant, "note") == [("short",), ("a rather long note",)]
    publish(tenant, narrow, allow=["narrow:shop.thing/note"])
    assert values(tenant, "note") == [("short",), ("a rather l",)]


def test_narrowing_a_text_without_long_values_goes_through(tenant):
    publish(tenant, thing(field("note", "text", "length: 50")))
    insert(tenant, note="short")
    publish(tenant, thing(field("note", "text", "length: 10")))
    with pytest.raises((sa.exc.IntegrityError, sa.exc.DataError)):
        insert(tenant, note="x" * 11)
    publish(tenant, thing(field("note", "long_text")))
    insert(tenant, note="x" * 1000)


def test_fewer_places_are_refused_where_digits_would_be_lost(tenant):
    publish(tenant, thing(field("amount", "decimal", "scale: 4")))
    insert(tenant, amount=Decimal("1.2500"))
    insert(tenant, amount=Decimal("1.2345"))
    allow = ["retype:shop.thing/amount"]
    with pytest.raises(PlanRefused) as refused:
        publish(tenant, thing(field("amount", "decimal", "scale: 2")), allow=allow)
    assert [(i.kind, i.rows, i.blocking) for i in refused.value.plan.impacts] == [("type", 1, True)]
    with tenant.write() as conn:
        conn.execute(table(tenant).update().where(table(tenant).c.id == 2).values(amount=Decimal("2")))
    publish(tenant, thing(field("amount", "decimal", "scale: 2")), allow=allow)
    assert values(tenant, "amount") == [(Decimal("1.25"),), (Decimal("2.00"),)]


def test_more_places_keep_values(tenant):
    publish(tenant, thing(field("amount", "money")))
    insert(tenant, amount=Decimal("123.45"))
    publish(tenant, thing(field("amount", "decimal", "scale: 6")), allow=["retype:shop.thing/amount"])
    assert values(tenant, "amount") == [(Decimal("123.45"),)]
    insert(tenant, amount=Decimal("0.000001"))


def test_another_type_is_refused_while_the_field_holds_values(tenant):
    publish(tenant, thing(field("size", "text")))
    insert(tenant, size="big")
    with pytest.raises(PlanRefused) as refused:
        publish(tenant, thing(field("size", "integer")))
    assert [(i.kind, i.rows) for i in refused.value.plan.impacts] == [("type", 1)]
    with tenant.write() as conn:
        conn.execute(table(tenant).update().values(size=None))
    publish(tenant, thing(field("size", "integer")))
    insert(tenant, size=5)
    assert values(tenant, "size") == [(None,), (5,)]
    assert publish(tenant, thing(field("size", "integer") + "\n" + field("more", "text"))).number == 3


def test_plain_text_does_not_pass_for_ciphertext(tenant):
    publish(tenant, thing(field("code", "long_text")))
    insert(tenant, code="plain")
    with pytest.raises(PlanRefused):
        publish(tenant, thing(field("code", "phone", "encrypted: true, mask: phone")))


def test_dropping_a_column_needs_a_word_and_shows_its_rows(tenant):
    publish(tenant, thing(field("size", "integer", "unique: true, min: 1")))
    insert(tenant, name="a", size=5)
    publish(tenant, thing())
    made, _ = plan_for(tenant, thing(), allow=["drop:shop.thing/size"])
    step, = [step for step in made.steps if step.action == "drop_column"]
    assert (step.kind, step.rows) == ("destructive", 1)
    publish(tenant, thing(field("other", "text")), allow=["drop:shop.thing/size"])
    assert "size" not in physical(tenant)
    with tenant.read() as conn:
        assert conn.scalar(sa.select(sa.func.count()).where(layout.c.column_name == "size")) == 0
    assert values(tenant, "name") == [("a",)]


def test_a_link_may_change_its_target_only_while_empty(tenant):
    first, second = entity("first", NAME), entity("second", NAME)
    def with_target(target):
        return shop(first, second, entity("thing", f"{NAME}\nto: {{type: link, entity: {target}, {label('t')}}}"))
    publish(tenant, with_target("first"))
    publish(tenant, with_target("second"))
    one = insert(tenant, "shop.second", name="s")
    insert(tenant, name="a", to_id=one)
    with pytest.raises(sa.exc.IntegrityError):
        insert(tenant, name="b", to_id=one + 9)
    with pytest.raises(PlanRefused):
        publish(tenant, with_target("first"))


LIFECYCLE = """lifecycle:
  field: status
  initial: draft
  states: {draft: {label: {zh: a, en: a}}, done: {label: {zh: b, en: b}, final: true}}
  transitions: {go: {from: [draft], to: done, label: {zh: a, en: a}}}
"""


def test_rows_get_the_initial_state_of_a_new_lifecycle(tenant):
    publish(tenant, thing())
    with tenant.write() as conn:
        conn.execute(table(tenant).insert(), [{"name": str(n), "created_at": None} | dict.fromkeys(("created_at", "updated_at"), stamp())
                                              for n in range(1200)])
    publish(tenant, thing(field("status", "state"), top=LIFECYCLE))
    assert {status for status, in values(tenant, "status")} == {"draft"}


def stamp():
    from datetime import UTC, datetime

    return datetime(2026, 1, 1, tzinfo=UTC)


def test_companions_of_a_newly_searchable_field_are_filled(tenant):
    mobile = field("mobile", "phone", "encrypted: true, mask: phone")
    publish(tenant, thing(mobile))
    made = tenant.revision().catalog.entity("shop.thing")
    for number in ("13800001111", "13800002222"):
        insert(tenant, name="张三", **stored_values(made, made.fields["mobile"], number, tenant.secrets))
    publish(tenant, shop(entity("thing", NAME.replace("length: 20", "length: 20, pinyin: true") + "\n"
                                + field("mobile", "phone", "encrypted: true, mask: phone, search: last4"))))
    after = tenant.revision().catalog.entity("shop.thing")
    assert values(tenant, "mobile__bx") == [
        (blind_value(after, after.fields["mobile"], number, tenant.secrets),) for number in ("13800001111", "13800002222")]
    assert len(set(values(tenant, "mobile__l4"))) == 2
    assert values(tenant, "name__py") == [("zhangsan zs",)] * 2


def test_a_renamed_encrypted_field_still_opens(tenant):
    publish(tenant, thing(field("mobile", "phone", "encrypted: true, mask: phone, search: exact")))
    before = tenant.revision().catalog.entity("shop.thing")
    insert(tenant, **stored_values(before, before.fields["mobile"], "13800001111", tenant.secrets))
    publish(tenant, thing(field("phone", "phone", "encrypted: true, mask: phone, search: exact"), "renamed_fields: {phone: mobile}"))
    after = tenant.revision().catalog.entity("shop.thing")
    (sealed, blind), = values(tenant, "phone", "phone__bx")
    address = after.fields["phone"].address
    assert tenant.secrets.decrypt(address, sealed) == "13800001111"
    assert blind_value(after, after.fields["phone"], "13800001111", tenant.secrets) == blind


def test_names_stay_short_enough_for_every_database(tenant):
    long = "a" * 47
    publish(tenant, shop(entity(long, NAME + "\n" + field("b" * 47, "integer", "unique: true, min: 1"))))
    with tenant.read() as conn:
        inspector = sa.inspect(conn)
        tables = [name for name in inspector.get_table_names() if name.startswith("shop__")]
        names = tables + [index["name"] for name in tables for index in inspector.get_indexes(name)]
    assert all(len(name.encode()) <= 63 for name in names)
    assert any(len(name.encode()) > NAME_BYTES_MAX - 10 for name in names)
    assert plan_for(tenant, shop(entity(long, NAME + "\n" + field("b" * 47, "integer", "unique: true, min: 1"))))[0].steps == ()


def test_an_author_on_an_old_revision_is_told(tenant):
    publish(tenant, thing())
    publish(tenant, thing(field("a", "text")), base=1)
    with pytest.raises(Conflict, match="revision 2"):
        publish(tenant, thing(field("b", "text")), base=1)
    assert tenant.revision().number == 2


def test_applying_files_keeps_the_site_layer(tenant):
    site = ("site", "shop/sales/thing/site.yaml",
            "overlay:\n  - {add: entity/fields/extra, value: {type: text, label: {zh: 更多, en: Extra}}}\n")
    publish(tenant, (*thing(), site))
    assert "extra" in table(tenant).c
    publish(tenant, with_site_layer(tenant, thing(field("size", "integer"))))
    assert {"extra", "size"} <= set(table(tenant).c.keys())


def test_indexes_follow_the_metadata(tenant):
    def names():
        with tenant.read() as conn:
            return {index["name"].rpartition("_")[0] for index in sa.inspect(conn).get_indexes("shop__thing")}
    publish(tenant, thing(field("size", "integer"), "indexes: {by_size: [size, name]}"))
    assert "shop__thing__by_size__ix" in names()
    publish(tenant, thing(field("size", "integer")))
    assert "shop__thing__by_size__ix" not in names()


def test_pack_is_the_only_needed_thing(tenant):
    assert publish(tenant, (PACK,)).catalog.entities == {}


def test_a_drift_is_found_and_mended(tenant):
    sources = thing(field("code", "text", "unique: true"))
    publish(tenant, sources)
    with tenant.ddl() as conn:
        name, = (index["name"] for index in sa.inspect(conn).get_indexes("shop__thing") if "__code__uq" in index["name"])
        conn.exec_driver_sql(f'DROP INDEX "{name}"')
    made, _ = plan_for(tenant, sources)
    assert [step.action for step in made.steps] == ["create_index"]
    apply(tenant, made)
    assert plan_for(tenant, sources)[0].steps == ()
    assert tenant.revision().number == 1
    insert(tenant, code="x")
    with pytest.raises(sa.exc.IntegrityError):
        insert(tenant, code="x")


def test_a_table_of_the_engine_takes_further_columns(tenancy, tenant):
    """The compiler refuses such fields today; the tables are ready for them (decision 7)."""
    user = ("engine", "platform/organisation/user/entity.yaml",
            "entity:\n  label: {zh: 用户, en: User}\n  title: username\n  shared: true\n  storage: engine\n  table: ab_user\n"
            "  fields:\n    username: {type: text, label: {zh: 用户名, en: User name}}\n")
    pack = ("engine", "platform/pack.yaml", "pack: {version: 1.0.0, format: 1, label: {zh: 平台, en: Platform}}\n")
    module = ("engine", "platform/organisation/module.yaml", "module: {label: {zh: 组织, en: Organisation}}\n")
    compiler = tenancy.compiler

    def with_nickname(sources):
        catalog = compiler([source for source in sources if source[0] != "site"])
        if len(sources) == 3:
            return catalog
        known = catalog.entities["platform.user"]
        more = replace(known.fields["username"], name="nickname", address="platform.user/field/nickname")
        return replace(catalog, entities={"platform.user": replace(known, fields={**known.fields, "nickname": more})})

    tenancy.compiler = with_nickname
    tenant._revisions._compiler = with_nickname
    publish(tenant, (pack, module, user))
    with tenant.write() as conn:
        conn.execute(table(tenant, "platform.user").insert().values(username="li", email="l@x"))
    publish(tenant, (pack, module, user, ("site", "nickname", "")))
    with tenant.write() as conn:
        conn.execute(table(tenant, "platform.user").update().values(nickname="小李"))
    assert values(tenant, "username", "nickname", address="platform.user") == [("li", "小李")]
    rollback(tenant, 1)
    assert "nickname" not in table(tenant, "platform.user").c
    assert values(tenant, "username", address="platform.user") == [("li",)]


@pytest.mark.postgres
@pytest.mark.parametrize("database", ["postgresql"], indirect=True)
def test_a_contains_search_has_a_trigram_index_where_the_server_can(tenant):
    publish(tenant, shop(entity("thing", NAME.replace("length: 20", "length: 20, search: contains, pinyin: true"))))
    with tenant.read() as conn:
        definitions = conn.exec_driver_sql("SELECT indexdef FROM pg_indexes WHERE tablename = 'shop__thing'").scalars().all()
        extension = conn.scalar(sa.text("SELECT to_regtype('ext.gtrgm') IS NOT NULL"))
    assert sum("gin_trgm_ops" in text for text in definitions) == (2 if extension else 0)


@pytest.mark.postgres
@pytest.mark.parametrize("database", ["postgresql"], indirect=True)
def test_metadata_that_is_published_already_gets_the_indexes_that_this_engine_wants(tenant):
    def indexes(conn):
        return dict(conn.exec_driver_sql("SELECT indexname, indexdef FROM pg_indexes WHERE tablename = 'shop__thing'").all())

    sources = shop(entity("thing", NAME.replace("length: 20", "length: 20, search: contains")))
    number = publish(tenant, sources).number
    with tenant.ddl() as conn:
        wanted = indexes(conn)
        (name, definition), = ((name, text) for name, text in wanted.items() if "regexp_replace" in text)
        conn.exec_driver_sql(f'DROP INDEX "{name}"')
        conn.exec_driver_sql('CREATE INDEX "shop__thing__name__tg__ix_0000" ON shop__thing (name)')
    assert publish(tenant, sources).number == number
    with tenant.read() as conn:
        assert indexes(conn) == wanted and wanted[name] == definition
