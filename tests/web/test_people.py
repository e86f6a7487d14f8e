"""What an administrator does with people in the browser, and what nobody else can."""

import re
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import pytest

from metaloom import command
from metaloom.app import create_app
from metaloom.app.sessions import LOCK_AFTER
from metaloom.base.clock import SystemClock
from metaloom.base.text import Text
from metaloom.plugin.registry import installed
from metaloom.storage import Tenancy
from tests.web import site as shop
from tests.web.conftest import Visitor

USER, HELD, COMPANY = "/e/platform.user", "/e/platform.role_assignment", "/e/platform.company"
SECRET = "new-horse-42"


@pytest.fixture(scope="module")
def office(tmp_path_factory):
    """A tenant of its own with an administrator and an auditor beside the people of the shop."""
    settings = shop.settings_at(tmp_path_factory.mktemp("people"))
    tenancy = Tenancy(settings)
    tenant = shop.build_tenant(tenancy, "alpha", Text("阿尔法商行", "Alpha Trading"), sales=1)
    ctx = command.system_context(tenant, plugins=installed(), clock=SystemClock())
    ids = {}
    for name, role in (("admin", "platform.admin"), ("auditor", "platform.auditor"), ("staff", "platform.staff")):
        values = {"username": name, "display_name": name.title(), "email": f"{name}@example.com"}
        ids[name] = command.save_user(ctx, None, values, password=shop.PASSWORD).id
        command.assign_role(ctx, ids[name], role)
    other = command.create_record(ctx, "platform.company", {"code": "C2", "name": "West", "business_date": datetime(2026, 11, 21).date()}).id
    unit = command.create_record(ctx, "platform.org_unit", {"code": "D2", "name": "West desk", "company": other}).id
    yield SimpleNamespace(app=create_app(settings, tenancy=tenancy), tenant=tenant, ctx=ctx, ids=ids, company=1, other=other, unit=unit, count=0)
    tenancy.close()


@pytest.fixture
def enter(office):
    def make(username, password=shop.PASSWORD):
        visitor = Visitor(office.app, "alpha")
        assert visitor.log_in(username, password).status_code == 302
        return visitor

    return make


@pytest.fixture
def person(office):
    """A fresh account with the seller's role; (id, login)."""
    office.count += 1
    name = f"person{office.count}"
    id = command.save_user(office.ctx, None, {"username": name, "display_name": f"Person {office.count}", "email": f"{name}@example.com",
                                              "staff_no": f"S{office.count}"}, password=shop.PASSWORD).id
    command.assign_role(office.ctx, id, "shop.seller", company=1)
    return id, name


def stored(office, id):
    with office.tenant.read() as conn:
        table = office.tenant.revision().tables.engine.user
        return dict(conn.execute(table.select().where(table.c.id == id)).mappings().one())


def assignments(office, user):
    with office.tenant.read() as conn:
        table = office.tenant.revision().tables.engine.role_assignment
        return [dict(r) for r in conn.execute(table.select().where(table.c.user_id == user).order_by(table.c.id)).mappings()]


def problems_at(page, field):
    found = re.search(rf'id="f-{field}-p">([^<]*)<', page)
    return found[1] if found else ""


def new_person(name, **more):
    return {"username": name, "display_name": "张三", "email": f"{name}@example.com", "active": "true", "_password": SECRET, "_password_again": SECRET, **more}


# ------------------------------------------------------------------------------------------------------- accounts


def test_the_list_leads_to_a_new_person_who_can_log_in(office, enter):
    admin = enter("admin")
    assert f'href="/alpha{USER}/new"' in admin.get(f"{USER}/").text
    page = admin.get(f"{USER}/new").text
    assert all(f'name="{n}"' in page for n in ("username", "display_name", "staff_no", "mobile", "email", "company", "org_unit", "active", "_password"))
    answer = admin.post(f"{USER}/new", new_person("zhangsan", staff_no="A7", mobile="13800000001", company=str(office.company)))
    assert answer.status_code == 303, problems_at(answer.text, "email")
    enter("zhangsan", SECRET)


def test_a_refused_form_says_everything_at_its_field_and_never_gives_the_password_back(enter):
    admin = enter("admin")
    answer = admin.post(f"{USER}/new", new_person("", email="nonsense", _password="short", _password_again="other"))
    assert answer.status_code == 400
    assert all(problems_at(answer.text, field) for field in ("username", "email", "_password", "_password_again"))
    assert 'value="short"' not in answer.text and 'value="other"' not in answer.text
    assert "两次输入" in problems_at(answer.text, "_password_again")
    admin.post("/settings/locale", {"locale": "en"})
    english = admin.post(f"{USER}/new", new_person("weak", _password="weakweak1", _password_again="weakweak1")).text
    assert "user name" in problems_at(english, "_password")
    assert "required" in problems_at(admin.post(f"{USER}/new", new_person("none", _password="", _password_again="")).text, "_password")


def test_a_login_name_or_staff_number_is_given_once(enter):
    admin = enter("admin")
    assert admin.post(f"{USER}/new", new_person("twice", staff_no="T1")).status_code == 303
    again = admin.post(f"{USER}/new", new_person("twice", email="x@example.com"))
    assert again.status_code == 400 and problems_at(again.text, "username")
    number = admin.post(f"{USER}/new", new_person("thrice", staff_no="T1"))
    assert number.status_code == 400 and problems_at(number.text, "staff_no")


def test_editing_keeps_the_login_name_and_sees_an_older_version(office, enter, person):
    admin, (id, name) = enter("admin"), person
    page = admin.get(f"{USER}/{id}/edit").text
    assert 'name="username"' not in page and "_password" not in page
    version = str(stored(office, id)["row_version"])
    body = {"_version": version, "display_name": "Renamed", "email": f"{name}@example.com", "active": "true"}
    assert admin.post(f"{USER}/{id}/edit", body).status_code == 303
    assert stored(office, id)["display_name"] == "Renamed"
    assert admin.post(f"{USER}/{id}/edit", {**body, "display_name": "Older"}).status_code == 409
    assert admin.post(f"{USER}/{id}/edit", {**body, "_version": str(stored(office, id)["row_version"]), "username": "other"}).status_code == 400
    assert stored(office, id)["display_name"] == "Renamed" and stored(office, id)["username"] == name


def test_switching_off_ends_logins_at_once_and_switching_on_lets_in_again(office, enter, person):
    admin, (id, name) = enter("admin"), person
    inside = enter(name)
    version = str(stored(office, id)["row_version"])
    assert admin.post(f"{USER}/{id}/do/switch_off", {"_version": version}).status_code == 303
    assert inside.get("/").status_code == 302
    assert Visitor(office.app, "alpha").log_in(name).status_code == 401
    page = admin.get(f"{USER}/{id}").text
    assert "do/switch_on" in page and "ask/switch_off" not in page
    admin.post(f"{USER}/{id}/do/switch_on", {"_version": version})
    assert not stored(office, id)["active"] and "notice bad" in admin.get(f"{USER}/{id}").text, "the version is no longer the one shown"
    assert admin.post(f"{USER}/{id}/do/switch_on", {"_version": str(stored(office, id)["row_version"])}).status_code == 303
    enter(name)


def test_nobody_switches_off_or_disarms_the_own_account(office, enter):
    admin, id = enter("admin"), office.ids["admin"]
    for path, body in ((f"{USER}/{id}/do/switch_off", {"_version": str(stored(office, id)["row_version"])}),
                       (f"{HELD}/{assignments(office, id)[0]['id']}/do/revoke", {}),
                       (f"{USER}/{id}/do/reset_password", {"password": SECRET, "again": SECRET})):
        assert admin.post(path, body).status_code in (303, 400), path
        assert "notice bad" in admin.get(path.rpartition("/do/")[0]).text, path
    assert stored(office, id)["active"] and len(assignments(office, id)) == 1
    assert admin.get("/").status_code == 200


def test_a_new_password_ends_logins_and_obeys_the_rule(office, enter, person):
    admin, (id, name) = enter("admin"), person
    inside, hx = enter(name), {"HX-Request": "true"}
    dialog = admin.get(f"{USER}/{id}/ask/reset_password", headers=hx).text
    assert dialog.count('type="password"') == 2
    refused = admin.post(f"{USER}/{id}/do/reset_password", {"password": "abc", "again": "abd"}, headers=hx)
    assert refused.status_code == 400 and problems_at(refused.text, "password") and problems_at(refused.text, "again") and 'value="abc"' not in refused.text
    holds_name = admin.post(f"{USER}/{id}/do/reset_password", {"password": f"{name}-9x", "again": f"{name}-9x"}, headers=hx)
    assert holds_name.status_code == 400 and problems_at(holds_name.text, "password")
    assert inside.get("/").status_code == 200
    assert admin.post(f"{USER}/{id}/do/reset_password", {"password": SECRET, "again": SECRET}, headers=hx).status_code == 204
    assert inside.get("/").status_code == 302
    enter(name, SECRET)


def test_a_locked_account_is_shown_and_unlocked(office, enter, person):
    admin, (id, name) = enter("admin"), person
    assert "do/unlock" not in admin.get(f"{USER}/{id}").text
    stranger = Visitor(office.app, "alpha")
    for _ in range(LOCK_AFTER):
        assert stranger.log_in(name, "wrong-1234").status_code == 401
    assert stranger.log_in(name).status_code == 429
    assert stranger.log_in(f"{name}@example.com").status_code == 429
    assert "do/unlock" in admin.get(f"{USER}/{id}").text
    assert admin.post(f"{USER}/{id}/do/unlock", {}).status_code == 303
    assert stored(office, id)["locked_until"] is None
    assert stranger.log_in(name).status_code == 302


# ---------------------------------------------------------------------------------------------------------- roles


def test_a_role_is_given_with_place_and_days_and_taken_back(office, enter, person):
    admin, (id, _) = enter("admin"), person
    dialog = admin.get(f"{USER}/{id}/ask/assign_role", headers={"HX-Request": "true"}).text
    assert 'value="platform.auditor"' in dialog and "审计员" in dialog
    tomorrow = (datetime.now(UTC) + timedelta(days=2)).date().isoformat()
    body = {"role": "platform.auditor", "company": str(office.other), "org_unit": str(office.unit), "valid_from": tomorrow}
    assert admin.post(f"{USER}/{id}/do/assign_role", body).status_code == 303
    held = assignments(office, id)[-1]
    assert (held["role"], held["company_id"], held["org_unit_id"]) == ("platform.auditor", office.other, office.unit)
    page = admin.get(f"{USER}/{id}").text
    assert "West desk" in page and "未生效" in page and tomorrow in page
    before = len(assignments(office, id))
    assert admin.post(f"{HELD}/{held['id']}/do/revoke", {"_next": f"/alpha{USER}/{id}"}).headers["Location"].endswith(f"{USER}/{id}")
    assert len(assignments(office, id)) == before - 1
    assert admin.post(f"{HELD}/{held['id']}/do/revoke", {}).status_code == 404


def test_a_taken_role_is_gone_at_the_next_click(office, enter, person):
    admin, (id, name) = enter("admin"), person
    inside = enter(name)
    assert inside.get("/e/shop.sale/").status_code == 200
    admin.post(f"{HELD}/{assignments(office, id)[0]['id']}/do/revoke", {})
    assert inside.get("/e/shop.sale/").status_code == 404


@pytest.mark.parametrize(("field", "change"), [
    ("role", {"role": "shop.nobody"}), ("role", {"role": ""}), ("valid_to", {"valid_from": "2026-12-01", "valid_to": "2026-11-01"}),
    ("valid_from", {"valid_from": "2026-02-30"}), ("company", {"company": "99999"}), ("org_unit", {"org_unit": "-1"}),
    ("org_unit", {"company": "1", "org_unit": "D2"}),
])
def test_a_wrong_role_says_why_at_its_field(office, enter, person, field, change):
    admin, (id, _) = enter("admin"), person
    change = {k: str(office.unit) if v == "D2" else v for k, v in change.items()}
    answer = admin.post(f"{USER}/{id}/do/assign_role", {"role": "shop.viewer", **change}, headers={"HX-Request": "true"})
    assert answer.status_code == 400 and problems_at(answer.text, field), answer.text[:600]
    assert len(assignments(office, id)) == 1


def test_the_list_of_assignments_gives_a_role_too(office, enter, person):
    admin, (id, _) = enter("admin"), person
    assert f'href="/alpha{HELD}/new"' in admin.get(f"{HELD}/").text
    listed = admin.get(f"{HELD}/").text
    assert "系统管理员" in listed and "platform.admin" not in listed
    assert '<option value="shop.viewer"' in admin.get(f"{HELD}/new?user={id}").text
    assert admin.post(f"{HELD}/new", {"user": str(id), "role": "shop.viewer"}).status_code == 303
    assert [a["role"] for a in assignments(office, id)] == ["shop.seller", "shop.viewer"]


# ---------------------------------------------------------------------------------------------------------- logins


def test_one_login_is_ended_and_the_other_stays(office, enter, person):
    admin, (id, name) = enter("admin"), person
    one, other = enter(name), enter(name)
    page = admin.get(f"{USER}/{id}").text
    numbers = re.findall(r'name="session" value="(\d+)"', page)
    assert len(numbers) == 2
    assert admin.post(f"{USER}/{id}/do/end_session", {"session": numbers[0]}).status_code == 303
    assert sorted(v.get("/").status_code for v in (one, other)) == [200, 302]
    assert admin.post(f"{USER}/{office.ids['auditor']}/do/end_session", {"session": numbers[1]}).status_code == 404
    assert admin.post(f"{USER}/{id}/do/end_session", {"session": "x"}, headers={"HX-Request": "true"}).status_code == 400


def test_a_login_under_an_older_password_is_no_longer_shown(office, enter, person):
    admin, (id, name) = enter("admin"), person
    enter(name)
    assert 'name="session"' in admin.get(f"{USER}/{id}").text
    admin.post(f"{USER}/{id}/do/reset_password", {"password": SECRET, "again": SECRET})
    assert 'name="session"' not in admin.get(f"{USER}/{id}").text


# ------------------------------------------------------------------------------------------------------ other people


@pytest.mark.parametrize("who", ["auditor", "staff", "han"])
def test_nobody_without_the_right_sees_or_does_any_of_it(office, enter, person, who):
    other, (id, _) = enter(who), person
    before, held = stored(office, id), assignments(office, id)
    reads = other.get(f"{USER}/{id}").status_code
    assert reads == (404 if who == "han" else 200)
    page = other.get(f"{USER}/{id}").text + other.get(f"{USER}/").text
    assert not re.search(r"/new\"|/edit\"|switch_off|assign_role|reset_password|ask/revoke|end_session", page)
    tries = [("/new", new_person("sneak")), (f"/{id}/edit", {"_version": str(before["row_version"]), "display_name": "x"})]
    tries += [(f"/{id}/do/{verb}", {"_version": str(before["row_version"]), "password": SECRET, "again": SECRET, "role": "platform.admin", "session": "1"})
              for verb in ("switch_off", "reset_password", "unlock", "assign_role", "end_session")]
    for path, body in tries:
        assert other.post(USER + path, body).status_code in (403, 404), path
        assert other.get(USER + path.replace("/do/", "/ask/")).status_code in (403, 404), path
    assert other.post(f"{HELD}/{held[0]['id']}/do/revoke", {}).status_code in (403, 404)
    assert other.post(f"{HELD}/new", {"user": str(id), "role": "platform.admin"}).status_code in (403, 404)
    assert (stored(office, id), assignments(office, id)) == (before, held)


@pytest.mark.parametrize("verb", ["switch_off", "reset_password", "assign_role", "unlock", "end_session"])
def test_only_a_posted_form_with_its_token_changes_anything(office, enter, person, verb):
    admin, (id, _) = enter("admin"), person
    before = stored(office, id)
    body = {"_version": str(before["row_version"]), "password": SECRET, "again": SECRET, "role": "shop.viewer", "session": "1"}
    assert admin.post(f"{USER}/{id}/do/{verb}", body, token=False).status_code == 400
    assert admin.get(f"{USER}/{id}/do/{verb}").status_code == 405
    assert stored(office, id) == before and len(assignments(office, id)) == 1


# -------------------------------------------------------------------------------------------------------- companies


def test_an_administrator_moves_the_business_date_forward_only(office, enter):
    admin = enter("admin")
    assert "ask/move_business_date" in admin.get(f"{COMPANY}/{office.other}").text
    assert admin.post(f"{COMPANY}/{office.other}/do/move_business_date", {"day": "2026-11-24"}).status_code == 303
    back = admin.post(f"{COMPANY}/{office.other}/do/move_business_date", {"day": "2026-11-20"})
    assert back.status_code == 303 and "2026-11-24" in admin.get(f"{COMPANY}/{office.other}").text
    assert admin.post(f"{COMPANY}/{office.other}/do/move_business_date", {"day": "soon"}, headers={"HX-Request": "true"}).status_code == 400
    for who in ("auditor", "staff", "li"):
        other = enter(who)
        assert "move_business_date" not in other.get(f"{COMPANY}/{office.other}").text
        assert other.post(f"{COMPANY}/{office.other}/do/move_business_date", {"day": "2026-12-24"}).status_code in (403, 404)


def test_the_history_of_a_person_speaks_in_words(office, enter, person):
    admin, (id, _) = enter("admin"), person
    admin.post(f"{USER}/{id}/do/reset_password", {"password": SECRET, "again": SECRET})
    history = admin.get(f"{USER}/{id}/tab/history").text
    assert "修改密码" in history and "set_password" not in history and "scrypt" not in history


def test_the_audit_log_names_the_person_and_keeps_the_login_as_a_hint(enter):
    page = enter("auditor").get("/e/platform.audit_entry/?f.actor_name=li").text
    assert re.search(r'<td class="[^"]*" data-l="[^"]*" title="li">(<a[^>]*>|<span[^>]*>)李雷<', page) and ">登录名</th>" not in page


def test_an_administrator_asks_why_somebody_may_or_may_not(office, enter):
    admin = enter("admin")
    page = admin.get("/access/").get_data(as_text=True)
    assert "权限说明" in page and 'href="/alpha/access/"' in page and 'name="person"' in page
    no = admin.get("/access/?person=staff&entity=platform.role_assignment&action=create").get_data(as_text=True)
    assert "不可以" in no and "可授予该操作的其他角色" in no and re.search(r"<code>[^<]+\.yaml:\d+", no), "with the line that would give it"
    yes = admin.get(f"/access/?person=admin&entity=platform.user&record={office.ids['staff']}&action=edit").get_data(as_text=True)
    assert "可以：" in yes and "不可以" not in yes.split("该用户持有的授权")[0] and "字段权限" in yes
    assert "没有编号为 999999 的记录" in admin.get("/access/?person=admin&entity=platform.user&record=999999").get_data(as_text=True)
    for wrong, said in (("person=noone_such&entity=platform.user", "没有用户名为“noone_such”"), ("person=admin&entity=a.b", "没有名为“a.b”"),
                        ("person=admin&entity=platform.user&record=-1", "正整数"), ("person=admin&entity=platform.user&record=" + "9" * 30, "正整数"),
                        ("person=admin&entity=platform.user&record=" + "9" * 5000, "正整数")):
        answer = admin.get(f"/access/?{wrong}")
        assert answer.status_code == 422 and said in answer.get_data(as_text=True)
    auditor = enter("auditor")
    assert auditor.get("/access/?person=admin&entity=platform.user").status_code == 403
    assert 'href="/alpha/access/"' not in auditor.get("/").get_data(as_text=True)


def test_the_answer_is_the_one_that_the_rights_give(office):
    """Everybody × every entity × every action: the summary says what the plan decides, and a grant stands behind each yes."""
    from metaloom.access import plan_for

    cells = 0
    with office.tenant.read() as conn:
        revision = office.tenant.revision()
        plans = {name: plan_for(conn, revision, id) for name, id in office.ids.items()}
    for name, id in office.ids.items():
        for entity in revision.catalog.entities:
            for action in ("list", "read", "create", "edit", "delete", "export", "dance"):
                told = command.explain_access(office.ctx, id, entity, action)
                assert told.allowed == bool(plans[name].may(entity, action)), (name, entity, action)
                assert told.allowed == any(one.gives for one in told.held)
                assert told.summary.say("zh").startswith("可以" if told.allowed else "不可以")
                cells += 1
    print(f"{cells} cells")
    assert cells >= 300
