"""Accounts and roles through the API: by administrators, by the commands of their own."""

from metaloom.base.clock import SystemClock
from metaloom.command import set_password, system_context
from tests.api.world import PASSWORD


def test_an_administrator_makes_an_account_gives_a_role_and_takes_it_away(world, people):
    keeper = people["keeper"]
    number = len(keeper.get("/platform.user?limit=200").json["items"]) + 1
    body = {"username": f"new{number}", "display_name": "New", "email": f"new{number}@example.cn", "company": 1, "active": True}
    assert keeper.post("/platform.user", {**body, "password": "short"}).status_code == 400
    assert keeper.post("/platform.user", {**body, "password": [PASSWORD]}).status_code == 400
    made = keeper.post("/platform.user", {**body, "password": PASSWORD})
    assert made.status_code == 201, made.json
    caller = world.client().login(body["username"])
    assert caller.get("/depot.sale").json["code"] == "api.password_first"
    tenant = world.tenants[caller.tenant]
    set_password(system_context(tenant, plugins=world.registry, clock=SystemClock()), made.json["id"], PASSWORD)
    caller.login(body["username"])
    assert caller.get("/depot.sale").status_code == 404
    given = keeper.post("/platform.role_assignment", {"user": made.json["id"], "role": "depot.reader"})
    assert given.status_code == 201, given.json
    assert caller.get("/depot.sale").status_code == 200
    assert keeper.delete(f"/platform.role_assignment/{given.json['id']}", If_Match='"7"').status_code == 412
    assert keeper.delete(f"/platform.role_assignment/{given.json['id']}", If_Match='"1"').status_code == 200
    assert caller.get("/depot.sale").status_code == 401, "the token ended with the role"
    assert caller.login(body["username"]).get("/depot.sale").status_code == 404
    path = f"/platform.user/{made.json['id']}"
    assert keeper.patch(path, {"active": False}, If_Match=keeper.etag(path)).status_code == 200
    assert caller.get("/me").status_code == 401
    assert PASSWORD not in keeper.get(path + "/history").get_data(as_text=True)


def test_nobody_else_makes_accounts_or_gives_roles(people):
    for name in ("clerk", "chief", "nobody"):
        assert people[name].post("/platform.user", {"username": "x", "display_name": "x", "email": "x@example.cn"}).status_code == 403
        assert people[name].patch("/platform.user/1", {"active": False}, If_Match='"1"').status_code == 403
        assert people[name].post("/platform.role_assignment", {"user": 1, "role": "depot.chief"}).status_code in (403, 404)


def test_an_account_takes_no_secrets_and_no_unknown_roles(people):
    keeper = people["keeper"]
    for extra in ({"auth_stamp": 9}, {"password_hash": "x"}, {"locked_until": None}, {"id": 1}, {"login_count": 1}):
        body = {"username": "y", "display_name": "y", "email": "y@example.cn", **extra}
        assert keeper.post("/platform.user", body).status_code == 400, extra
    assert keeper.post("/platform.role_assignment", {"user": 1, "role": "depot.nothing"}).status_code == 400
    assert keeper.post("/platform.role_assignment", {"user": 10**9, "role": "depot.clerk"}).status_code in (400, 404)
    shown = str(keeper.get("/platform.user").json).replace("password_changed_at", "").replace("password_waits", "")
    assert "password" not in shown
    document = keeper.get("/openapi.json").json
    assert "password" in document["components"]["schemas"]["platform.user.create"]["properties"]
    assert {"get", "patch"} == set(document["paths"]["/platform.user/{id}"]) and "delete" in document["paths"]["/platform.role_assignment/{id}"]
