"""A request that carries one person's cookie and another's token: the token alone counts, from rights to audit, and the cookie's login is left alone."""

import io

import sqlalchemy as sa

from metaloom.app.sessions import TOUCH_EVERY
from metaloom.base.clock import FixedClock
from metaloom.command.api_key import create_api_key
from tests.security.conftest import values_of

API = "/one/api/v1"


def bearer(token):
    return {"Authorization": f"Bearer {token}", "Accept-Language": "en"}


def last_audit(world):
    with world.tenants["one"].read() as conn:
        audit = world.tenants["one"].revision().tables.engine.audit
        return conn.execute(sa.select(audit).order_by(audit.c.id.desc()).limit(1)).one()


def test_the_token_says_who_asks_and_what_may_be_seen_and_done(world, people):
    """The cookie of one who may more lends nothing, that of one who may less takes nothing away."""
    buyer = people["chief"].buyer(secret="only the chief reads this")
    for cookie, name, key in (("chief", "reader", False), ("reader", "chief", False), ("chief", "reader", True), ("reader", "chief", True)):
        http = world.browser(cookie).client
        token = create_api_key(world.ctx(name), f"both {values_of()}")[1] if key else people[name].token
        assert http.get(f"{API}/me").json["username"] == cookie
        assert http.get(f"{API}/me", headers=bearer(token)).json["username"] == name
        seen = http.get(f"{API}/depot.buyer/{buyer}", headers=bearer(token)).json
        assert ("secret" in seen) is (name == "chief")
        assert http.get(f"{API}/depot.buyer/export", headers=bearer(token)).status_code == (200 if name == "chief" else 403)
        paths = http.get(f"{API}/openapi.json", headers=bearer(token)).json["paths"]
        assert ("post" in paths["/depot.buyer"]) is (name == "chief")
        assert http.get(f"{API}/me").json["username"] == cookie, "the next request without a token is the browser's again"


def test_what_is_written_belongs_to_the_token_and_stands_under_its_name_in_the_audit(world, people):
    http = world.browser("chief").client
    clerk, chief = world.id_of("clerk"), world.id_of("chief")
    made = http.post(f"{API}/depot.buyer", json={"code": f"both-{values_of()}", "name": "Both"}, headers=bearer(people["clerk"].token))
    assert made.status_code == 201, "a token needs no CSRF token"
    entry = last_audit(world)
    assert (entry.actor_id, entry.record_id, entry.channel) == (clerk, made.json["id"], "api")
    row = people["clerk"].get(f"/depot.buyer/{made.json['id']}").json
    assert (row["created_by"]["id"], row["owner"]["id"]) == (clerk, clerk)
    told = people["chief"].get(f"/depot.buyer/{made.json['id']}/history").json["items"]
    assert {one["actor"]["id"] for one in told} == {clerk} and chief not in {one["actor"]["id"] for one in told}
    file = http.post(f"{API}/files", data={"file": (io.BytesIO(b"%PDF-1.4 x"), "a.pdf")}, headers=bearer(people["clerk"].token)).json["id"]
    assert people["clerk"].get(f"/files/{file}").status_code == 200
    assert http.get(f"{API}/files/{file}").status_code == 404, "the upload is not the cookie's"


def test_a_token_that_is_refused_is_not_replaced_by_the_cookie(world, people):
    http = world.browser("chief").client
    foreign = people["clerk"].token[:-4]
    for sent in (foreign, "mlk_" + "x" * 43, "", "a.b.c"):
        answer = http.get(f"{API}/me", headers=bearer(sent))
        assert answer.status_code == 401 and "chief" not in answer.text.lower()
        assert http.post(f"{API}/depot.buyer", json={"code": "never", "name": "Never"}, headers=bearer(sent)).status_code == 401
    assert http.get(f"{API}/me", headers={"Authorization": "Basic Y2xlcms6eA=="}).status_code == 401


def test_screens_know_the_cookie_alone(world, people):
    browser = world.browser("reader")
    page = browser.get("/e/depot.buyer/", headers=bearer(people["chief"].token))
    assert page.status_code == 200 and "Reader" in page.text and "Chief" not in page.text
    assert browser.get("/e/depot.buyer/new", headers=bearer(people["chief"].token)).status_code == 403
    assert world.app.test_client().get("/one/e/depot.buyer/", headers=bearer(people["chief"].token)).status_code in (302, 401)


def test_a_request_with_a_token_is_no_visit_of_the_cookies_person_and_does_not_end_it(world, people, monkeypatch):
    """An idle login ends though a program of somebody else's goes on asking through the same browser; and logging in by the API logs nobody out."""
    http = world.browser("chief").client
    tenant, session = world.tenants["one"], world.tenants["one"].revision().tables.engine.session

    def seen():
        with tenant.read() as conn:
            return conn.scalar(sa.select(sa.func.max(session.c.seen_at)).where(session.c.user_id == world.id_of("chief")))

    before = seen()
    store = world.app.session_interface.store
    monkeypatch.setattr(store, "clock", FixedClock(store.clock.now() + TOUCH_EVERY * 2))
    assert http.get(f"{API}/me", headers=bearer(people["reader"].token)).json["username"] == "reader"
    assert seen() == before
    for body in ({"username": "reader", "password": "wrong"}, {"username": "reader", "password": "correct horse 7 battery"}):
        answer = http.post(f"{API}/auth/login", json=body)
        assert answer.status_code in (200, 401) and "Set-Cookie" not in answer.headers
    assert http.get(f"{API}/me").json["username"] == "chief"
    assert seen() > before, "a request of the cookie's own is a visit"
