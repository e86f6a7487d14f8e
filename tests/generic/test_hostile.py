"""What nobody sane sends: every field of every entity that somebody may create, every filter, through REST and the form.

The answer is never a 5xx, and what was stored can be read again (reliability §2b 57, 68, 69, 76).
"""

from __future__ import annotations

import json
import random
from typing import Any

import pytest

from metaloom.model import FieldType
from metaloom.record.schema import accepts
from tests.generic import values
from tests.generic.factory import Factory
from tests.generic.test_crud import creators
from tests.generic.world import World

PER_FIELD = 6
OPERATORS = ("eq", "gt", "in", "contains", "between", "prefix", "last4", "empty")
POISON = ("NaN", "1e400", "%00", "%D9%A1", "x" * 2000, "-1", "[]", "null", "9" * 40, "2026-02-30")


def fields_of(world: World, address: str, factory: Factory) -> list[str]:
    entity = world.catalog.entities[address]
    return [f.name for f in entity.fields.values() if accepts(entity, f, "create") and factory.takes(entity, f)]


def with_raw(body: dict[str, Any], name: str, raw: str) -> str:
    """The body as JSON text with one value spliced in as it is written."""
    rest = json.dumps({key: value for key, value in body.items() if key != name}, ensure_ascii=False)
    return (rest[:-1] + ", " if len(rest) > 2 else "{") + f"{json.dumps(name)}: {raw}}}"


def rest_sweep(world: World, per_field: int) -> tuple[int, list[str]]:
    dice, api, cells, wrong = random.Random(11), world.api(), 0, []
    for address, role in world.sample(creators(world), 2):
        factory = Factory(world, role)
        saved, sent = factory.create(address)
        body = {name: values.as_json(value) for name, value in sent.items()}
        for name in fields_of(world, address, factory):
            for raw in dice.sample(values.HOSTILE_JSON, min(per_field, len(values.HOSTILE_JSON))):
                cells += 2
                made = api.call("POST", f"/{address}", raw=with_raw(body, name, raw))
                changed = api.call("PATCH", f"/{address}/{saved.id}", raw=with_raw({}, name, raw), If_Match=f'"{saved.row_version}"')
                wrong += [f"{address}.{name} {raw[:40]}: {a.status_code}" for a in (made, changed) if a.status_code >= 500]
                if made.status_code == 201:
                    again = api.get(f"/{address}/{made.json['id']}")
                    wrong += [f"{address}.{name} {raw[:40]}: stored, not readable {again.status_code}"] if again.status_code != 200 else []
                if changed.status_code == 200:
                    saved = saved.__class__(**{**saved.__dict__, "row_version": changed.json["row_version"]})
    return cells, wrong


def test_no_hostile_value_of_any_field_is_ever_a_5xx_through_rest(sandbox: World) -> None:
    cells, wrong = rest_sweep(sandbox, PER_FIELD)
    print(f"hostile REST: {cells} requests, {len(values.HOSTILE_JSON)} kinds of poison")
    assert not wrong, "\n".join(wrong[:20])
    assert cells >= (1_200 if sandbox.whole else 600) and len(values.HOSTILE_JSON) >= 45


@pytest.mark.nightly
@pytest.mark.timeout(1800)
def test_the_full_product_of_fields_and_poison(sandbox: World) -> None:
    cells, wrong = rest_sweep(sandbox, len(values.HOSTILE_JSON))
    assert not wrong, "\n".join(wrong[:20])
    assert cells >= 5_000


def test_hostile_questions_to_every_list_are_answered_with_200_or_400(world: World) -> None:
    dice, api, cells, wrong = random.Random(12), world.api(), 0, []
    questions = ("limit=1000000000", "limit=-1", "limit=0", "page=1000000000000", "sort=id;select pg_sleep(5)--", "sort=(case when 1=1 then id end)",
                 "sort=../", "cursor=abc", "cursor=%00", "filter=" + "[" * 200, "filter=%7B%7D", "filter=NaN", "tab=none", "list=none", "fields=__class__",
                 "include=a.b.c.d.e.f.g", "totals=id", "q=" + "%25" * 100, "q=%00", "q=%D8%80", "archived=maybe", "no_such__eq=1", "id__eq=1e400",
                 "id__in=" + ",".join(map(str, range(3000))), "id__gt=99999999999999999999999", "id=1&id=2", "id__regex=(a%2B)%2B%24")  # fmt: skip
    for address, rows in world.alpha.rows.items():
        role = next((g.role for g in world.catalog.grants.get(address, ()) if "list" in g.actions), None)
        if role is None:
            continue
        world.assume(role)
        field_names = list(world.catalog.entities[address].fields)
        asked = [*dice.sample(questions, 8), *(f"{dice.choice(field_names)}__{dice.choice(OPERATORS)}={dice.choice(POISON)}" for _ in range(8))]
        for question in asked:
            cells += 1
            answer = api.get(f"/{address}?{question}")
            if answer.status_code not in (200, 400, 414):
                wrong.append(f"{address}?{question[:60]}: {answer.status_code}")
        assert rows
    print(f"hostile questions: {cells}")
    assert not wrong, "\n".join(wrong[:20])
    assert cells >= 400


def test_hostile_forms_are_answered_with_the_form_and_its_problems(sandbox: World) -> None:
    browser, cells, wrong = sandbox.browser(), 0, []
    for address, role in sandbox.sample(creators(sandbox), 2):
        factory = Factory(sandbox, role)
        names = [n for n in fields_of(sandbox, address, factory) if sandbox.catalog.entities[address].fields[n].type is not FieldType.CHILD]
        for poison in values.HOSTILE_FORM:
            cells += 1
            answer = browser.post(f"/e/{address}/new", {prefix + name: poison for name in names for prefix in ("", "f.")})
            if answer.status_code >= 500:
                wrong.append(f"{address} {poison[:20]!r}: {answer.status_code}")
    print(f"hostile forms: {cells}")
    assert not wrong, "\n".join(wrong[:20])
    assert cells >= 160


def test_hostile_ids_versions_and_bodies_are_refused(sandbox: World) -> None:
    sandbox.assume("lending.officer")
    api = sandbox.api()
    for id in ("0", "-1", "1e3", "9223372036854775808", "9" * 400, "%00", "١", "1;drop", "..", "None"):
        assert api.get(f"/lending.customer/{id}").status_code in (400, 404), id
    for raw in ("", "[", "[]", '"x"', "{\"a\":1,\"a\":2}", "[" * 100_000, "{\"x\":" * 5_000, "\ud800", "nul", "{}garbage", "\x00{}"):
        assert api.call("POST", "/lending.customer", raw=raw).status_code in (400, 413, 415), raw[:20]
    for version in ("1", '"x"', "*", 'W/"1"', '"' + "9" * 40 + '"', '""'):
        assert api.call("PATCH", "/lending.customer/1", {}, If_Match=version).status_code in (400, 404, 409, 412), version
