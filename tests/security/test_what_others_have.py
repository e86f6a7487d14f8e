"""A refusal does not tell what lies beyond one's rights, and rows inside a record have their own keepers."""

import pytest

from metaloom.base.errors import Invalid, NotAllowed, TooMany
from metaloom.command import change_record, create_record, import_records, limits
from metaloom.command.clash import Clash
from metaloom.compile import Source
from metaloom.schema_change import publish, rollback, sources_of
from tests.security.conftest import values_of
from tests.security.test_what_leaves_the_house import written

BUYER, SALE, LINE = "depot.buyer", "depot.sale", "depot.sale_line"

MORE_FIELDS = """    hotline: {type: phone, encrypted: true, mask: phone, unique: true, label: {zh: 专线, en: Hotline}}
    card: {type: text, length: 40, unique: true, label: {zh: 卡号, en: Card}}
    desk_phone: {type: phone, encrypted: true, mask: phone, label: {zh: 柜台号码, en: Desk phone}}
  unique:
    one_number: {fields: [desk_phone], tell: true, message: {zh: 号码已登记, en: This number is known}}
"""


@pytest.fixture(scope="module")
def keepers(world):
    """The depot with two unique fields, a masked one and a plain one, a rule that is told, and lines that have rights of their own."""
    tenant = world.tenants["one"]
    before = tenant.revision().number
    made = []
    for source in sources_of(tenant, before):
        text = source.text
        if source.path.endswith("buyer/entity.yaml"):
            text = text.replace("list: {columns: [code", MORE_FIELDS + "list: {columns: [code")
        if source.path.endswith("sale_line/entity.yaml"):
            text += '''access:
  clerk: {scope: expression, condition: "quantity <= 5", actions: [list, read, create, edit], fields: {"*": write}}
  chief: {scope: all, actions: [list, read, create, edit, delete], fields: {"*": write}}
  reader: {scope: all, actions: [list, read]}
'''
        made.append(Source(source.layer, source.path, text))
    publish(tenant, made)
    yield world
    rollback(tenant, before)


def mobile():
    return f"139{values_of():08d}"


def buyer_of(world, username, **values):
    number = values_of()
    return create_record(world.ctx(username, request_id="req-17"), BUYER, {"code": f"u{number}", "name": "N", **values})


def test_a_clash_with_what_one_may_not_read_names_neither_field_nor_record(keepers):
    """The clerk reads own buyers only; another one of the company has the same number."""
    taken = mobile()
    buyer_of(keepers, "chief", hotline=taken)
    clerk = keepers.id_of("clerk")
    before = len(written(keepers, "unique_clash", clerk))
    with pytest.raises(Clash) as refused:
        buyer_of(keepers, "clerk", hotline=taken)
    said = refused.value.message.say("zh") + refused.value.message.say("en")
    assert "专线" not in said and "Hotline" not in said and "相同" not in said and "req-17" in said
    assert [p.field for p in refused.value.problems] == [""]
    noted = written(keepers, "unique_clash", clerk)[before:]
    assert [row["after"]["clash"] for row in noted] == [{"fields": ["hotline"], "request": "req-17"}] and taken not in str(noted)


def test_who_reads_the_whole_company_is_told_the_field(keepers):
    taken = mobile()
    buyer_of(keepers, "clerk", hotline=taken)
    with pytest.raises(Invalid) as refused:
        buyer_of(keepers, "chief", hotline=taken)
    assert not isinstance(refused.value, Clash) and [p.field for p in refused.value.problems] == ["hotline"]


def test_a_plain_field_is_still_named(keepers):
    made = buyer_of(keepers, "chief", card=f"card{values_of()}")
    with keepers.tenants["one"].read() as conn:
        table = keepers.tenants["one"].revision().tables.of(BUYER)
        card = conn.execute(table.select().where(table.c.id == made.id)).mappings().one()["card"]
    with pytest.raises(Invalid) as refused:
        buyer_of(keepers, "clerk", card=card)
    assert [p.field for p in refused.value.problems] == ["card"]


def test_who_tries_one_value_after_the_other_is_stopped(keepers, monkeypatch):
    changed = dict(limits.LIMITS)
    changed["unique_refusals_per_hour"] = 3
    monkeypatch.setattr(limits, "LIMITS", changed)
    person = keepers.person(role="depot.clerk")
    taken = [mobile() for _ in range(4)]
    for one in taken:
        buyer_of(keepers, "chief", hotline=one)
    for one in taken[:3]:
        with pytest.raises(Clash):
            buyer_of(keepers, person.username, hotline=one)
    with pytest.raises(TooMany):
        buyer_of(keepers, person.username, hotline=taken[3])


def test_a_trial_import_is_no_way_around(keepers, monkeypatch):
    changed = dict(limits.LIMITS)
    changed["unique_refusals_per_hour"] = 2
    monkeypatch.setattr(limits, "LIMITS", changed)
    tenant = keepers.tenants["one"]
    before = tenant.revision().number
    own, wider = "clerk: {scope: self, actions: [list, read", "clerk: {scope: self, actions: [import, list, read"
    publish(tenant, [Source(s.layer, s.path, s.text.replace(own, wider)
                            if s.path.endswith("buyer/entity.yaml") else s.text) for s in sources_of(tenant, before)])
    try:
        taken = [mobile() for _ in range(4)]
        for one in taken:
            buyer_of(keepers, "chief", hotline=one)
        person = keepers.person(role="depot.clerk")
        rows = [{"code": f"i{values_of()}", "name": "N", "hotline": one} for one in taken]
        with pytest.raises(TooMany):
            import_records(keepers.ctx(person.username), BUYER, rows)
        assert len(written(keepers, "unique_clash", person.id)) == 3
        for one in (rows[3], {"code": f"i{values_of()}", "name": "N", "hotline": mobile()}):
            with pytest.raises(TooMany, match=":"):
                import_records(keepers.ctx(person.username), BUYER, [one])
        assert len(written(keepers, "unique_clash", person.id)) == 3, "a value that is taken and one that is free have one answer"
        other = keepers.person(role="depot.clerk")
        found = import_records(keepers.ctx(other.username), BUYER, rows[:1])
        assert [p.problem.message.code for p in found.problems] == ["clash.neutral"]
        assert len(written(keepers, "unique_clash", other.id)) == 1
    finally:
        rollback(tenant, before)


# -- rows inside a record ---------------------------------------------------------------------------------------------------


def sale_with_lines(world, *quantities):
    """A sale of the clerk's, with lines that the chief wrote."""
    buyer = buyer_of(world, "clerk")
    made = create_record(world.ctx("clerk"), SALE, {"buyer": buyer.id, "amount": "10.00"})
    made = change_record(world.ctx("chief"), SALE, made.id, {"lines": [{"what": "x", "quantity": q} for q in quantities]}, made.row_version)
    return made, lines_of(world, made.id)


def lines_of(world, sale):
    tenant = world.tenants["one"]
    table = tenant.revision().tables.of(LINE)
    with tenant.read() as conn:
        return [{name: row[name] for name in ("id", "row_version", "what", "quantity")}
                for row in conn.execute(table.select().where(table.c.sale_id == sale).order_by(table.c.id)).mappings()]


@pytest.mark.parametrize("change", [
    lambda small, large: [small, {**large, "what": "changed"}],
    lambda small, large: [small, {"what": "more", "quantity": 6}],
    lambda small, large: [],
], ids=["changes one outside", "adds one outside", "removes its own without the right"])
def test_a_child_row_is_judged_by_the_grant_that_covers_it(keepers, change):
    made, (small, large) = sale_with_lines(keepers, 2, 50)
    with pytest.raises((NotAllowed, Invalid)):
        change_record(keepers.ctx("clerk"), SALE, made.id, {"lines": change(small, large)}, made.row_version)
    assert lines_of(keepers, made.id) == [small, large]


def test_what_the_grant_covers_is_done_and_the_parent_s_keeper_may_do_all(keepers):
    made, (small, large) = sale_with_lines(keepers, 2, 50)
    saved = change_record(keepers.ctx("clerk"), SALE, made.id, {"lines": [{**small, "what": "mine"}, {"what": "new", "quantity": 1}]}, made.row_version)
    assert [line["what"] for line in lines_of(keepers, made.id)] == ["mine", "x", "new"], "a row that one does not see stays"
    change_record(keepers.ctx("chief"), SALE, made.id, {"lines": []}, saved.row_version)
    assert lines_of(keepers, made.id) == []


# -- routes -----------------------------------------------------------------------------------------------------------------


def test_the_login_library_s_own_interface_is_not_mounted(world):
    """Its users, roles and permissions know no scope and no audit."""
    rules = [rule.rule for rule in world.app.url_map.iter_rules()]
    assert len(rules) > 50
    for wrong in ("/api/v1/security", "/api/v1/_openapi", "/swagger", "/users", "/roles", "/registeruser", "/permission", "/viewmenus", "/_openapi"):
        assert not [rule for rule in rules if rule.startswith(wrong)], wrong
    caller = world.client().login("keeper")
    for path in ("login", "refresh", "users/", "roles/", "permissions/", "permissions-resources/", "groups/", "csrf_token/"):
        for method in ("GET", "POST", "PUT", "DELETE"):
            answer = caller.call(method, f"/security/{path}", {} if method != "GET" else None)
            assert answer.status_code in (404, 405), (method, path)
            assert world.app.test_client().open(f"/one/api/v1/security/{path}", method=method).status_code in (401, 404, 405)


def test_a_rule_that_is_told_to_everybody_is_named_and_still_written_down(keepers):
    """The same clash, where the metadata say that the counter must know of it."""
    taken, clerk = mobile(), keepers.id_of("clerk")
    buyer_of(keepers, "chief", desk_phone=taken)
    before = len(written(keepers, "unique_clash", clerk))
    with pytest.raises(Clash) as refused:
        buyer_of(keepers, "clerk", desk_phone=taken)
    assert [(p.field, p.message.say("zh")) for p in refused.value.problems] == [("desk_phone", "号码已登记")]
    assert len(written(keepers, "unique_clash", clerk)) == before + 1
