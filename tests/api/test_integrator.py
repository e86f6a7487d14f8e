"""An integrator with nothing but the served OpenAPI document: every path, body and parameter below is looked up in it first."""

import csv
import io
import itertools

import jsonschema
import pytest
from referencing import Registry, Resource

from tests.api.world import PASSWORD

_NUMBERS = itertools.count(1)


def fresh(word):
    return f"{word}-{next(_NUMBERS)}"


class Integrator:
    """Calls operations by their id; refuses a parameter or body that the document does not speak of before anything is sent."""

    def __init__(self, world, tenant, username):
        self.caller = world.client(tenant)
        where = self.caller.get("/openapi.json").json["login"]["path"]  # a 401: it says where to log in
        assert where == f"/{tenant}/api/v1/auth/login"
        self.caller.login(username, PASSWORD)
        self.doc = self.caller.get("/openapi.json").json
        self.registry = Registry().with_resource("urn:doc", Resource.from_contents({"$schema": "https://json-schema.org/draft/2020-12/schema", **self.doc}))
        self.operations = {one["operationId"]: (method, path, one) for path, methods in self.doc["paths"].items() for method, one in methods.items()}

    def looked_up(self, one):
        return self.doc["components"]["parameters"][one["$ref"].rpartition("/")[2]] if "$ref" in one else one

    def call(self, operation, body=None, *, id=None, etag=None, key=None, wrong=False, **query):
        method, path, said = self.operations[operation]
        parameters = [self.looked_up(one) for one in said.get("parameters", ())]
        known = {name for one in parameters if one["in"] == "query" for name in (one.get("schema", {}).get("properties") or [one["name"]])}
        in_path = {one["name"] for one in parameters if one["in"] == "path"}
        assert set(query) <= known | in_path, set(query) - known
        headers = {"If_Match": etag, "Idempotency_Key": key}
        needed = {one["name"].replace("-", "_") for one in parameters if one["in"] == "header" and one.get("required")}
        assert needed <= {name for name, value in headers.items() if value}, needed
        if body is not None and not wrong:
            schema = {"$schema": "https://json-schema.org/draft/2020-12/schema", "$id": "urn:body",
                      **anchored(said["requestBody"]["content"]["application/json"]["schema"])}
            jsonschema.Draft202012Validator(schema, registry=self.registry).validate(body)
        for name in in_path & set(query):
            path = path.replace(f"{{{name}}}", str(query.pop(name)))
        asked = "&".join(f"{name}={value}" for name, value in query.items())
        sent = {name: value for name, value in headers.items() if value}
        return self.caller.call(method.upper(), path.replace("{id}", str(id)) + (f"?{asked}" if asked else ""), body, **sent)


def anchored(value):
    if isinstance(value, dict):
        return {k: f"urn:doc{v}" if k == "$ref" else anchored(v) for k, v in value.items()}
    return [anchored(v) for v in value] if isinstance(value, list) else value


@pytest.fixture(scope="module")
def chief(world):
    return Integrator(world, "one", "chief")


@pytest.fixture(scope="module")
def buyer(chief):
    return chief.call("depot.buyer.create", {"code": fresh("int"), "name": "Integrator"}).json["id"]


def ok(answer, status=200):
    assert answer.status_code == status, answer.get_data(as_text=True)
    return answer.json if answer.mimetype.endswith("json") else answer.get_data()


def test_rows_are_imported_with_wrong_cells_mended_found_paged_exported_and_taken_back(chief, buyer):
    rows = [{"buyer": buyer, "amount": f"{n}.00", "pieces": n, "note": "by import"} for n in range(1, 8)]
    wrong = [*rows, {"buyer": 10**9, "amount": "a lot", "colour": "green"}]
    tried = ok(chief.call("depot.sale.import", {"rows": wrong}, wrong=True))
    assert (tried["good"], tried["created"], tried["run"]) == (7, [], None)
    assert {(p["row"], p["field"]) for p in tried["problems"]} == {(8, "buyer"), (8, "amount"), (8, "colour")}
    done = ok(chief.call("depot.sale.import", {"rows": rows, "mode": "all", "name": "sales.xlsx"}, key=fresh("import")))
    assert len(done["created"]) == 7 and not done["problems"]
    asked = {"note__prefix": "by", "pieces__ge": 2, "buyer": buyer, "sort": "-amount", "fields": "pieces,buyer.code,owner.display_name", "limit": 4}
    page = ok(chief.call("depot.sale.list", **asked, count="true", totals="amount"))
    assert page["count"] == {"number": 6, "exact": True} and page["totals"] == {"amount": "27.00"} and page["has_more"]
    assert page["items"][0]["buyer.code"].startswith("int") and page["items"][0]["owner.display_name"] == "Chief"
    rest = ok(chief.call("depot.sale.list", **asked, cursor=page["next_cursor"]))
    assert [row["pieces"] for row in (*page["items"], *rest["items"])] == [7, 6, 5, 4, 3, 2] and not rest["has_more"]
    file = chief.call("depot.sale.export", note__prefix="by", buyer=buyer, fields="pieces,owner.display_name", sort="pieces", format="csv")
    assert list(csv.reader(io.StringIO(ok(file).decode("utf-8-sig"))))[1:] == [[str(n), "Chief"] for n in range(1, 8)]
    assert ok(chief.call("depot.sale.undo_import", id=done["run"]))["taken_back"] == 7
    assert ok(chief.call("depot.sale.list", note__prefix="by", buyer=buyer))["items"] == []


def test_many_are_changed_and_a_version_is_entered_again(chief, buyer):
    made = [ok(chief.call("depot.sale.create", {"buyer": buyer, "amount": "5.00", "note": "first"}), 201) for _ in range(3)]
    change = {"operation": "change", "items": [{"id": one["id"], "row_version": one["row_version"], "values": {"note": "second"}} for one in made]}
    assert ok(chief.call("depot.sale.bulk", change))["done"] == 3
    id = made[0]["id"]
    latest, first = ok(chief.call("depot.sale.versions", id=id))["items"]
    told = ok(chief.call("depot.sale.versions", id=id, a=first["entry"], b=latest["entry"]))["differences"]
    assert told == [{"field": "note", "a": "first", "b": "second"}]
    etag = chief.call("depot.sale.read", id=id).headers["ETag"]
    assert ok(chief.call("depot.sale.restore_version", id=id, entry=first["entry"], etag=etag))["left"] == []
    assert ok(chief.call("depot.sale.read", id=id, fields="note,buyer.name"))["note"] == "first"
    sent = ok(chief.call("depot.sale.bulk", {"operation": "action", "action": "send", "items": [{"id": one["id"]} for one in made]}))
    assert (sent["done"], sent["failed"]) == (3, 0)


def test_an_action_runs_a_task_is_decided_and_papers_are_fetched(world, chief):
    clerk = Integrator(world, "one", "clerk")
    mine = ok(clerk.call("depot.buyer.create", {"code": fresh("int"), "name": "Paper"}), 201)["id"]
    sale = ok(clerk.call("depot.sale.create", {"buyer": mine, "amount": "5.00"}), 201)["id"]
    started = ok(clerk.call("depot.sale.approval.review", id=sale, etag=clerk.call("depot.sale.read", id=sale).headers["ETag"]))
    waiting = ok(chief.call("tasks", box="todo", limit=200))["items"]
    (task,) = [row for row in waiting if row["case"]["id"] == started["results"]["case"]]
    case = ok(chief.call("case", id=task["case"]["id"]))
    (asks,) = [one["asks"] for one in case["tasks"] if one["id"] == task["id"]]
    outputs = {name: schema["maximum"] for name, schema in asks["outputs"]["properties"].items()}
    jsonschema.validate(outputs, asks["outputs"])
    ok(chief.call("decide", {"decision": "pass", "record_version": case["record_version"], "outputs": outputs}, id=task["id"]))
    offered = {one["name"]: one for one in ok(chief.call("depot.sale.actions", id=sale))["items"]}
    assert offered["finish"]["enabled"] and not offered["send"]["enabled"] and offered["send"]["reason"]
    etag = chief.call("depot.sale.read", id=sale).headers["ETag"]
    ok(chief.call("depot.sale.finish", {"input": {"grade": 5}, "reason": "well done"}, id=sale, etag=etag))
    sent = clerk.caller.http.post("/one/api/v1/files", data={"file": (io.BytesIO(b"%PDF-1.4 x"), "a.pdf")}, content_type="multipart/form-data",
                                  headers={"Authorization": f"Bearer {clerk.caller.token}"})
    etag = clerk.call("depot.buyer.read", id=mine).headers["ETag"]
    ok(clerk.call("depot.buyer.change", {"photo": [sent.json["id"]]}, id=mine, etag=etag))
    assert ok(chief.call("download", id=sent.json["id"])) == b"%PDF-1.4 x"
    assert ok(chief.call("depot.buyer.print", id=mine, template="main"))[:5] == b"%PDF-"
    board = next(one for one in ok(clerk.call("dashboards"))["items"] if any(w["name"] == "count" for w in one["widgets"]))
    assert int(ok(clerk.call("widget", board=board["name"], name="count"))["value"]) >= 1
