"""What one tenant keeps outside of its own tables carries its name, its numbers are its own, and nothing tells of another."""

import ast
import re
from pathlib import Path

import pytest
import redis

from metaloom.base.errors import NotFound
from metaloom.job.redis_queue import Ringer
from tests.security.conftest import values_of

ROOT = Path(__file__).resolve().parents[2]
# Locks of PostgreSQL are numbers for a whole database: those that do not name the schema are for all tenants on purpose.
FOR_ALL = {"platform/metaloom/storage/postgresql.py": 3}


def lock_statements() -> list[tuple[str, str]]:
    found = []
    for path in sorted((ROOT / "platform").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Constant) and isinstance(node.value, str) and re.search(r"pg_(try_)?advisory_\w*(un)?lock\w*\(", node.value):
                found.append((str(path.relative_to(ROOT)), node.value))
    return found


def test_locks_of_the_database_name_the_tenant():
    found = lock_statements()
    nameless = [place for place, text in found for call in re.findall(r"pg_(?:try_)?advisory_\w*lock\w*\([^\n]*", text) if "current_schema()" not in call]
    assert len(found) >= 5
    assert {place: nameless.count(place) for place in set(nameless)} == FOR_ALL


def test_names_in_redis_carry_the_tenant(world, redis_url):
    """Everything that ringing for two tenants of one name space leaves there."""
    from dataclasses import replace

    with redis.Redis.from_url(redis_url) as there:
        there.flushdb()
        ringer = Ringer(replace(world.settings, redis_url=redis_url))
        left = {}
        for name in ("one", "two"):
            ringer(name)
            left[name] = {key.decode() for key in there.scan_iter("*") if there.type(key) == b"string"}
            for key in there.keys("rq:job:*"):
                assert name.encode() in b"".join(there.hgetall(key).values())
                there.delete(key)
        only_one, only_two = left["one"], left["two"] - left["one"]
        assert only_one and only_two and all(":one:" in key for key in only_one) and all(":two:" in key for key in only_two)
        there.flushdb()


def test_files_cookies_markers_and_tokens_of_one_tenant_are_nothing_in_the_other(world):
    one, two = world.tenants["one"], world.tenants["two"]
    kept = one.files.put(b"ZZ-of-one")
    assert one.files.path(kept.digest).parts[-3:] == ("one", kept.digest[:2], kept.digest)
    with pytest.raises(NotFound):
        two.files.open(kept.digest)
    callers = {name: world.client(name).login("chief") for name in ("one", "two")}
    for name, caller in callers.items():
        for _ in range(2):
            caller.buyer(code=f"m{name}{values_of()}")
    marker = callers["one"].get("/depot.buyer?limit=1").json["next_cursor"]
    assert marker and callers["one"].get(f"/depot.buyer?limit=1&cursor={marker}").status_code == 200
    assert callers["two"].get(f"/depot.buyer?limit=1&cursor={marker}").status_code == 400
    stranger = world.client("two")
    stranger.token = callers["one"].token
    assert stranger.get("/depot.buyer").status_code == 401


def test_switching_the_tenant_by_anything_but_the_address_is_not_possible(world):
    """Headers, query, body and hidden fields of all spellings: the records stay those of the address."""
    caller = world.client("one").login("chief")
    mine = caller.buyer(code=f"own{values_of()}")
    body = caller.get(f"/depot.buyer/{mine}").json
    other = world.client("two").login("chief").buyer(code=f"ZZ-two-{values_of()}", name="ZZ-two")
    for header in ("X-Tenant", "X-Tenant-Id", "Tenant", "X-Forwarded-Prefix", "X-Script-Name", "X-Original-URL", "X-Rewrite-URL"):
        assert caller.get(f"/depot.buyer/{mine}", **{header.replace("-", "_"): "two"}).json == body
        assert caller.get(f"/depot.buyer/{mine}", **{header.replace("-", "_"): "/two"}).json == body
    for name in ("tenant", "tenant_id", "schema", "db", "_tenant"):
        assert caller.get(f"/depot.buyer/{mine}?{name}=two").status_code in (200, 400)
        answer = caller.post("/depot.buyer", {"code": f"t{values_of()}", "name": "N", name: "two"})
        assert answer.status_code == 400, "a name nobody knows is refused"
    listed = caller.get("/depot.buyer?limit=200").get_data(as_text=True)
    assert "ZZ-two" not in listed and other
    browser = world.browser("chief")
    for path in ("/one/../two/e/depot.buyer/", "/one/%2e%2e/two/e/depot.buyer/", "/two/e/depot.buyer/", "//two/e/depot.buyer/"):
        answer = browser.client.get(path)
        assert "ZZ-two" not in answer.text and answer.status_code in (302, 308, 400, 401, 404), (path, answer.status_code)


def test_numbers_and_unique_values_are_of_the_tenant_alone(world):
    """Ids, document numbers and unique fields: what the other one has is neither skipped nor told."""
    one, two = world.client("one").login("chief"), world.client("two").login("chief")
    code = f"same{values_of()}"
    first, second = one.buyer(code=code), two.buyer(code=code)
    again = two.post("/depot.buyer", {"code": code, "name": "N"})
    assert again.status_code in (400, 422) and str(first) and second
    before = two.get(f"/depot.sale/{two.sale()}").json["order_no"]
    for _ in range(5):
        one.sale()
    after = two.get(f"/depot.sale/{two.sale()}").json["order_no"]
    assert int(after[-6:]) == int(before[-6:]) + 1, "orders of others leave no gap to count them by"
    third = two.buyer()
    for _ in range(3):
        one.buyer()
    assert two.buyer() == third + 1
