"""A workbook or CSV file is imported through the API by somebody who has nothing but the OpenAPI document: tried, mended, taken, looked at, taken back."""

import io

import jsonschema
import pytest
from openpyxl import Workbook, load_workbook

from metaloom.base.clock import SystemClock
from metaloom.command import handle_import, limits
from metaloom.job import run_due
from tests.api.test_integrator import Integrator, fresh, ok

XLSX = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
HEADER = ("buyer", "amount", "pieces", "colour", "note")


class Clerk(Integrator):
    """Sends files, too, in the parts that the document names."""

    def send(self, operation, body, name="sales.xlsx", *, id=None, key=None, wrong=False, **parts):
        method, path, said = self.operations[operation]
        schema = said["requestBody"]["content"]["multipart/form-data"]["schema"]
        assert schema["properties"]["file"]["format"] == "binary" and schema["required"] == ["file"]
        if not wrong:
            jsonschema.validate({"file": "bytes", **parts}, schema)
        headers = {"Authorization": f"Bearer {self.caller.token}", "Accept-Language": "en", **({"Idempotency-Key": key} if key else {})}
        data = {**({"file": (io.BytesIO(body), name)} if body is not None else {}), **parts}
        return self.caller.http.open(f"/one/api/v1{path.replace('{id}', str(id))}", method=method.upper(), data=data, headers=headers,
                                     content_type="multipart/form-data")

    def count(self, note):
        return ok(self.call("depot.sale.list", note=note, count="true", limit=1))["count"]["number"]

    def upload(self, body, name="sales.xlsx"):
        return ok(self.send("upload", body, name), 201)["id"]


@pytest.fixture(scope="module")
def chief(world):
    return Clerk(world, "one", "chief")


@pytest.fixture
def code(chief):
    """The key of a fresh buyer: what a sheet calls it by."""
    known = fresh("sheet")
    ok(chief.call("depot.buyer.create", {"code": known, "name": "Of a sheet"}), 201)
    return known


@pytest.fixture
def few(monkeypatch):
    """More than five rows are too many for one answer."""
    monkeypatch.setattr(limits, "LIMITS", {**limits.LIMITS, "import_rows_at_once": 5})


def work(world):
    run_due(world.tenants["one"], {"import.run": lambda tenant, row: handle_import(tenant, row, plugins=world.registry, clock=SystemClock())})


def book(*rows, header=HEADER, top=1):
    made = Workbook()
    for at, row in enumerate((header, *rows), start=top):
        for column, value in enumerate(row, start=1):
            made.active.cell(at, column, value)
    out = io.BytesIO()
    made.save(out)
    return out.getvalue()


def csv(*rows, header=HEADER):
    return "".join(",".join(map(str, row)) + "\n" for row in (header, *rows)).encode()


def test_a_workbook_is_tried_mended_imported_and_taken_back(chief, code):
    note = fresh("note")
    wrong = book((code, 5, 1, "red", note), ("nobody", "a lot", 1, "green", note), (code, 7.5, 2, "", note))
    tried = ok(chief.send("depot.sale.import", wrong))
    assert (tried["good"], tried["created"], tried["run"]) == (2, [], None) and chief.count(note) == 0
    assert {(p["row"], p["field"], p["column"]) for p in tried["problems"]} == {(3, "buyer", "Buyer"), (3, "amount", "Amount"), (3, "colour", "Colour")}
    assert all(p["message"] for p in tried["problems"])
    assert ok(chief.send("depot.sale.import", wrong, mode="all"))["created"] == [] and chief.count(note) == 0, "every row or none"
    right = book((code, 5, 1, "red", note), (code, 6, 1, "Blue", note), (code, 7.5, 2, "", note))
    key = fresh("import")
    done = ok(chief.send("depot.sale.import", right, mode="all", key=key))
    again = chief.send("depot.sale.import", right, mode="all", key=key)
    assert ok(again)["created"] == done["created"] and len(done["created"]) == 3 == chief.count(note), "the same key imports once"
    rows = ok(chief.call("depot.sale.list", note=note, sort="amount", fields="amount,colour,buyer.code"))["items"]
    assert [(row["amount"], row["colour"], row["buyer.code"]) for row in rows] == [("5.00", "red", code), ("6.00", "blue", code), ("7.50", None, code)]
    (run,) = [one for one in ok(chief.call("depot.sale.imports"))["items"] if one["id"] == done["run"]]
    assert (run["name"], run["rows"], run["kept"], run["status"]) == ("sales.xlsx", 3, 3, "done")
    assert ok(chief.call("depot.sale.undo_import", id=done["run"]))["taken_back"] == 3 and chief.count(note) == 0


def test_a_file_that_was_uploaded_once_is_tried_and_taken_without_sending_it_again(chief, code):
    note = fresh("note")
    file = chief.upload(csv((code, 5, 1, "", note), (code, 0, 1, "", note)), "sales.csv")
    tried = ok(chief.call("depot.sale.import", {"file": file}))
    assert [(p["row"], p["column"]) for p in tried["problems"]] == [(3, "Amount")]
    done = ok(chief.call("depot.sale.import", {"file": file, "mode": "good_rows", "name": "by hand"}))
    assert len(done["created"]) == 1 == chief.count(note) and [p["row"] for p in done["problems"]] == [3]
    (run,) = [one for one in ok(chief.call("depot.sale.imports"))["items"] if one["id"] == done["run"]]
    assert run["name"] == "by hand"


def test_the_template_names_the_columns_and_comes_back_filled_in(chief, code):
    answer = chief.call("depot.sale.import_template")
    assert answer.status_code == 200 and answer.mimetype == XLSX
    sheet = load_workbook(io.BytesIO(answer.data))
    names = [cell.value for cell in sheet.active[1]]
    assert names[:2] == ["Buyer", "Amount"] and not {"Paid", "Twice", "Status", "Number", "Lines"} & set(names)
    described = chief.operations["depot.sale.import"][2]["requestBody"]["content"]["multipart/form-data"]["schema"]["properties"]["file"]["description"]
    assert described.startswith(".xlsx, .csv: buyer (Buyer), amount (Amount)") and "paid" not in described
    sheet.active.cell(2, names.index("Buyer") + 1, code)
    sheet.active.cell(2, names.index("Amount") + 1, 12.5)
    out = io.BytesIO()
    sheet.save(out)
    assert ok(chief.send("depot.sale.import", out.getvalue()))["good"] == 1


def test_rows_are_numbered_as_the_workbook_shows_them_and_words_follow_the_language(chief, code):
    sheet = book((code, 5), ("", ""), (code, 0), header=("买家", "金额"), top=4)
    (problem,) = ok(chief.send("depot.sale.import", sheet))["problems"]
    assert (problem["row"], problem["column"]) == (7, "Amount")
    answer = chief.caller.http.post("/one/api/v1/depot.sale/import", data={"file": (io.BytesIO(sheet), "a.xlsx")}, content_type="multipart/form-data",
                                    headers={"Authorization": f"Bearer {chief.caller.token}", "Accept-Language": "zh"})
    assert [one["column"] for one in ok(answer)["problems"]] == ["金额"]


def test_a_long_file_is_checked_and_taken_in_the_background_and_what_failed_is_corrected(world, chief, code, few):
    note = fresh("note")
    rows = [(code, 0 if n in (3, 9) else n, 1, "", note) for n in range(1, 13)]
    begun = chief.send("depot.sale.import", book(*rows), "long.xlsx", key=(key := fresh("long")))
    assert begun.status_code == 202 and begun.headers["Location"] == f"/one/api/v1/depot.sale/imports/{begun.json['id']}"
    id = begun.json["id"]
    replayed = chief.send("depot.sale.import", book(*rows), "long.xlsx", key=key)
    assert (replayed.status_code, replayed.json["id"], replayed.headers["Idempotency-Replayed"]) == (202, id, "true")
    work(world)
    checked = ok(chief.call("depot.sale.import_run", id=id))
    assert (checked["status"], checked["good"], checked["failed"], checked["name"]) == ("checked", 10, 2, "long.xlsx") and chief.count(note) == 0
    assert [(p["row"], p["field"], p["column"]) for p in checked["problems"]] == [(4, "amount", "Amount"), (10, "amount", "Amount")]
    ok(chief.call("depot.sale.start_import", id=id))
    work(world)
    assert ok(chief.call("depot.sale.import_run", id=id))["status"] == "done" and chief.count(note) == 10
    failed = chief.call("depot.sale.failed_import", id=id)
    assert failed.mimetype == XLSX
    sheet = load_workbook(io.BytesIO(failed.data))
    header = [cell.value for cell in sheet.active[1]]
    assert [row[0].value for row in sheet.active.iter_rows(min_row=2)] == [4, 10] and "Amount" in header
    sheet.active.cell(2, header.index("Amount") + 1, 99)
    out = io.BytesIO()
    sheet.save(out)
    ok(chief.send("depot.sale.correct_import", out.getvalue(), id=id))
    work(world)
    now = ok(chief.call("depot.sale.import_run", id=id))
    assert (now["status"], now["kept"], now["failed"]) == ("done", 11, 1) and chief.count(note) == 11
    file = chief.upload(out.getvalue(), "again.xlsx")
    assert chief.call("depot.sale.correct_import", {"file": file}, id=id).status_code == 409, "row 4 is in: it does not come in twice"
    assert chief.count(note) == 11
    assert ok(chief.call("depot.sale.undo_import", id=id))["taken_back"] == 11 and chief.count(note) == 0


def test_a_long_file_of_all_or_none_is_taken_at_once_and_one_in_good_rows_goes_straight_on(world, chief, code, few):
    note = fresh("note")
    rows = [(code, n, 1, "", note) for n in range(1, 8)]
    assert len(ok(chief.send("depot.sale.import", book(*rows), mode="all"))["created"]) == 7
    begun = chief.send("depot.sale.import", csv(*rows, (code, 0, 1, "", note)), "a.csv", mode="good_rows")
    assert begun.status_code == 202
    work(world)
    done = ok(chief.call("depot.sale.import_run", id=begun.json["id"]))
    assert (done["status"], done["kept"], done["failed"]) == ("done", 7, 1) and chief.count(note) == 14


NO_SHEETS = {"a.txt": b"x", "a.xlsx": b"PK\x03\x04broken", "a.csv": b"", "b.csv": b"\xff\xfe\x00", "c.csv": b"amount,hobby\n1,chess\n", "d.csv": b"amount\n",
             "paid.csv": b"amount,paid\n1,2\n", "no extension": b"amount\n1\n"}


@pytest.mark.parametrize("name", NO_SHEETS)
def test_what_is_no_sheet_is_refused_at_the_file(chief, name):
    answer = chief.send("depot.sale.import", NO_SHEETS[name], name)
    assert answer.status_code == 400 and [p["field"] for p in answer.json["problems"]] == ["file"], answer.json
    assert answer.json["problems"][0]["message"]


def test_what_the_document_forbids_is_400_and_brings_nothing_in(chief, code):
    note = fresh("note")
    right = csv((code, 5, 1, "", note))
    file = chief.upload(right, "a.csv")
    refused = [chief.send("depot.sale.import", right, "a.csv", wrong=True, mode="some"), chief.send("depot.sale.import", None, wrong=True, mode="all"),
               chief.send("depot.sale.import", right, "a.csv", wrong=True, mode="all", colour="red")]
    refused += [chief.call("depot.sale.import", body, wrong=True) for body in (
        {}, {"mode": "all"}, {"file": file, "rows": [{}], "mode": "all"}, {"file": str(file), "mode": "all"}, {"file": True}, {"file": 0}, {"file": None},
        {"file": [file]}, {"file": 10**18}, {"file": file, "mode": "all", "name": 5}, {"file": file, "mode": "all", "name": "x" * 256})]
    two = chief.caller.http.post("/one/api/v1/depot.sale/import", data={"file": [(io.BytesIO(right), "a.csv"), (io.BytesIO(right), "b.csv")], "mode": "all"},
                                 headers={"Authorization": f"Bearer {chief.caller.token}"})
    assert [answer.status_code for answer in (*refused, two)] == [400] * (len(refused) + 1)
    assert all(answer.json["problems"] for answer in (*refused, two)) and chief.count(note) == 0


def test_a_file_too_large_is_refused_by_its_size(chief):
    """1 MB in this house."""
    for size in (1024 * 1024 + 1, 3 * 1024 * 1024):
        answer = chief.send("depot.sale.import", b"amount\n" + b"1\n" * (size // 2), "a.csv")
        assert answer.status_code in (400, 413) and answer.mimetype == "application/problem+json"


def test_files_of_others_cannot_be_imported_and_imports_of_others_are_not_seen(world, chief, code):
    other, note = Clerk(world, "one", "clerk"), fresh("note")
    file = other.upload(csv((code, 5, 1, "", note)), "a.csv")
    answer = chief.call("depot.sale.import", {"file": file, "mode": "all"})
    assert answer.status_code == 400 and chief.call("depot.sale.import", {"file": 987_654_321}).json["problems"] == answer.json["problems"]
    assert "depot.sale.import" not in other.operations and "depot.sale.import_template" not in other.operations
    for sent in (other.caller.post("/depot.sale/import", {"file": file}), other.caller.get("/depot.sale/import/template"),
                 other.caller.get("/depot.sale/imports/1/failed"), other.caller.post("/depot.sale/imports/1/corrected", {"file": file})):
        assert sent.status_code == 403
    run = ok(chief.send("depot.sale.import", csv((code, 5, 1, "", note)), "a.csv", mode="all"))["run"]
    assert chief.call("depot.sale.failed_import", id=run).status_code == 404, "nothing failed"
    assert chief.call("depot.sale.correct_import", {"file": chief.upload(b"amount\n1\n", "a.csv")}, id=run).status_code == 409
    far = Clerk(world, "one", "other")
    for answer in (far.call("depot.sale.failed_import", id=run), far.call("depot.sale.correct_import", {"file": 1}, id=run),
                   far.send("depot.sale.correct_import", b"amount\n1\n", "a.csv", id=run)):
        assert answer.status_code == 404


def test_a_browsers_session_needs_its_csrf_token_for_a_file_too(world, code):
    from tests.web.conftest import Visitor

    browser, note = Visitor(world.app, "one"), fresh("note")
    assert browser.log_in("chief", "correct horse 7 battery").status_code == 302

    def sent(**headers):
        data = {"file": (io.BytesIO(csv((code, 5, 1, "", note))), "a.csv"), "mode": "all"}
        return browser.client.post("/one/api/v1/depot.sale/import", data=data, content_type="multipart/form-data", headers=headers)

    assert sent().status_code == 400 and sent(**{"X-CSRFToken": "nonsense"}).status_code == 400
    token = browser.token()
    done = sent(**{"X-CSRFToken": token})
    assert done.status_code == 200 and len(done.json["created"]) == 1
