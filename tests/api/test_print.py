"""Paper by REST: the templates of the metadata, with the rights, masks and counters of reading and export."""

import io
import re
from decimal import Decimal
from types import SimpleNamespace

import pypdf
import pytest
import sqlalchemy as sa

from metaloom.command.print_records import _totals
from metaloom.model import FieldLevel
from metaloom.record import Row
from metaloom.record.export import exportable_rows
from metaloom.record.paths import PATHS
from metaloom.storage import rate
from tests.api.world import PEOPLE

PDF = "application/pdf"


def text_of(answer):
    assert answer.status_code == 200, answer.get_data(as_text=True)
    assert answer.mimetype == PDF and answer.headers["Cache-Control"] == "private, no-store"
    return "\n".join(page.extract_text() for page in pypdf.PdfReader(io.BytesIO(answer.get_data())).pages)


def ask(person, path):
    """The answer in Chinese."""
    return person.get(path, Accept_Language="zh")


@pytest.fixture(scope="module")
def sale(people):
    """A sale of the chief with goods, a note and a buyer about whom there is a verdict."""
    chief = people["chief"]
    buyer = chief.post("/depot.buyer", {"code": "P-1", "name": "欧阳娜娜", "mobile": "13800001234", "secret": "拖欠过货款"}).json["id"]
    made = chief.post("/depot.sale", {"buyer": buyer, "amount": "1234.50", "note": "当面验货",
                                      "lines": [{"what": "螺丝", "quantity": 30}, {"what": "扳手", "quantity": 12}]})
    assert made.status_code == 201, made.get_data(as_text=True)
    return made.json | {"buyer": buyer}


def test_a_template_fills_its_paper_with_what_the_reader_sees(people, sale):
    number = ask(people["chief"], f"/depot.sale/{sale['id']}").json["order_no"]
    text = text_of(people["chief"].get(f"/depot.sale/{sale['id']}/print/slip", Accept=PDF, Accept_Language="zh"))
    for said in (f"出货单 {number}", "买家 欧阳娜娜", "13800001234", "拖欠过货款", "1,234.50",
                 "备注：当面验货；评语：拖欠过货款。", "螺丝", "扳手", "合计", "42",
                 "收货人", "尚无审批意见", "第 1 / 1 页"):
        assert said in text, said
    english = text_of(people["chief"].get(f"/depot.sale/{sale['id']}/print/slip", Accept_Language="en"))
    assert f"Slip {number}" in english and "Receiver" in english and "Page 1 of 1" in english


def test_what_the_reader_may_not_see_is_not_on_the_paper(people, sale):
    for path in (f"/depot.sale/{sale['id']}/print/slip", f"/depot.sale/{sale['id']}/print/main", f"/depot.buyer/{sale['buyer']}/print/main"):
        text = text_of(ask(people["reader"], path))
        assert "拖欠" not in text and "13800001234" not in text and "内部评语" not in text
    slip = text_of(ask(people["reader"], f"/depot.sale/{sale['id']}/print/slip"))
    assert "138****1234" in slip and "当面验货" not in slip and "备注：-；评语：-。" in slip
    assert "138****1234" in text_of(ask(people["reader"], f"/depot.buyer/{sale['buyer']}/print/main"))


def test_every_entity_has_a_print_and_a_paper_that_there_is_not_is_not_found(people, sale):
    text = text_of(ask(people["chief"], f"/depot.sale/{sale['id']}/print/main"))
    assert all(said in text for said in ("订单", "欧阳娜娜", "1,234.50", "当面验货", "螺丝", "草稿"))
    for path in (f"/depot.sale/{sale['id']}/print/none", "/depot.sale/999999/print/main", f"/depot.none/{sale['id']}/print/main", "/depot.sale/x/print/main"):
        assert ask(people["chief"], path).status_code == 404
    assert ask(people["other"], f"/depot.sale/{sale['id']}/print/main").status_code == 404


def test_a_paper_with_a_condition_says_why_it_is_not_possible(people, sale):
    refused = ask(people["chief"], f"/depot.sale/{sale['id']}/print/done")
    assert refused.status_code == 409 and "订单完成后才能打印" in refused.get_data(as_text=True)


def test_where_a_grant_names_print_reading_is_not_enough(people, sale):
    assert ask(people["cashier"], f"/depot.buyer/{sale['buyer']}").status_code == 200
    refused = ask(people["cashier"], f"/depot.buyer/{sale['buyer']}/print/main")
    assert refused.status_code == 403 and "打印" in refused.get_data(as_text=True) and "欧阳" not in refused.get_data(as_text=True)
    assert ask(people["cashier"], f"/depot.sale/{sale['id']}/print/main").status_code == 200, "no grant of sales names it"


def test_a_list_on_paper_is_the_list_and_takes_the_right_to_export(people, sale):
    text = text_of(ask(people["chief"], f"/depot.sale/print?buyer={sale['buyer']}&fields=order_no,buyer,amount"))
    assert "欧阳娜娜" in text and "1,234.50" in text and "共 1 行" in text and "合计" in text and "当面验货" not in text
    assert ask(people["reader"], "/depot.sale/print").status_code == 403
    assert ask(people["chief"], "/depot.sale/print?format=pdf").status_code == 400
    assert ask(people["chief"], "/depot.sale/print?fields=nope").status_code == 400


def test_who_printed_what_is_written_down_without_values_of_masked_fields(world, people, sale):
    ask(people["reader"], f"/depot.sale/{sale['id']}/print/slip")
    ask(people["chief"], "/depot.buyer/print?mobile=13800001234")
    tenant = world.tenants["one"]
    table = tenant.revision().tables.of("platform.audit_entry")
    with tenant.read() as conn:
        rows = conn.execute(sa.select(table).where(table.c.command == "print").order_by(table.c.id.desc()).limit(2)).mappings().all()
    listed, one = (str(dict(row)) for row in rows)
    assert rows[1]["record_id"] == sale["id"] and "slip" in one
    assert rows[0]["record_id"] is None and "'rows': 1" in listed.replace('"', "'") and "13800001234" not in listed and "***" in listed
    history = ask(people["chief"], f"/depot.sale/{sale['id']}/history").json["items"]
    assert history[0]["command"] == "print" and not history[0]["changes"], "paper changes nothing"


def test_more_papers_within_an_hour_than_the_tenant_allows_are_refused(world, people, sale, monkeypatch):
    monkeypatch.setattr("metaloom.command.print_records.limit", lambda catalog, name: {"prints_per_hour": 2, "print_rows_max": 50}[name])
    caller, path = people["cashier"], f"/depot.sale/{sale['id']}/print/slip"
    tenant = world.tenants["one"]
    with tenant.write() as conn:
        rate.forget(conn, names=[rate.counter("print", list(PEOPLE).index("cashier") + 1)])
    assert [caller.get(path).status_code for _ in range(3)] == [200, 200, 429]
    assert ask(people["cashier"], f"/depot.sale/{sale['id']}").status_code == 200


def test_more_rows_than_fit_on_paper_are_refused_in_words(people, sale, monkeypatch):
    monkeypatch.setattr("metaloom.command.print_records.limit", lambda catalog, name: {"prints_per_hour": 10**6, "print_rows_max": 1}[name])
    people["chief"].sale(), people["chief"].sale()
    for path in ("/depot.sale/print", f"/depot.sale/{sale['id']}/print/slip"):
        refused = ask(people["chief"], path)
        assert refused.status_code == 409 and "超过 1 行" in refused.get_data(as_text=True), path


def test_more_cells_than_fit_on_paper_and_no_column_at_all_are_refused_in_words(people, sale, monkeypatch):
    chief, path = people["chief"], "/depot.sale/print"
    chief.sale()
    with monkeypatch.context() as small:
        small.setattr("metaloom.printing.CELLS_MAX", 1)
        small.setattr("metaloom.printing.pdf.CELLS_MAX", 1)
        refused = ask(chief, path)
    assert refused.status_code == 409 and "超过 1 格" in refused.get_data(as_text=True)
    monkeypatch.setattr("metaloom.command.print_records.exportable_rows", lambda *given, paths, **more: exportable_rows(*given, paths=(), **more))
    refused = ask(chief, path)
    assert refused.status_code == 409 and "没有可打印的列" in refused.get_data(as_text=True), "a list of which the person sees no column"


@pytest.mark.parametrize("text", ["=1+1", "{order_no} {{x}} {0.__class__}", "<script>alert(1)</script>&amp;", "a\u202eb\u200b\ufeff", "😀" * 20,
                                  "(\\)<>" * 30, "字" * 200])
def test_whatever_somebody_typed_is_printed_as_words(people, sale, text):
    made = people["chief"].post("/depot.sale", {"buyer": sale["buyer"], "amount": "1.00", "note": text})
    assert made.status_code == 201, made.get_data(as_text=True)
    for name in ("slip", "main"):
        said = re.sub(r"\s", "", text_of(ask(people["chief"], f"/depot.sale/{made.json['id']}/print/{name}")))
        plain = re.sub(r"[\s\u202e\u200b\ufeff]", "", text).replace("😀", "〓")
        assert plain in said


def test_a_sum_tells_nothing_of_a_value_that_is_masked(world):
    """Where one summand is masked or hidden for the reader, the sum would give it away."""
    revision = world.tenants["one"].revision()
    paths = [PATHS.of(revision).path("depot.sale", name) for name in ("order_no", "amount")]
    pinned = SimpleNamespace(catalog=revision.catalog)

    def row(amount, level):
        values = {"order_no": "x"} if level is FieldLevel.HIDDEN else {"order_no": "x", "amount": amount}
        return Row("depot.sale", 1, 1, "x", values, {"amount": level}, {}, frozenset())

    seen, masked, hidden = row(Decimal("2.50"), FieldLevel.READ), row("******", FieldLevel.MASKED), row(None, FieldLevel.HIDDEN)
    told = {len(rows): _totals(pinned, paths, rows, ("amount",), "zh") for rows in ([seen], [seen, seen], [seen, masked, seen], [seen, hidden, seen, seen])}
    assert told == {1: ("合计", "2.50"), 2: ("合计", "5.00"), 3: ("合计", "-"), 4: ("合计", "-")}
