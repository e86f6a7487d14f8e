"""Every operation of the tenant's OpenAPI document, called by two roles or more: each answer is one the document speaks of.

A role that the document offers the operation calls it on a record of its own, on one that never existed, without and with what
is required; a role that it does not offer it to is refused. Bodies that the document forbids (another type, another choice,
too long, unknown, missing) never succeed.
"""

from __future__ import annotations

import io
from collections import Counter, defaultdict
from collections.abc import Iterator
from typing import Any

import pytest

from tests.api.conformity import Conformity
from tests.generic import values
from tests.generic.factory import Factory, stored
from tests.generic.test_crud import creators
from tests.generic.world import PASSWORD, World

Operation = tuple[str, str]  # path, method
NOBODY = 987_654_321
PER_OPERATION = 2
# Each would take away what the other suites of this world stand on: alice, the sessions, the login itself.
NOT_ON_PURPOSE = {"/auth/login", "/auth/refresh"}


class Roles:
    """The documents of all roles, as alice gets them."""

    def __init__(self, world: World) -> None:
        self.world, self.like = world, {}
        for role in world.catalog.roles:
            world.assume(role)
            answer = world.api().get("/openapi.json")
            assert answer.status_code == 200, role
            self.like[role] = Conformity(answer.json)

    def offered(self) -> dict[Operation, list[str]]:
        found: dict[Operation, list[str]] = defaultdict(list)
        for role, like in self.like.items():
            for path, methods in like.doc["paths"].items():
                for method in methods:
                    found[path, method].append(role)
        return found


@pytest.fixture(scope="module")
def roles(sandbox: World) -> Roles:
    return Roles(sandbox)


def chosen(world: World, offered: dict[Operation, list[str]]) -> dict[Operation, list[str]]:
    """Two roles for each operation, by turns, so that every role has its share."""
    found = {}
    for number, operation in enumerate(world.sample(sorted(offered))):
        holders = offered[operation]
        start = number % len(holders)
        found[operation] = (holders[start:] + holders[:start])[:PER_OPERATION]
    return found


@pytest.mark.timeout(900)
def test_every_operation_answers_as_the_document_says_in_two_roles(sandbox: World, roles: Roles) -> None:
    offered = roles.offered()
    told, wrong = Counter(), []
    asked = chosen(sandbox, offered)
    for role in sandbox.catalog.roles:
        mine = sorted((operation for operation, held in asked.items() if role in held), key=lambda operation: operation[1] == "delete")
        sandbox.assume(role)
        for path, method in mine:
            for answer in calls(sandbox, roles.like[role], path, method):
                told[answer.status_code] += 1
                fault = roles.like[role].fault(method, path, answer) if answer.status_code < 500 else f"{answer.status_code}"
                if fault:
                    wrong.append(f"{role} {method} {path}: {fault}")
    refused = strangers(sandbox, roles, asked, offered, wrong)
    print(f"OpenAPI: {len(asked)} of {len(offered)} operations, {sum(map(len, asked.values()))} pairs with a role, {told.total()} answers "
          f"{dict(sorted(told.items()))}, {refused} refused to a second role")
    assert not wrong, f"{len(wrong)} wrong\n" + "\n".join(wrong[:30])
    assert len(offered) >= 500 and len(asked) >= (len(offered) if sandbox.whole else len(offered) // 4)
    assert told.total() >= (3_000 if sandbox.whole else 700) and {200, 201, 400, 404, 412, 428} <= set(told)


def strangers(world: World, roles: Roles, asked: dict[Operation, list[str]], offered: dict[Operation, list[str]], wrong: list[str]) -> int:
    """What one role alone is offered, a second one asks for and is refused, in the words of the document."""
    cells = 0
    lacking: dict[str, list[Operation]] = defaultdict(list)
    for operation, held in asked.items():
        if len(held) < PER_OPERATION:
            others = [role for role in roles.like if role not in offered[operation]]
            lacking[others[len(lacking) % len(others)]].append(operation)
    for role, operations in lacking.items():
        world.assume(role)
        for path, method in operations:
            cells += 1
            holder = roles.like[asked[path, method][0]]
            answer = send(world, path.replace("{id}", str(NOBODY)), method, body_of(holder, path, method) if method != "get" else None, "999999")
            fault = holder.fault(method, path, answer) if answer.status_code in (403, 404) else f"{answer.status_code} to {role}"
            if fault:
                wrong.append(f"{role} (not offered) {method} {path}: {fault}")
    return cells


def calls(world: World, like: Conformity, path: str, method: str) -> Iterator[Any]:
    """What one role asks of one operation, from nonsense to what is right."""
    if path in NOT_ON_PURPOSE:
        body = {"username": "alice", "password": PASSWORD} if path.endswith("login") else {"refresh_token": "nonsense"}
        yield send(world, path, method, body)
        yield send(world, path, method, {})
        return
    if path == "/files":
        yield world.api().http.post(world.api().root + path, data={"file": (io.BytesIO(b"%PDF-1.4 x"), "a.pdf")}, headers=_head(world))
        yield send(world, path, method, {})
        return
    if "{id}" not in path:
        yield from _on_the_entity(world, like, path, method)
        return
    yield send(world, path.replace("{id}", str(NOBODY)), method, None if method == "get" else body_of(like, path, method), "1")
    for id, version in targets(world, path):
        at = path.replace("{id}", id)
        if method == "get":
            yield send(world, at, method, None)
            continue
        yield send(world, at, method, body_of(like, path, method))
        yield send(world, at, method, body_of(like, path, method), "999999")
        if version:
            yield send(world, at, method, body_of(like, path, method), version)


def _on_the_entity(world: World, like: Conformity, path: str, method: str) -> Iterator[Any]:
    if method == "get":
        for query in queries(like, path):
            yield send(world, path + query, method, None)
        return
    yield send(world, path, method, {})
    yield send(world, path, method, body_of(like, path, method))


def queries(like: Conformity, path: str) -> list[str]:
    """Without parameters, with every flag, with what no list takes."""
    names = {p.get("name") or like.doc["components"]["parameters"][p["$ref"].rpartition("/")[2]]["name"]
             for p in like.doc["paths"][path]["get"].get("parameters", ())}
    found = ["", "?nonsense=1"]
    found += ["?limit=2&count=true"] if {"limit", "count"} <= names else ["?limit=2"] if "limit" in names else []
    found += ["?sort=-id&limit=1", "?sort=nonsense", "?archived=true", "?filter=[{}]"] if "sort" in names else []
    found += ["?q=ZZ"] if "q" in names else []
    found += ["?format=xlsx"] if "format" in names else []
    return found


def targets(world: World, path: str) -> Iterator[tuple[str, str]]:
    """(id, version) of a record made for this call, where somebody may make one; else of one that is there, without version."""
    address = path.split("/")[1]
    if address == "files":
        yield "1", ""
    fresh = FRESH.get((id(world), address))
    there = stored(world, address, fresh) if fresh is not None else None
    if there is not None:
        yield str(fresh), str(there["row_version"])
    elif world.alpha.rows.get(address):
        yield str(world.alpha.rows[address][0].id), ""
    else:
        known = {"platform.user": world.alpha.people, "platform.company": world.alpha.companies, "platform.org_unit": world.alpha.units}.get(address, {})
        if known:
            yield str(list(known.values())[-1]), ""


FRESH: dict[tuple[int, str], int] = {}


@pytest.fixture(scope="module", autouse=True)
def records_of_our_own(sandbox: World) -> Iterator[None]:
    """One record of every entity that somebody may create: these calls change, archive and hand over nothing else."""
    for address, role in creators(sandbox):
        if (id(sandbox), address) not in FRESH and sandbox.catalog.entities[address].storage == "table":
            FRESH[id(sandbox), address] = Factory(sandbox, role).create(address)[0].id
    yield
    FRESH.clear()


def send(world: World, path: str, method: str, body: Any, version: str = "") -> Any:
    headers = {"If_Match": f'"{version}"'} if version else {}
    return world.api().call(method.upper(), path, body, **headers, **({} if method == "get" else {"Idempotency_Key": f"openapi-{next(values.NUMBERS)}"}))


def _head(world: World) -> dict[str, str]:
    return {"Authorization": f"Bearer {world.api().token}", "Accept-Language": "en"}


# -- bodies from the document ------------------------------------------------------------------------------------------


def schema_of(like: Conformity, path: str, method: str) -> dict[str, Any]:
    content = like.doc["paths"][path][method].get("requestBody", {}).get("content", {})
    return resolved(like, content.get("application/json", {}).get("schema", {}))


def resolved(like: Conformity, schema: dict[str, Any]) -> dict[str, Any]:
    while "$ref" in schema:
        at: Any = like.doc
        for step in schema["$ref"].removeprefix("#/").split("/"):
            at = at[step.replace("~1", "/").replace("~0", "~")]
        schema = at
    return schema


def body_of(like: Conformity, path: str, method: str) -> Any:
    """The least that the document demands."""
    return sample(like, schema_of(like, path, method))


def sample(like: Conformity, schema: dict[str, Any]) -> Any:
    """A small instance of a schema; what a pattern wants beside its type is left to the refusals."""
    schema = resolved(like, schema)
    for key in ("anyOf", "oneOf"):
        if key in schema:  # what the first of them wants, beside what is wanted of each
            return sample(like, {**{name: value for name, value in schema.items() if name != key}, **resolved(like, schema[key][0])})
    if "enum" in schema:
        return schema["enum"][0]
    kind = schema.get("type", "string")
    kind = kind[0] if isinstance(kind, list) else kind
    if kind == "object":
        return {name: sample(like, schema["properties"][name]) for name in schema.get("required", ()) if name in schema.get("properties", {})}
    if kind == "array":
        return [sample(like, schema.get("items", {}))] * schema.get("minItems", 1)
    text = {"date": "2026-11-20", "date-time": "2026-11-20T01:00:00Z", "email": "zz@example.cn"}.get(schema.get("format", ""), "1.00")
    return {"integer": max(1, schema.get("minimum", 1)), "number": 1, "boolean": True, "null": None}.get(kind, text)


@pytest.mark.timeout(900)
def test_no_body_that_the_document_forbids_succeeds(sandbox: World, roles: Roles) -> None:
    offered = roles.offered()
    told, wrong, bodies = Counter(), [], 0
    for (path, method), held in chosen(sandbox, offered).items():
        like = roles.like[held[0]]
        schema = schema_of(like, path, method)
        if schema.get("type") != "object" or path in NOT_ON_PURPOSE:
            continue
        bodies += 1
        sandbox.assume(held[0])
        for why, body in forbidden(like, schema):
            for id, version in (targets(sandbox, path) if "{id}" in path else [("", "")]):
                answer = send(sandbox, path.replace("{id}", id), method, body, version or "999999")
                told[answer.status_code] += 1
                fault = like.fault(method, path, answer) if 400 <= answer.status_code < 500 else f"{answer.status_code}"
                if fault:
                    wrong.append(f"{held[0]} {method} {path} {why}: {fault}")
    print(f"OpenAPI: {told.total()} forbidden bodies for {bodies} operations, {dict(sorted(told.items()))}")
    assert not wrong, f"{len(wrong)} wrong\n" + "\n".join(wrong[:30])
    assert told[400] >= (2_500 if sandbox.whole else 500)


def forbidden(like: Conformity, schema: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    """(what is wrong, the body): the whole of another type, each property of another type or out of bounds, one too many."""
    right = sample(like, schema)
    yield "a list", [right]
    if schema.get("additionalProperties") is False:
        yield "an unknown property", {**right, "no_such_property": 1}
    for name in schema.get("required", ()):
        yield f"without {name}", {key: value for key, value in right.items() if key != name}
    for name, inner in schema.get("properties", {}).items():
        for why, value in against(resolved(like, inner)):
            yield f"{name} {why}", {**right, name: value}


def against(schema: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    """Values that a property's schema forbids."""
    if "anyOf" in schema or "oneOf" in schema or "$ref" in schema or not schema.get("type"):
        return
    kinds = {schema["type"]} if isinstance(schema["type"], str) else set(schema["type"])
    if "object" not in kinds:
        yield "an object", {"x": [1]}
    if "array" not in kinds:
        yield "a list", [[1]]
    if not kinds & {"string"}:
        yield "a text", "\u4e0d\u662f\u6570"
    if not kinds & {"boolean"}:
        yield "true", True
    if "enum" in schema:
        yield "no such choice", "no-such-choice"
    if "maxLength" in schema and schema["maxLength"] < 5_000:
        yield "too long", "x" * (schema["maxLength"] + 1)
    if "maximum" in schema:
        yield "too large", schema["maximum"] + 1
    if "minimum" in schema:
        yield "too small", schema["minimum"] - 1
