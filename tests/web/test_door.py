"""Who gets in: logins, sessions, tenants, tokens against forged requests, headers (reliability §2, 86-100)."""

import re
from datetime import timedelta

import pytest
from flask import session
from flask_wtf.csrf import validate_csrf
from itsdangerous import URLSafeTimedSerializer
from wtforms import ValidationError

from metaloom.app import create_app

# The only routes that answer without a login. A new route that is missing here fails the test below.
PUBLIC = {"/static/<path:name>", "/login/", "/login/oidc", "/login/oidc/back", "/login/oidc/bind",
          "/theme.css", "/settings/locale", "/healthz", "/readyz", "/metrics", "/hook/<name>", "/notice/<name>"}


def concrete(rule):
    return re.sub(r"<[^>]*>", "1", rule.rule)


def screens(app):
    return [r for r in app.url_map.iter_rules() if not r.rule.startswith("/api/")]


def test_every_route_without_login_leads_to_the_login_page(app, visitor):
    nobody, asked = visitor(), 0
    token = nobody.token()
    for rule in screens(app):
        if rule.rule in PUBLIC:
            continue
        for method in rule.methods & {"GET", "POST"}:
            answer = nobody.client.open(nobody.url(concrete(rule)), method=method, data={"csrf_token": token})
            assert answer.status_code == 302, (rule, method, answer.status_code)
            assert "/alpha/login/" in answer.headers["Location"]
            asked += 1
    print(f"{asked} routes asked without login")
    assert asked > 35


def test_the_list_of_public_routes_is_complete(app):
    from metaloom.web.security import PUBLIC_ENDPOINTS

    assert {r.rule for r in screens(app) if r.endpoint in PUBLIC_ENDPOINTS} == PUBLIC


def test_a_login_opens_and_a_logout_closes(visitor):
    person = visitor("li")
    assert person.get("/").status_code == 200
    old = person.client.get_cookie("ml_session", path="/alpha").value
    assert person.post("/logout/").status_code == 302
    person.client.set_cookie("ml_session", old, path="/alpha")
    assert person.get("/").status_code == 302


def test_a_login_makes_a_fresh_cookie_and_never_keeps_a_planted_one(visitor):
    person = visitor()
    person.token()
    before = person.client.get_cookie("ml_session", path="/alpha").value
    person.log_in()
    after = person.client.get_cookie("ml_session", path="/alpha").value
    assert before != after and before.startswith("a.") and after.startswith("s.")


def test_cookies_are_closed_to_scripts_and_bound_to_the_tenant(visitor):
    cookie = next(c for c in visitor().log_in().headers.getlist("Set-Cookie") if c.startswith("ml_session="))
    assert "HttpOnly" in cookie and "SameSite=Lax" in cookie and "Path=/alpha" in cookie


def test_behind_tls_the_cookie_is_secure(settings, tenancy, monkeypatch):
    monkeypatch.setenv("METALOOM_HTTPS", "1")
    client = create_app(settings, tenancy=tenancy).test_client()
    cookies = client.get("/alpha/login/", base_url="https://localhost").headers.getlist("Set-Cookie")
    assert any(c.startswith("__Secure-ml=") and "Secure" in c for c in cookies)


def test_a_cookie_of_one_tenant_is_worth_nothing_in_another(visitor):
    person = visitor("li")
    stolen = person.client.get_cookie("ml_session", path="/alpha").value
    other = visitor(tenant="beta")
    other.client.set_cookie("ml_session", stolen, path="/beta")
    assert other.get("/").status_code == 302


def test_a_token_of_one_tenant_is_worth_nothing_in_another(app, visitor):
    client = app.test_client()
    body = {"username": "li", "password": "right-horse-7"}
    token = client.post("/alpha/api/v1/auth/login", json=body).get_json()["access_token"]
    assert client.get("/alpha/api/v1/me", headers={"Authorization": f"Bearer {token}"}).status_code == 200
    assert client.get("/beta/api/v1/me", headers={"Authorization": f"Bearer {token}"}).status_code == 401


def test_an_unknown_tenant_is_not_found_and_there_is_no_default(app):
    client = app.test_client()
    for path in ("/gamma/", "/gamma/login/", "/../alpha/", "/%00/"):
        assert client.get(path).status_code == 404, path


def test_ten_wrong_passwords_lock_this_address_and_not_another(tenancy, visitor):
    name, person = shop_person(tenancy, "locked"), visitor()
    for _ in range(10):
        assert person.log_in(name, "wrong-password-1").status_code == 401
    assert person.log_in(name).status_code == 429
    elsewhere = visitor()
    right = elsewhere.post("/login/", {"username": name, "password": "right-horse-7"}, environ_overrides={"REMOTE_ADDR": "10.1.2.3"})
    assert right.status_code == 302


def test_unknown_names_are_answered_like_wrong_passwords(visitor):
    one, other = visitor().log_in("absent", "x"), visitor().log_in("nobody", "x")
    assert one.status_code == other.status_code == 401
    without_tokens = [re.sub(r'(value|content)="[^"]*"', "", a.text) for a in (one, other)]
    assert without_tokens[0] == without_tokens[1]


@pytest.mark.parametrize("lost", [timedelta(minutes=31), timedelta(hours=13)])
def test_a_visit_ends_after_half_an_hour_of_silence_and_after_twelve_hours(app, tenancy, visitor, lost):
    person = visitor("li")
    session = tenancy.open("alpha").revision().tables.engine.session
    with tenancy.open("alpha").write() as conn:
        newest = conn.execute(session.select().order_by(session.c.id.desc())).mappings().first()
        changes = {"seen_at": newest["seen_at"] - lost} if lost < timedelta(hours=1) else {"expires_at": newest["expires_at"] - lost}
        conn.execute(session.update().where(session.c.id == newest["id"]).values(**changes))
    assert person.get("/").status_code == 302


def test_a_new_password_ends_every_other_login(app, tenancy, visitor):

    name = shop_person(tenancy, "changer")
    here, there = visitor(name), visitor(name)
    weak = here.post("/resetmypassword/form", {"current": "right-horse-7", "password": "short", "conf_password": "short"})
    assert weak.status_code == 400
    wrong = here.post("/resetmypassword/form", {"current": "no", "password": "better-horse-8", "conf_password": "better-horse-8"})
    assert wrong.status_code == 400
    done = here.post("/resetmypassword/form", {"current": "right-horse-7", "password": "better-horse-8", "conf_password": "better-horse-8"})
    assert done.status_code == 302
    assert there.get("/").status_code == 302, "the other browser is logged out"
    assert here.get("/").status_code == 200, "this browser stays"
    assert visitor().log_in(name).status_code == 401
    assert visitor().log_in(name, "better-horse-8").status_code == 302


def test_switching_an_account_off_ends_its_logins(tenancy, visitor):
    from metaloom import command
    from metaloom.base.clock import SystemClock
    from metaloom.plugin.registry import installed

    name = shop_person(tenancy, "leaver")
    person = visitor(name)
    tenant = tenancy.open("alpha")
    user = tenant.revision().tables.engine.user
    with tenant.read() as conn:
        user_id = conn.execute(user.select().where(user.c.username == name)).mappings().one()["id"]
    ctx = command.system_context(tenant, plugins=installed(), clock=SystemClock())
    command.save_user(ctx, user_id, {"active": False})
    assert person.get("/").status_code == 302
    assert visitor().log_in(name).status_code == 401


def shop_person(tenancy, name):
    """One more seller in alpha."""
    from metaloom import command
    from metaloom.base.clock import SystemClock
    from metaloom.plugin.registry import installed

    ctx = command.system_context(tenancy.open("alpha"), plugins=installed(), clock=SystemClock())
    user = command.save_user(ctx, None, {"username": name, "display_name": name, "email": f"{name}@example.com"}, password="right-horse-7").id
    command.assign_role(ctx, user, "shop.seller")
    return name


def test_every_change_needs_the_token(app, visitor):
    person, asked = visitor("li"), 0
    for rule in screens(app):
        if "POST" not in rule.methods:
            continue
        if rule.endpoint in ("outside.hook", "outside.notice"):  # called by systems, which sign: neither cookie nor token is of any use
            assert person.post(concrete(rule)).status_code == person.client.post(person.url(concrete(rule)), data="{}").status_code == 401
            continue
        for body in ({}, {"csrf_token": "forged"}):
            assert person.client.post(person.url(concrete(rule)), data=body).status_code == 400, rule
        assert person.client.post(person.url(concrete(rule)), data="{}", content_type="text/plain").status_code == 400, rule
        asked += 1
    print(f"{asked} changing routes asked without token")
    assert asked > 12


def test_the_token_of_another_person_does_not_help(visitor):
    mine, theirs = visitor("li"), visitor("han")
    answer = mine.client.post(mine.url("/logout/"), data={"csrf_token": theirs.token()})
    assert answer.status_code == 400
    assert mine.get("/").status_code == 200


def test_the_token_of_a_page_is_that_of_the_library_for_this_session(app, visitor):
    person = visitor("li")
    tokens = {re.search(r'name="csrf-token" content="([^"]+)"', person.get("/e/shop.sale/").text)[1] for _ in range(2)}
    with person.client as client:
        client.get(person.url("/e/shop.sale/"))
        for token in tokens:
            validate_csrf(token)
        raw, _, rest = min(tokens).partition(".")
        by_another_key = URLSafeTimedSerializer("x" * 40, salt="wtf-csrf-token").dumps(session["csrf_token"])
        for forged in (f"{raw}x.{rest}", raw, "", by_another_key):
            with pytest.raises(ValidationError):
                validate_csrf(forged)


@pytest.mark.parametrize("path", ["/login/", "/", "/e/shop.sale/", "/e/shop.sale/1", "/e/shop.sale/999999", "/theme.css"])
def test_every_answer_carries_the_headers(visitor, path):
    answer = visitor("li").get(path)
    policy = answer.headers["Content-Security-Policy"]
    assert "script-src 'self'" in policy and "unsafe" not in policy and "frame-ancestors 'none'" in policy
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert answer.headers["Referrer-Policy"] == "same-origin"
    assert answer.headers["X-Request-Id"]
    assert "Server" not in answer.headers or "Python" not in answer.headers["Server"]


@pytest.mark.parametrize("path", ["/login/", "/", "/e/shop.sale/", "/e/shop.sale/new", "/e/shop.sale/1", "/userinfo/", "/resetmypassword/form"])
def test_no_page_holds_a_script_or_style_of_its_own(visitor, path):
    page = visitor("li").get(path, follow_redirects=True).text
    assert not re.search(r"<script(?![^>]*\bsrc=)", page), "inline script"
    assert not re.search(r"\son[a-z]+=", page), "inline handler"
    assert not re.search(r"<[^>]+\sstyle=", page), "inline style"
    assert not re.search(r'(?:src|href)="(?:https?:)?//', page), "something from outside"


def test_a_weak_secret_key_stops_the_start(settings):
    from dataclasses import replace

    for weak in ("", "short", "a" * 40, "secret" + "x1y2z3" * 10, "\\2\\1thisismyscretkey\\1\\2\\e\\y\\y\\h" * 2):
        with pytest.raises(ValueError, match="SECRET_KEY"):
            create_app(replace(settings, secret_key=weak))


def test_login_never_leads_out_of_the_tenant(visitor):
    for wanted in ("https://evil.example/", "//evil.example/", "/beta/", "/alpha/\\evil.example", "/alpha//evil.example", "javascript:alert(1)"):
        answer = visitor().client
        person = visitor()
        answer = person.client.post(
            person.url("/login/"), query_string={"next": wanted}, data={"username": "li", "password": "right-horse-7", "csrf_token": person.token()}
        )
        assert answer.headers["Location"] == "/alpha/", wanted


@pytest.mark.parametrize(
    "path",
    [
        "/swagger/v1",
        "/debug",
        "/.git/config",
        "/.env",
        "/users/list/",
        "/roles/list/",
        "/static/build/build.mjs",
        "/static/../../setup.cfg",
        "/register/form",
        "/static/vendor/icons.svg.map",
    ],
)
def test_what_is_not_offered_is_not_found(visitor, path):
    assert visitor("li").get(path).status_code == 404
    assert visitor().client.get(path).status_code == 404
