"""Logging in by a provider of OpenID Connect: who comes in, with which roles, and what is not believed."""

import time
from contextlib import ExitStack
from datetime import date
from urllib.parse import parse_qs, urlsplit

import jwt
import pytest
import sqlalchemy as sa

from metaloom.compile import Source
from metaloom.schema_change import publish, sources_of
from metaloom.storage import rate
from metaloom.web import oidc
from tests.api import world as depot
from tests.security.conftest import values_of
from tests.security.provider import CLIENT, SECRET, Provider
from tests.web.conftest import Visitor

CARD = """tenant:
  label: {{zh: 仓库, en: Depot}}
  packs: [platform, depot]
  settings:
    login:
      oidc:
        issuer: "{issuer}"
        client_id: metaloom
        secret_ref: oidc.client
        scopes: [groups]
        create: {create}
        company: C1
        roles:
          - {{group: readers, role: depot.reader}}
          - {{group: packers, role: depot.packer}}
"""


@pytest.fixture(scope="module")
def provider(world):
    made = Provider()
    tenant = world.tenants["one"]
    before = tenant.revision().number
    tenant.secrets.set("oidc.client", SECRET)
    publish(tenant, (*sources_of(tenant, before), Source("client", "tenant.yaml", CARD.format(issuer=made.issuer, create="true"))))
    yield made
    from metaloom.schema_change import rollback

    rollback(tenant, before)
    made.server.shutdown()


@pytest.fixture(autouse=True)
def honest(world, provider):
    oidc.forget()
    with world.tenants["one"].write() as conn:
        rate.forget(conn, names=[rate.counter(kind, "127.0.0.1") for kind in ("provider", "network")])
    provider.asked, provider.kid, provider.slow = [], "one", 0.0
    provider.lie, provider.signed_by, provider.away, provider.described = (lambda claims, head: None), provider.key, 0, {}


def somebody(provider, **more):
    number = values_of()
    provider.person = {"sub": f"s{number}", "preferred_username": f"oidc{number}", "name": f"人员{number}", "email": f"oidc{number}@example.cn",
                       "groups": [], **more}
    return provider.person


def asked(visitor, path="/login/oidc"):
    """Begins a login; what the browser is sent to the provider with."""
    answer = visitor.get(path)
    assert answer.status_code == 302, answer.status_code
    parts = urlsplit(answer.headers["Location"])
    return {name: values[0] for name, values in parse_qs(parts.query).items()}


def enter(world, provider, visitor=None, change=None, path="/login/oidc"):
    """The whole way; the visitor and the last answer."""
    visitor = visitor or Visitor(world.app, "one")
    sent = asked(visitor, path)
    back = {"state": sent["state"], "code": provider.authorize(sent)}
    if change is not None:
        change(back)
    return visitor, visitor.get("/login/oidc/back", query_string=back)


def account(world, username):
    users = world.tenants["one"].revision().tables.engine.user
    with world.tenants["one"].read() as conn:
        return conn.execute(sa.select(users).where(users.c.username == username)).mappings().first()


def roles(world, username):
    held = world.tenants["one"].revision().tables.engine.role_assignment
    with world.tenants["one"].read() as conn:
        return set(conn.scalars(sa.select(held.c.role).where(held.c.user_id == account(world, username)["id"])))


def test_a_person_of_the_provider_comes_in_and_roles_follow_the_groups(world, provider):
    who = somebody(provider, groups=["readers", "elsewhere"])
    visitor, answer = enter(world, provider, path="/login/oidc?next=/one/e/depot.buyer/")
    assert (answer.status_code, answer.headers["Location"]) == (302, "/one/e/depot.buyer/")
    assert visitor.get("/e/depot.buyer/").status_code == 200
    assert roles(world, who["preferred_username"]) == {"depot.reader"}
    who["groups"] = ["packers"]
    again, _ = enter(world, provider)
    assert roles(world, who["preferred_username"]) == {"depot.packer"}
    assert again.get("/e/depot.buyer/").status_code == 200
    who["groups"] = []
    enter(world, provider)
    assert roles(world, who["preferred_username"]) == set()
    assert not account(world, who["preferred_username"])["password"], "no password is made"
    assert Visitor(world.app, "one").log_in(who["preferred_username"], "").status_code == 401


def test_the_login_page_offers_it_where_the_tenant_names_a_provider(world, provider):
    assert "/one/login/oidc" in Visitor(world.app, "one").get("/login/").text
    other = Visitor(world.app, "two")
    assert "/login/oidc" not in other.get("/login/").text
    assert [other.get(path).status_code for path in ("/login/oidc", "/login/oidc/back?state=x&code=y")] == [404, 404]


LIES = {
    "nonce of another login": lambda claims, head: claims.update(nonce="another"),
    "no nonce": lambda claims, head: claims.pop("nonce"),
    "another issuer": lambda claims, head: claims.update(iss="https://evil.example"),
    "made for another application": lambda claims, head: claims.update(aud="somebody-else"),
    "made for two, authorised for the other": lambda claims, head: claims.update(aud=[CLIENT, "other"], azp="other"),
    "made for two, nobody authorised": lambda claims, head: claims.update(aud=[CLIENT, "other"]),
    "no audience": lambda claims, head: claims.pop("aud"),
    "expired": lambda claims, head: claims.update(iat=claims["iat"] - 7200, exp=claims["exp"] - 7200),
    "never expires": lambda claims, head: claims.pop("exp"),
    "not yet": lambda claims, head: claims.update(nbf=claims["exp"] + 7200),
    "of the future": lambda claims, head: claims.update(iat=claims["iat"] + 7200),
    "no subject": lambda claims, head: claims.pop("sub"),
    "no name": lambda claims, head: claims.pop("preferred_username"),
    "a name that is none": lambda claims, head: claims.update(preferred_username=["admin"]),
    "unsigned": lambda claims, head: head.update(alg="none", key=None),
    "signed with the shared secret": lambda claims, head: head.update(alg="HS256", key=SECRET * 2),
    "a key of another name": lambda claims, head: head.update(kid="two"),
}


@pytest.mark.parametrize("lie", LIES)
def test_a_token_that_is_not_right_in_every_part_opens_nothing(world, provider, lie):
    who = somebody(provider)
    provider.lie = LIES[lie]
    visitor, answer = enter(world, provider)
    assert answer.status_code == 401 and who["sub"] not in answer.text and "alert" in answer.text
    assert visitor.get("/userinfo/").status_code == 302 and account(world, who["preferred_username"]) is None


def test_a_token_signed_by_somebody_else_opens_nothing(world, provider):
    somebody(provider)
    provider.signed_by = provider.other
    assert enter(world, provider)[1].status_code == 401


@pytest.mark.parametrize("change", [
    lambda back: back.update(state="another"), lambda back: back.pop("state"), lambda back: back.update(code="guessed"), lambda back: back.pop("code"),
    lambda back: back.update(error="access_denied"), lambda back: back.update(iss="https://evil.example"),
], ids=["another state", "no state", "guessed code", "no code", "refused", "mixed up"])
def test_a_way_back_that_was_changed_opens_nothing(world, provider, change):
    somebody(provider)
    visitor, answer = enter(world, provider, change=change)
    assert answer.status_code == 401 and visitor.get("/userinfo/").status_code == 302


def test_a_code_serves_once_and_in_the_browser_that_began(world, provider):
    somebody(provider)
    mine = Visitor(world.app, "one")
    sent = asked(mine)
    back = {"state": sent["state"], "code": provider.authorize(sent)}
    assert Visitor(world.app, "one").get("/login/oidc/back", query_string=back).status_code == 401, "a link for somebody else to click"
    assert mine.get("/login/oidc/back", query_string=back).status_code == 302
    mine.post("/logout/")
    assert mine.get("/login/oidc/back", query_string=back).status_code == 401
    other = Visitor(world.app, "one")
    asked(other)
    assert other.get("/login/oidc/back", query_string=back).status_code == 401


def test_a_login_begun_too_long_ago_ends(world, provider, monkeypatch):
    somebody(provider)
    visitor = Visitor(world.app, "one")
    sent = asked(visitor)
    monkeypatch.setattr(oidc.time, "time", lambda now=oidc.time.time: now() + oidc.BEGUN_FOR + 5)
    assert visitor.get("/login/oidc/back", query_string={"state": sent["state"], "code": provider.authorize(sent)}).status_code == 401


def test_a_name_that_the_provider_gives_to_somebody_else_opens_nothing(world, provider):
    """The account belongs to the subject; neither a new subject nor an administrator's name takes it over."""
    who = somebody(provider, groups=["readers"])
    assert enter(world, provider)[1].status_code == 302
    provider.person = {**who, "sub": "thief"}
    assert enter(world, provider)[1].status_code == 401
    provider.person = {**who, "preferred_username": "admin"}
    visitor, answer = enter(world, provider)
    assert answer.status_code == 302 and visitor.get("/e/platform.user/").status_code == 404, "still the reader's own account"


def test_an_administrators_account_is_not_entered_by_the_first_name_that_fits(world, provider):
    """An account that nobody bound yet is bound by its person, who knows its password; administrators keep theirs."""
    somebody(provider, preferred_username="admin")
    assert enter(world, provider)[1].status_code == 401
    assert world.browser("admin").get("/e/platform.user/").status_code == 200, "the password opens, whatever the provider says or is"
    provider.away = 503
    oidc.forget()
    assert Visitor(world.app, "one").get("/login/oidc").status_code == 503
    assert world.browser("admin").get("/").status_code == 200


def people_here(world, number, password=depot.PASSWORD):
    """An account that somebody made here, outside the provider."""
    from metaloom.command import save_user
    from tests.security.test_accounts import system

    return save_user(system(world), None, {"username": f"oidc{number}", "display_name": f"人员{number}", "email": f"here{number}@example.cn", "company": 1},
                     password=password).id


def bound(world, username):
    return account(world, username)["login_subject"]


def test_an_account_made_here_is_bound_only_after_its_password_was_given_once(world, provider):
    who = somebody(provider, groups=["readers"])
    name = who["preferred_username"]
    people_here(world, name.removeprefix("oidc"))
    thief, answer = enter(world, provider)
    assert answer.status_code == 200 and "/one/login/oidc/bind" in answer.text and name in answer.text
    assert (bound(world, name), roles(world, name)) == (None, set()) and thief.get("/userinfo/").status_code == 302
    assert thief.post("/login/oidc/bind", {"password": "guessed", "username": "admin"}).status_code == 401
    assert bound(world, name) is None and thief.get("/userinfo/").status_code == 302
    owner, _ = enter(world, provider, path="/login/oidc?next=/one/e/depot.buyer/")
    answer = owner.post("/login/oidc/bind", {"password": depot.PASSWORD})
    assert (answer.status_code, answer.headers["Location"]) == (302, "/one/e/depot.buyer/") and owner.get("/e/depot.buyer/").status_code == 200
    assert bound(world, name).endswith("|" + who["sub"]) and roles(world, name) == {"depot.reader"}
    assert enter(world, provider)[1].status_code == 302, "from now on the provider's word opens it"
    assert owner.post("/login/oidc/bind", {"password": depot.PASSWORD}).status_code == 401, "the wish to bind served once"


def test_a_password_alone_binds_nothing(world, provider):
    assert Visitor(world.app, "one").post("/login/oidc/bind", {"password": depot.PASSWORD}).status_code == 401, "nobody came back here"


def test_guesses_at_the_binding_are_counted_as_those_at_the_login(world, provider):
    from metaloom.app.sessions import LOCK_AFTER

    who = somebody(provider)
    people_here(world, who["preferred_username"].removeprefix("oidc"))
    visitor, _ = enter(world, provider)
    codes = [visitor.post("/login/oidc/bind", {"password": "guessed"}).status_code for _ in range(LOCK_AFTER + 1)]
    assert codes[-1] == 429 and visitor.post("/login/oidc/bind", {"password": depot.PASSWORD}).status_code == 429
    assert bound(world, who["preferred_username"]) is None


def test_an_account_made_here_without_a_password_is_bound_by_an_audited_act(world, provider):
    from metaloom.base.errors import NotPossible
    from metaloom.command import bind_login, unbind_login

    who = somebody(provider, groups=["readers"])
    id = people_here(world, who["preferred_username"].removeprefix("oidc"), password=None)
    assert enter(world, provider)[1].status_code == 401 and bound(world, who["preferred_username"]) is None
    bind_login(world.ctx("admin"), id, who["sub"])
    visitor, answer = enter(world, provider)
    assert answer.status_code == 302 and visitor.get("/e/depot.buyer/").status_code == 200
    with pytest.raises(NotPossible):
        bind_login(world.ctx("admin"), id, "another")
    with pytest.raises(NotPossible):
        bind_login(world.ctx("admin"), people_here(world, values_of()), who["sub"])
    unbind_login(world.ctx("admin"), id)
    assert visitor.get("/e/depot.buyer/").status_code == 302, "logins that the provider opened end"
    assert enter(world, provider)[1].status_code == 401
    assert [line for line in audited(world, id) if line[0] in ("bind_login", "unbind_login")] == [("bind_login", "admin"), ("unbind_login", "admin")]
    bind_login(world.ctx("admin"), id, "s-anew")
    provider.person = {**who, "sub": "s-anew"}
    assert enter(world, provider)[1].status_code == 302, "a person whom the provider made anew comes in again"


def audited(world, id):
    entries = world.tenants["one"].revision().tables.of("platform.audit_entry")
    with world.tenants["one"].read() as conn:
        return [tuple(row) for row in conn.execute(sa.select(entries.c.command, entries.c.actor_name).where(
            entries.c.entity == "platform.user", entries.c.record_id == id).order_by(entries.c.id))]


@pytest.mark.parametrize("confirmed", [False, True])
def test_who_becomes_an_administrator_comes_in_by_password_alone(world, provider, confirmed):
    from metaloom.command import assign_role, confirm_role
    from tests.security.test_accounts import system

    who = somebody(provider, groups=["readers"])
    visitor, answer = enter(world, provider)
    assert answer.status_code == 302 and visitor.get("/").status_code == 200
    id = account(world, who["preferred_username"])["id"]
    assignment = assign_role(world.ctx("admin"), id, "platform.admin").id
    if confirmed:
        confirm_role(system(world), assignment)
    assert bound(world, who["preferred_username"]) is None
    assert visitor.get("/").status_code == 302, "the login that the provider opened is over"
    assert enter(world, provider)[1].status_code == 401


def test_the_role_of_an_administrator_keeps_the_provider_out_however_it_came(world, provider):
    """A binding that is still there (a row that no command wrote) opens no administrator's account."""
    who = somebody(provider)
    assert enter(world, provider)[1].status_code == 302
    held = world.tenants["one"].revision().tables.engine.role_assignment
    with world.tenants["one"].write() as conn:
        conn.execute(held.insert().values(user_id=account(world, who["preferred_username"])["id"], role="platform.admin", waits_for_second=False,
                                          row_version=1))
    assert bound(world, who["preferred_username"]) is not None
    assert enter(world, provider)[1].status_code == 401


def test_confirming_ends_a_binding_that_came_between(world, provider):
    from metaloom.command import assign_role, confirm_role
    from tests.security.test_accounts import system

    who = somebody(provider)
    enter(world, provider)
    id = account(world, who["preferred_username"])["id"]
    assignment = assign_role(world.ctx("admin"), id, "platform.admin").id
    users = world.tenants["one"].revision().tables.engine.user
    with world.tenants["one"].write() as conn:
        conn.execute(users.update().where(users.c.id == id).values(login_subject="x|between"))
    confirm_role(system(world), assignment)
    assert bound(world, who["preferred_username"]) is None


def test_a_token_that_says_nothing_of_groups_leaves_the_roles_alone(world, provider, caplog):
    who = somebody(provider, groups=["readers"])
    enter(world, provider)
    del who["groups"]
    who["_claim_names"] = {"groups": "src1"}
    visitor, answer = enter(world, provider)
    assert answer.status_code == 302 and visitor.get("/e/depot.buyer/").status_code == 200
    assert roles(world, who["preferred_username"]) == {"depot.reader"} and "groups" in caplog.text
    who["groups"] = []
    enter(world, provider)
    assert roles(world, who["preferred_username"]) == set(), "an empty list says something"


@pytest.mark.parametrize("days", [{"valid_to": date(2020, 1, 31)}, {"valid_from": date(2999, 1, 1)}], ids=["over", "later"])
def test_an_assignment_that_is_not_valid_today_blocks_no_role_and_stays(world, provider, days):
    from metaloom.command import assign_role

    who = somebody(provider)
    enter(world, provider)
    assign_role(world.ctx("admin"), account(world, who["preferred_username"])["id"], "depot.reader", **days)
    who["groups"] = ["readers"]
    visitor, _ = enter(world, provider)
    assert visitor.get("/e/depot.buyer/").status_code == 200
    who["groups"] = []
    enter(world, provider)
    held = world.tenants["one"].revision().tables.engine.role_assignment
    with world.tenants["one"].read() as conn:
        left = conn.execute(sa.select(held.c.valid_from, held.c.valid_to).where(held.c.user_id == account(world, who["preferred_username"])["id"])).all()
    assert [tuple(row) for row in left] == [(days.get("valid_from"), days.get("valid_to"))]


def test_an_account_that_is_switched_off_stays_out_and_one_inside_is_thrown_out(world, provider):
    from metaloom.command import save_user
    from tests.security.test_accounts import system

    who = somebody(provider, groups=["readers"])
    visitor, answer = enter(world, provider)
    assert answer.status_code == 302 and visitor.get("/").status_code == 200
    save_user(system(world), account(world, who["preferred_username"])["id"], {"active": False})
    assert visitor.get("/").status_code == 302
    assert enter(world, provider)[1].status_code == 401


@pytest.mark.parametrize("described", [{"issuer": "https://evil.example"}, {"token_endpoint": "http://evil.example/token"}, {"jwks_uri": "file:///etc/passwd"},
                                       {"authorization_endpoint": "javascript:alert(1)"}], ids=str)
def test_a_provider_that_describes_itself_wrongly_is_not_asked(world, provider, described):
    provider.described = described
    assert Visitor(world.app, "one").get("/login/oidc").status_code == 401


def test_a_way_back_leads_nowhere_else_and_the_cookie_is_fresh(world, provider):
    somebody(provider)
    visitor = Visitor(world.app, "one")
    visitor.get("/login/")
    before = visitor.client.get_cookie("ml_session", path="/one").value
    _, answer = enter(world, provider, visitor, path="/login/oidc?next=https://evil.example/")
    assert answer.headers["Location"] == "/one/"
    assert visitor.client.get_cookie("ml_session", path="/one").value != before
    stolen = world.app.test_client()
    stolen.set_cookie("ml_session", before, path="/one")
    assert stolen.get("/one/userinfo/").status_code == 302


def test_the_tests_provider_signs_what_a_library_reads(provider):
    """The other side is right by itself: its token is accepted by the library with the provider's own key."""
    token = jwt.encode({"x": 1}, provider.key, algorithm="RS256")
    assert jwt.decode(token, provider.key.public_key(), algorithms=["RS256"]) == {"x": 1} and depot.PASSWORD


def test_what_the_provider_says_of_itself_is_asked_once_and_its_keys_again_when_it_turned_them(world, provider):
    somebody(provider)
    for _ in range(3):
        assert enter(world, provider)[1].status_code == 302
    assert provider.asked == ["description", "keys"]
    provider.kid = "turned"
    assert enter(world, provider)[1].status_code == 401, "fetched a moment ago: nobody makes the server ask again and again"
    assert provider.asked == ["description", "keys"]
    for address, (at, found) in list(oidc._kept_answers.items()):
        oidc._kept_answers[address] = (at - oidc.KEYS_AGAIN - 1, found)
    assert enter(world, provider)[1].status_code == 302
    assert provider.asked == ["description", "keys", "keys"]


def test_a_provider_that_is_away_is_not_asked_by_every_page(world, provider):
    provider.away = 503
    answers = [Visitor(world.app, "one").get("/login/oidc") for _ in range(4)]
    assert [(answer.status_code, answer.headers["Retry-After"]) for answer in answers] == [(503, "10")] * 4
    assert provider.asked == ["description"]


def test_a_provider_that_answers_too_slowly_is_left_at_the_deadline(world, provider, monkeypatch):
    monkeypatch.setattr(oidc, "DEADLINE", 0.2)
    provider.slow = 1.0
    begun = time.monotonic()
    assert Visitor(world.app, "one").get("/login/oidc").status_code == 503
    assert time.monotonic() - begun < 0.9, "nobody waits for the whole answer"


def test_calls_outside_are_few_at_a_time(world, provider, monkeypatch):
    monkeypatch.setattr(oidc, "TURN", 0.05)
    with ExitStack() as held:
        for _ in range(oidc.AT_ONCE):
            places = oidc.places_of(provider.issuer)
            places.acquire(timeout=5)
            held.callback(places.release)
        answer = Visitor(world.app, "one").get("/login/oidc")
        assert (answer.status_code, answer.headers["Retry-After"], provider.asked) == (503, "10", [])
    assert Visitor(world.app, "one").get("/login/oidc").status_code == 302


def test_logins_that_a_network_begins_and_never_finishes_are_counted(world, provider, monkeypatch):
    from metaloom.app import sessions

    monkeypatch.setattr(sessions, "LOCK_PROVIDER_AFTER", 5)
    somebody(provider)
    for _ in range(5):
        assert enter(world, provider)[1].status_code == 302, "finished ones count for nothing"
    answers = [Visitor(world.app, "one").get("/login/oidc") for _ in range(6)]
    assert [answer.status_code for answer in answers] == [302] * 5 + [429] and int(answers[-1].headers["Retry-After"]) > 0
    assert Visitor(world.app, "one").get("/login/oidc/back?state=x&code=y").status_code == 429
    elsewhere = world.app.test_client().get("/one/login/oidc", environ_overrides={"REMOTE_ADDR": "192.0.2.7"})
    assert elsewhere.status_code == 302
