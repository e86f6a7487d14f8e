"""Exports in the background by REST: asked for, watched, fetched, taken back; the document says so."""

import jsonschema
import pytest

from metaloom.base.clock import SystemClock
from metaloom.command import handle_export, limits
from metaloom.job import run_due
from metaloom.plugin.registry import installed


@pytest.fixture
def chief(people):
    for _ in range(3):
        people["chief"].buyer()
    return people["chief"]


def work(world):
    run_due(world.tenants["one"], {"export.run": lambda tenant, row: handle_export(tenant, row, plugins=installed(), clock=SystemClock())})


def test_it_is_asked_for_watched_fetched_and_deleted(world, chief, people):
    begun = chief.call("POST", "/depot.buyer/exports?format=csv&fields=code,name&sort=code", {})
    assert begun.status_code == 202 and begun.headers["Location"].endswith(f"/api/v1/exports/{begun.json['id']}")
    assert begun.json["status"] == "waiting" and begun.json["file"] is None and begun.json["total"]["exact"]
    schema = chief.get("/openapi.json").json
    jsonschema.validate(begun.json, {**schema["components"]["schemas"]["Export"], "components": schema["components"]})
    place = f"/exports/{begun.json['id']}"
    assert chief.get(f"{place}/file").status_code == 409
    work(world)
    seen = chief.get(place).json
    assert seen["status"] == "done" and seen["file"].endswith(f"{place}/file") and seen["rows"] == seen["total"]["number"] >= 3
    assert seen["id"] in [one["id"] for one in chief.get("/exports").json["items"]]
    file = chief.get(f"{place}/file")
    assert file.data == chief.get("/depot.buyer/export?format=csv&fields=code,name&sort=code").data
    for other in ("clerk", "cashier", "nobody"):
        assert people[other].get(place).status_code == people[other].get(f"{place}/file").status_code == 404
        assert people[other].call("DELETE", place).status_code == 404
    assert chief.call("DELETE", place).json["status"] == "gone"
    assert chief.get(f"{place}/file").status_code == 409 and chief.call("DELETE", place).status_code == 409


def test_cancelling_limits_and_wrong_questions(world, chief, people, monkeypatch):
    begun = chief.call("POST", "/depot.buyer/exports", {})
    assert chief.call("POST", f"/exports/{begun.json['id']}/cancel", {}).json["status"] == "cancelled"
    assert chief.call("POST", f"/exports/{begun.json['id']}/cancel", {}).status_code == 409
    assert chief.call("POST", "/depot.buyer/exports?format=exe", {}).status_code == 400
    assert chief.call("POST", "/depot.buyer/exports?nothing=1", {}).status_code == 400
    assert chief.call("POST", "/depot.buyer/exports", {"rows": 1}).status_code == 400
    assert people["reader"].call("POST", "/depot.buyer/exports", {}).status_code == 403
    monkeypatch.setattr(limits, "LIMITS", {**limits.LIMITS, "export_rows_at_once": 2})
    refused = chief.get("/depot.buyer/export")
    assert refused.status_code == 409 and "POST" in refused.json["message"]


def test_the_format_stands_in_the_body_or_in_the_query(chief):
    for path, body, name in (("?fields=code", {"format": "xlsx"}, "depot.buyer.xlsx"), ("?format=xlsx", {}, "depot.buyer.xlsx"), ("", {}, "depot.buyer.csv")):
        begun = chief.call("POST", f"/depot.buyer/exports{path}", body)
        assert (begun.status_code, begun.json["name"]) == (202, name), begun.json
        chief.call("POST", f"/exports/{begun.json['id']}/cancel", {})
    for path, body in (("", {"format": "exe"}), ("", {"format": 1}), ("", {"format": None}), ("?format=csv", {"format": "csv"})):
        refused = chief.call("POST", f"/depot.buyer/exports{path}", body)
        assert refused.status_code == 400 and refused.json["problems"][0]["field"] == "format"
    document = chief.get("/openapi.json").json
    body = document["paths"]["/depot.buyer/exports"]["post"]["requestBody"]["content"]["application/json"]["schema"]
    assert body == {"$ref": "#/components/schemas/BeginExport"}
    jsonschema.validate({"format": "xlsx"}, document["components"]["schemas"]["BeginExport"])


@pytest.mark.parametrize(("language", "parameter", "field"), [
    ("zh", "“nothing”既不是参数，也不是您能查看的字段。", "没有名为“nothing”的字段，或您无权查看。"),
    ("en", "“nothing” is neither a parameter nor a field that you may see.", "There is no field “nothing”, or you may not see it.")])
def test_what_is_no_parameter_is_called_so(chief, language, parameter, field):
    for path, said in (("nothing=1", parameter), ("nothing__ge=1", parameter), ("fields=nothing", field), ("include=nothing", field), ("sort=nothing", field),
                       ('filter=[{"path":"nothing","value":1}]', field)):
        refused = chief.call("POST", f"/depot.buyer/exports?{path}", {}, Accept_Language=language)
        assert refused.status_code == 400, (path, refused.text)
        assert (refused.status_code, [one["message"] for one in refused.json["problems"]]) == (400, [said]), path
        refused = chief.get(f"/depot.buyer?{path}", Accept_Language=language)
        assert (refused.status_code, [one["message"] for one in refused.json["problems"]]) == (400, [said]), path


def test_a_repeated_key_asks_once(chief):
    made = [chief.call("POST", "/depot.buyer/exports", {}, Idempotency_Key="e-1") for _ in range(2)]
    assert made[0].json["id"] == made[1].json["id"] and made[1].headers["Idempotency-Replayed"] == "true"
    chief.call("POST", f"/exports/{made[0].json['id']}/cancel", {})
