"""Whoever looks after people gets no further than the own reach: no other company, no administrator, not oneself."""

import pytest

from metaloom.base.errors import Invalid, NotAllowed, NotFound
from metaloom.command import assign_role, end_session, revoke_role, save_user, set_password, unlock_user
from metaloom.command.api_key import create_api_key

PASSWORD = "another horse 8"
REFUSED = (NotAllowed, NotFound)


def values(username, **more):
    return {"username": username, "display_name": username, "email": f"{username}@example.cn", **more}


def stored(world, id):
    tenant = world.tenants["one"]
    with tenant.read() as conn:
        table = tenant.revision().tables.engine.user
        return dict(conn.execute(table.select().where(table.c.id == id)).mappings().one())


def roles_of(world, id):
    tenant = world.tenants["one"]
    with tenant.read() as conn:
        table = tenant.revision().tables.engine.role_assignment
        return {(row.role, row.company_id): row.id for row in conn.execute(table.select().where(table.c.user_id == id))}


@pytest.mark.parametrize("lay_hands_on", [
    lambda ctx, id: set_password(ctx, id, PASSWORD),
    lambda ctx, id: unlock_user(ctx, id),
    lambda ctx, id: end_session(ctx, id, 1),
    lambda ctx, id: create_api_key(ctx, "mine", user_id=id),
    lambda ctx, id: assign_role(ctx, id, "depot.reader", company=1),
], ids=["set_password", "unlock", "end_session", "api_key", "assign_role"])
def test_an_account_outside_ones_rows_or_of_an_administrator_is_left_alone(world, lay_hands_on):
    for other in (world.person(company=2), world.person(company=1, role="platform.admin")):
        before, roles = stored(world, other.id), roles_of(world, other.id)
        with pytest.raises(REFUSED):
            lay_hands_on(world.ctx("chief"), other.id)
        assert (stored(world, other.id), roles_of(world, other.id)) == (before, roles)


def test_the_own_people_can_be_looked_after(world):
    ctx, one = world.ctx("chief"), world.person()
    set_password(ctx, one.id, PASSWORD)
    unlock_user(ctx, one.id)
    create_api_key(ctx, "theirs", user_id=one.id)
    assign_role(ctx, one.id, "depot.reader", company=1)
    revoke_role(ctx, roles_of(world, one.id)["depot.reader", 1])
    assert roles_of(world, one.id) == {}


def test_the_administrator_s_account_is_changed_by_administrators_only(world):
    other = world.person(role="platform.admin")
    version = stored(world, other.id)["row_version"]
    with pytest.raises(NotAllowed):
        save_user(world.ctx("chief"), other.id, {"active": False}, version)
    save_user(world.ctx("admin"), other.id, {"active": False}, version)
    assert not stored(world, other.id)["active"]


def test_nobody_but_an_administrator_makes_one(world):
    one = world.person()
    with pytest.raises(NotAllowed):
        assign_role(world.ctx("chief"), one.id, "platform.admin", company=1)
    assign_role(world.ctx("admin"), one.id, "platform.admin")
    with pytest.raises(NotAllowed):
        revoke_role(world.ctx("chief"), roles_of(world, one.id)["platform.admin", None])


def test_nobody_but_an_administrator_gives_roles_to_oneself(world):
    with pytest.raises(NotAllowed):
        assign_role(world.ctx("chief"), world.id_of("chief"), "depot.cashier")


def test_an_administrator_of_one_company_gives_roles_in_that_company_only(world):
    ctx, one = world.ctx("branch_admin"), world.person()
    for role in ("platform.admin", "depot.reader"):
        for company in (None, 2):
            with pytest.raises(NotAllowed):
                assign_role(ctx, one.id, role, company=company)
    with pytest.raises(NotAllowed):
        assign_role(ctx, world.id_of("branch_admin"), "platform.admin")
    far = world.person(company=2)
    with pytest.raises(REFUSED):
        set_password(ctx, far.id, PASSWORD)
    assign_role(ctx, one.id, "depot.reader", company=1)
    assert roles_of(world, one.id).keys() == {("depot.reader", 1)}


def test_an_account_is_moved_or_made_only_within_ones_rows(world):
    ctx, one = world.ctx("chief"), world.person()
    with pytest.raises(NotAllowed):
        save_user(ctx, one.id, {"company": 2}, stored(world, one.id)["row_version"])
    with pytest.raises(NotAllowed):
        save_user(ctx, None, values("elsewhere", company=2), password=PASSWORD)
    assert stored(world, one.id)["company_id"] == 1
    assert stored(world, save_user(ctx, None, values("athome", company=1), password=PASSWORD).id)["company_id"] == 1
    for company in (None, 2):
        with pytest.raises(NotAllowed):
            save_user(world.ctx("branch_admin"), None, values(f"far{company}", company=company), password=PASSWORD)


def test_a_hidden_field_of_an_account_is_neither_written_nor_guessed(world):
    made = save_user(world.ctx("admin"), None, values("shy", company=1, mobile="13700002222"))
    for guess in ("13700002222", "13900000000"):
        with pytest.raises(Invalid):
            save_user(world.ctx("chief"), made.id, {"mobile": guess}, 1)
    with pytest.raises(Invalid):
        save_user(world.ctx("chief"), None, values("shy2", company=1, mobile="13700002223"))
    assert stored(world, made.id)["mobile"] == "13700002222"
