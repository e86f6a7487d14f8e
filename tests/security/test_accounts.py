"""Accounts: a first password is changed, what ended ends everywhere, and administrators are made by two people."""

import pytest
import sqlalchemy as sa

from metaloom.access import person_of, same_person
from metaloom.base.clock import SystemClock
from metaloom.base.errors import Invalid, NotAllowed, NotPossible
from metaloom.command import (
    assign_role,
    confirm_password,
    confirm_role,
    create_record,
    limits,
    refuse_password,
    revoke_role,
    run_action,
    save_user,
    set_password,
    system_context,
    upload_file,
)
from metaloom.command.api_key import create_api_key
from tests.api.world import PASSWORD
from tests.security.conftest import values_of
from tests.security.test_power_over_people import roles_of, stored

OTHER, FIRST = "another horse 8", "given horse 9"
SALE = "depot.sale"


def system(world):
    return system_context(world.tenants["one"], plugins=world.registry, clock=SystemClock())


def account(world, **more):
    number = values_of()
    values = {"username": f"acc{number}", "display_name": f"Acc {number}", "email": f"acc{number}@example.cn", "company": 1}
    return save_user(world.ctx("admin"), None, {**values, **more}, password=FIRST).id, values["username"]


# -- a first password ---------------------------------------------------------------------------------------------------


def test_a_password_that_somebody_else_chose_opens_nothing_but_its_change(world):
    from tests.web.conftest import Visitor

    id, username = account(world)
    assert stored(world, id)["must_renew"]
    visitor = Visitor(world.app, "one")
    assert visitor.log_in(username, FIRST).status_code == 302
    for path in ("/", "/userinfo/", "/e/platform.user/", "/search?q=a", "/e/depot.sale/new"):
        answer = visitor.get(path)
        assert (answer.status_code, answer.location) == (302, "/one/resetmypassword/form"), path
    assert visitor.get("/e/platform.user/", headers={"HX-Request": "true"}).status_code == 403
    assert visitor.post("/settings/theme", {"theme": "dark"}).status_code in (302, 404, 405)
    assert "role=\"status\"" in visitor.get("/resetmypassword/form").text
    same = visitor.post("/resetmypassword/form", {"current": FIRST, "password": FIRST, "conf_password": FIRST})
    assert same.status_code == 400
    changed = visitor.post("/resetmypassword/form", {"current": FIRST, "password": OTHER, "conf_password": OTHER})
    assert changed.status_code == 302 and visitor.get("/").status_code == 200
    assert not stored(world, id)["must_renew"]


def test_the_api_takes_no_token_or_browser_of_a_first_password(world):
    id, username = account(world)
    assign_role(world.ctx("admin"), id, "depot.reader")
    caller = world.client().login(username, FIRST)
    answer = caller.get("/depot.buyer")
    assert answer.status_code == 403 and answer.json["code"] == "api.password_first"
    assert caller.get("/me").status_code == 403


def test_a_reset_by_an_administrator_asks_for_a_change_and_the_engine_s_own_does_not(world):
    one = world.person()
    set_password(world.ctx("chief"), one.id, OTHER)
    assert stored(world, one.id)["must_renew"]
    set_password(system(world), one.id, PASSWORD)
    assert not stored(world, one.id)["must_renew"]
    set_password(system(world), one.id, OTHER, initial=True)
    assert stored(world, one.id)["must_renew"]
    made = save_user(system(world), None, {"username": f"demo{one.id}", "display_name": "D", "email": f"demo{one.id}@example.cn"},
                     password=PASSWORD, initial=False)
    assert not stored(world, made.id)["must_renew"]


# -- keys and tokens end with what made them ------------------------------------------------------------------------------


def lose_password(world, one):
    set_password(system(world), one.id, OTHER)


def lose_account(world, one):
    save_user(system(world), one.id, {"active": False})
    save_user(system(world), one.id, {"active": True})


def lose_role(world, one):
    revoke_role(world.ctx("admin"), roles_of(world, one.id)["depot.reader", None])


@pytest.mark.parametrize("lose", [lose_password, lose_account, lose_role])
def test_keys_tokens_and_logins_end_with_password_account_and_role(world, lose):
    one = world.person(role="depot.reader")
    token, browser = world.client().login(one.username), world.browser(one.username)
    _, secret = create_api_key(system(world), "program", user_id=one.id)
    key = world.client()
    key.token = secret
    assert [caller.get("/depot.buyer").status_code for caller in (token, key)] == [200, 200]
    assert browser.get("/").status_code == 200
    lose(world, one)
    assert [caller.get("/depot.buyer").status_code for caller in (token, key)] == [401, 401]
    assert browser.get("/").status_code == (200 if lose is lose_role else 302), "a role that is gone is gone at the next click"
    _, secret = create_api_key(system(world), "next", user_id=one.id)
    key.token = secret
    assert key.get("/me").status_code == 200


# -- two people make an administrator -------------------------------------------------------------------------------------


def test_an_administrator_is_made_by_two(world):
    one, admin, second = world.person(), world.ctx("admin"), world.person(role="platform.admin")
    assign_role(admin, one.id, "platform.admin")
    waiting = roles_of(world, one.id)["platform.admin", None]
    caller = world.client().login(one.username)
    assert not caller.get("/me").json["roles"], "a role that waits is not held"
    for nobody in (admin, world.ctx("chief"), world.ctx(one.username)):
        with pytest.raises(NotAllowed):
            confirm_role(nobody, waiting)
    twin = world.person(role="platform.admin")
    save_user(system(world), twin.id, {"person_key": f"P{one.id}"})
    save_user(system(world), world.id_of("admin"), {"person_key": f" p{one.id} "})
    with pytest.raises(NotAllowed):
        confirm_role(world.ctx(twin.username), waiting)
    save_user(system(world), world.id_of("admin"), {"person_key": None})
    confirm_role(world.ctx(second.username), waiting)
    assert [held["role"] for held in world.client().login(one.username).get("/me").json["roles"]] == ["platform.admin"]
    with pytest.raises(NotPossible):
        confirm_role(world.ctx(second.username), waiting)


def test_the_screen_offers_the_confirmation_to_the_second_only(world):
    one, second = world.person(), world.person(role="platform.admin")
    assign_role(world.ctx("admin"), one.id, "platform.admin")
    waiting = roles_of(world, one.id)["platform.admin", None]
    browser = world.browser(second.username)
    assert "/confirm" in browser.get(f"/e/platform.role_assignment/{waiting}").text
    assert "/do/confirm" not in world.browser("admin").get(f"/e/platform.role_assignment/{waiting}").text
    assert "待确认" in browser.get(f"/e/platform.user/{one.id}").text
    assert browser.post(f"/e/platform.role_assignment/{waiting}/do/confirm", {}).status_code in (200, 302, 303)
    assert "待确认" not in browser.get(f"/e/platform.user/{one.id}").text
    assert world.ctx(one.username).actor.holds_everywhere("platform.admin")


def password_facts(world, id):
    """(the hash in force, the waiting one, whether one waits) of an account, and what its person was told."""
    tables = world.tenants["one"].revision().tables.engine
    with world.tenants["one"].read() as conn:
        row = conn.execute(sa.select(tables.user).where(tables.user.c.id == id)).mappings().one()
        told = conn.execute(sa.select(tables.message.c.subject).where(tables.message.c.receiver_id == id)).scalars().all()
    return row["password"], row["waiting_password"], row["password_waits"], [str(one) for one in told]


def test_the_password_of_an_administrator_is_reset_by_two_with_a_reason_and_the_person_is_told(world):
    one, second = world.person(role="platform.admin"), world.person(role="platform.admin")
    admin, before = world.ctx("admin"), password_facts(world, one.id)[0]
    inside = world.browser(one.username)
    with pytest.raises(Invalid):
        set_password(admin, one.id, "brand-new-8pw")
    assert "confirmed" in set_password(admin, one.id, "brand-new-8pw", reason="忘记密码").message.say("en")
    now, waiting, waits, told = password_facts(world, one.id)
    assert now == before and waiting and waiting != before and waits and any("申请重置" in said for said in told), told
    assert inside.get("/").status_code == 200, "the present password and its logins hold until then"
    for nobody in (admin, world.ctx(one.username), world.ctx("chief")):
        with pytest.raises(NotAllowed):
            confirm_password(nobody, one.id)
    assert "/confirm_password" in world.browser(second.username).get(f"/e/platform.user/{one.id}").text
    confirm_password(world.ctx(second.username), one.id)
    now, gone, waits, told = password_facts(world, one.id)
    assert now == waiting and gone is None and not waits and any("已被管理员重置" in said for said in told), told
    assert inside.get("/").status_code == 302
    with pytest.raises(NotPossible):
        confirm_password(world.ctx(second.username), one.id)


def test_the_person_voids_a_reset_that_nobody_asked_for_and_others_are_reset_by_one(world):
    one, staff = world.person(role="platform.admin"), world.person(role="depot.reader")
    before = password_facts(world, one.id)[0]
    set_password(world.ctx("admin"), one.id, "brand-new-8pw", reason="x")
    refuse_password(world.ctx(one.username), one.id)
    assert password_facts(world, one.id)[:3] == (before, None, False)
    with pytest.raises(NotAllowed):
        refuse_password(world.ctx("chief"), one.id)
    set_password(world.ctx("admin"), staff.id, "brand-new-8pw")
    now, waiting, waits, told = password_facts(world, staff.id)
    assert now and waiting is None and not waits and any("已被管理员重置" in said for said in told)


def test_nobody_gives_roles_to_oneself_not_even_by_a_second_account(world):
    admin = world.ctx("admin")
    for role in ("depot.reader", "platform.admin"):
        with pytest.raises(NotAllowed):
            assign_role(admin, world.id_of("admin"), role)
    twin = world.person()
    for id in (twin.id, world.id_of("admin")):
        save_user(system(world), id, {"person_key": "ONE-MAN"})
    try:
        with pytest.raises(NotAllowed):
            assign_role(admin, twin.id, "depot.reader")
    finally:
        save_user(system(world), world.id_of("admin"), {"person_key": None})


# -- one person, several accounts -----------------------------------------------------------------------------------------


def test_four_eyes_are_two_people_not_two_accounts(world):
    """The second account names the first one's staff number, written a little differently."""
    maker, twin, other = (world.person(role="depot.chief") for _ in range(3))
    save_user(system(world), maker.id, {"staff_no": f"E{maker.id}"})
    save_user(system(world), twin.id, {"person_key": f" e{maker.id} "})
    tenant = world.tenants["one"]
    with tenant.read() as conn:
        tables = tenant.revision().tables
        assert same_person(conn, tables, maker.id, twin.id) and same_person(conn, tables, twin.id, twin.id)
        assert not same_person(conn, tables, maker.id, other.id) and not same_person(conn, tables, other.id, world.id_of("chief"))
        assert person_of(conn, tables, maker.id) == person_of(conn, tables, twin.id) == f"E{maker.id}"
    buyer = create_record(world.ctx(maker.username), "depot.buyer", {"code": f"p{maker.id}", "name": "N"})
    sale = create_record(world.ctx(maker.username), SALE, {"buyer": buyer.id, "amount": "10.00"})
    sent = run_action(world.ctx(maker.username), SALE, sale.id, "send", {}, sale.row_version)
    for one in (maker, twin):
        with pytest.raises(NotAllowed):
            run_action(world.ctx(one.username), SALE, sale.id, "finish", {"grade": 3}, sent.row_version, "looked at")
    run_action(world.ctx(other.username), SALE, sale.id, "finish", {"grade": 3}, sent.row_version, "looked at")


def test_the_key_of_a_person_is_set_by_who_may_edit_people(world, people):
    one = world.person()
    with pytest.raises(NotAllowed):
        save_user(world.ctx("packer"), one.id, {"person_key": "X"}, 1)
    seen = people["clerk"].get(f"/platform.user/{one.id}")
    assert seen.status_code == 200 and "person_key" not in seen.json and "username" in seen.json
    save_user(world.ctx("admin"), one.id, {"person_key": "X1"}, stored(world, one.id)["row_version"])
    assert stored(world, one.id)["person_key"] == "X1"


# -- uploads --------------------------------------------------------------------------------------------------------------


def test_uploads_end_at_the_quota_of_the_person_and_of_the_tenant(world, monkeypatch):
    changed = dict(limits.LIMITS)
    monkeypatch.setattr(limits, "LIMITS", changed)
    changed["upload_mb_per_person"] = 1
    one = world.person(role="depot.clerk")
    ctx = world.ctx(one.username)
    upload_file(ctx, "a.txt", b"a" * 700_000)
    with pytest.raises(NotPossible) as refused:
        upload_file(ctx, "b.txt", b"b" * 700_000)
    assert refused.value.message.code == "file.person_quota"
    upload_file(world.ctx(world.person(role="depot.clerk").username), "c.txt", b"c" * 700_000)
    changed["upload_mb_per_tenant"] = 1
    with pytest.raises(NotPossible) as refused:
        upload_file(world.ctx(world.person(role="depot.clerk").username), "d.txt", b"d" * 10)
    assert refused.value.message.code == "file.tenant_quota"


def test_a_password_is_not_changed_to_itself(world):
    one = world.person()
    with pytest.raises(Invalid):
        set_password(world.ctx(one.username), one.id, PASSWORD, old=PASSWORD)
