"""The quote through its doors: the terminal, the REST route and the page, with the rights of the people who ask."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import openpyxl
import pytest
from click.testing import CliRunner

import metaloom_plugins.loan_math
from metaloom.app import create_app
from metaloom.app.demo import PASSWORD
from metaloom.cli import main
from tests.plugins.lender import Lender, open_lender
from tests.web.conftest import Visitor

EXAMPLES = Path(metaloom_plugins.loan_math.__file__).with_name("examples")
QUESTION = {"principal": "100000", "annual_rate": "12", "method": "EQUAL_INSTALMENT", "periods": "12", "start_date": "2025-01-15", "go": "1"}


def stored(name: str, part: str) -> Any:
    return json.loads((EXAMPLES / f"{name}.{part}.json").read_text("utf-8"))


def run(*words: str, given: object = None) -> Any:
    return CliRunner().invoke(main, ["lending", *words], input=None if given is None else json.dumps(given))


@pytest.mark.parametrize("name", ["E01", "E09", "E19", "E29"])
def test_the_word_gives_the_published_reply(name: str) -> None:
    done = run("quote", "--input", str(EXAMPLES / f"{name}.request.json"))
    assert done.exit_code == 0
    assert json.loads(done.stdout) == stored(name, "reply")


def test_a_refusal_names_the_key_in_both_languages_and_is_exit_code_1() -> None:
    done = run("quote", given={**stored("E01", "request"), "colour": "red"})
    said = json.loads(done.stderr)["error"]
    assert (done.exit_code, done.stdout, said["key"]) == (1, "", "colour")
    assert "不认识的参数" in said["zh"] and "unknown parameter" in said["en"]


def test_a_refused_question_of_a_list_has_its_error_in_its_place() -> None:
    good = {"convention": "ACT/360", "start": "2025-01-01", "end": "2025-07-01"}
    done = run("days", given=[good, {**good, "end": "2024-01-01"}, good])
    answers = json.loads(done.stdout)
    assert (done.exit_code, answers[0], answers[2]) == (1, answers[2], {"days": 181, "year_fraction": "0.502777777778"})
    assert answers[1]["error"]["key"] == "end"


@pytest.mark.parametrize("text", ["", "{", '{"a": 1, "a": 2}', "[1]", '"x"', "NaN", "[" * 50 + "]" * 50, '{"principal": 1e999}'])
def test_what_is_no_request_is_a_clear_refusal(text: str) -> None:
    done = CliRunner().invoke(main, ["lending", "quote"], input=text)
    assert done.exit_code == 1
    assert "Traceback" not in done.output and json.loads(done.stderr or done.stdout)


# -- over HTTP


@pytest.fixture(scope="module")
def lender(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lender]:
    with open_lender(tmp_path_factory.mktemp("home"), "quotes") as made:
        yield made


@pytest.fixture(scope="module")
def app(lender: Lender) -> Any:
    return create_app(lender.tenant.settings, tenancy=lender.tenant.tenancy, clock=lender.real, registry=lender.plugins)


def api(app: Any, username: str) -> dict[str, str]:
    answer = app.test_client().post("/quotes/api/v1/auth/login", json={"username": username, "password": PASSWORD})
    assert answer.status_code == 200, answer.text
    return {"Authorization": f"Bearer {answer.json['access_token']}"}


def test_rest_gives_the_same_reply_as_the_word(app: Any) -> None:
    client, headers = app.test_client(), api(app, "officer")
    for name in ("E01", "E19"):
        answer = client.post("/quotes/api/v1/lending/quote", json=stored(name, "request"), headers=headers)
        assert (answer.status_code, answer.json) == (200, stored(name, "reply"))
    assert client.post("/quotes/api/v1/lending/apr", json=stored("apr", "request"), headers=headers).json == stored("apr", "reply")


def test_rest_refuses_with_the_key_and_without_a_login(app: Any) -> None:
    client = app.test_client()
    assert client.post("/quotes/api/v1/lending/quote", json=stored("E01", "request")).status_code == 401
    answer = client.post("/quotes/api/v1/lending/quote", json={"principal": "-1"}, headers=api(app, "officer"))
    assert answer.status_code == 400
    assert answer.json["problems"][0]["field"] in ("principal", "annual_rate", "method", "start_date")


def test_rest_is_for_those_who_hold_a_right(app: Any, lender: Lender) -> None:
    """A technician of the workshop has nothing to do with loans."""
    lender.stage.user("fitter", "修理工", ["workshop.technician"])
    headers = api(app, "fitter")
    assert app.test_client().post("/quotes/api/v1/lending/quote", json=stored("E01", "request"), headers=headers).status_code == 403
    assert "/lending/quote" not in app.test_client().get("/quotes/api/v1/openapi.json", headers=headers).json["paths"]


def test_the_openapi_document_tells_the_routes_with_their_schemas(app: Any) -> None:
    document = app.test_client().get("/quotes/api/v1/openapi.json", headers=api(app, "officer")).json
    assert {"/lending/quote", "/lending/apr", "/lending/days"} <= set(document["paths"])
    schema = document["components"]["schemas"]["lending.quote.input"]
    assert schema["properties"]["principal"]["$ref"] == "#/components/schemas/lending.quote.input/$defs/amount"


@pytest.fixture
def visitor(app: Any) -> Any:
    made = Visitor(app, "quotes")
    made.log_in("officer", PASSWORD)
    return made


def test_the_page_shows_the_schedule_with_capitals_and_marks_the_menu(visitor: Any) -> None:
    page = visitor.get("/tool/lending/quote", query_string=QUESTION).text
    assert "8,884.88" in page and "6,618.53" in page and "壹拾万陆仟陆佰壹拾捌元伍角叁分" in page
    assert 'aria-current="page"' in page
    assert "12.0000%" in page


def test_a_wrong_field_is_told_at_the_field_by_its_label(visitor: Any) -> None:
    answer = visitor.get("/tool/lending/quote", query_string={**QUESTION, "principal": "abc"})
    assert answer.status_code == 400
    assert "贷款金额 必须是数字" in answer.text and 'id="f-principal-p"' in answer.text


MANY_WRONG = {**QUESTION, "principal": "abc", "annual_rate": "", "periods": "0", "start_date": "2025-02-30", "colour": "red",
              "fees.0.code": "handling", "fees.0.when": "at_payout", "fees.0.amount": "-3",
              "events.0.kind": "prepay", "events.0.date": "tomorrow", "events.0.amount": "x"}


def test_all_wrong_fields_are_told_at_once_each_beside_its_field(visitor: Any) -> None:
    answer = visitor.get("/tool/lending/quote", query_string=MANY_WRONG)
    assert answer.status_code == 400
    listed = re.findall(r'data-jump="f-([^"]+)"', answer.text)
    assert listed == ["principal", "annual_rate", "periods", "start_date", "fees-0-amount", "events-0-date", "events-0-amount-2"]
    for field in listed:
        assert re.search(rf'id="f-{re.escape(field)}-p"', answer.text), field
    assert "有 7 处需要修改" in answer.text and "缺少 年利率" in answer.text and "期数 必须在 1 – 600 之间" in answer.text
    visitor.client.set_cookie("ml_locale", "en", path="/quotes")
    told = visitor.get("/tool/lending/quote", query_string=MANY_WRONG).text
    assert "Principal must be a number" in told and "Start date must be a date, found 2025-02-30" in told


def test_what_does_not_go_together_is_told_at_once(visitor: Any) -> None:
    sent = {**QUESTION, "fees.0.code": "a", "fees.0.when": "at_payout", "penalty.rate": "18", "penalty.multiplier": "1.5",
            "coupons.0.kind": "cash_off", "principal": "100.123"}
    told = visitor.get("/tool/lending/quote", query_string=sent).text
    assert set(re.findall(r'data-jump="f-([^"]+)"', told)) == {"principal", "fees-0-amount", "coupons-0-amount", "penalty-rate"}
    sent = {**QUESTION, "method": "BALLOON", "first_due_date": "2025-02-20", "due_day": "15", "period_unit": "week",
            "grace.principal_periods": "12", "grace.interest_payment_periods": "13"}
    told = visitor.get("/tool/lending/quote", query_string=sent).text
    assert set(re.findall(r'data-jump="f-([^"]+)"', told)) == {"balloon_periods", "due_day", "grace-principal_periods", "grace-interest_payment_periods"}


def test_rest_tells_all_that_is_wrong_at_once(app: Any) -> None:
    """One question as every refusal does, in the reader's language; a question of a list in its place, in both."""
    client, headers = app.test_client(), api(app, "officer")
    wrong = {**stored("E01", "request"), "principal": "abc", "periods": 0, "start_date": "2025-02-30", "colour": "red", "shape": "round"}
    keys = ["principal", "periods", "start_date", "colour", "shape"]
    for language, missing in (("zh", "不认识的参数 shape"), ("en", "unknown parameter shape")):
        answer = client.post("/quotes/api/v1/lending/quote", json=wrong, headers={**headers, "Accept-Language": language})
        assert (answer.status_code, [one["field"] for one in answer.json["problems"]]) == (400, keys)
        assert answer.json["problems"][4]["message"].startswith(missing)
    good, bad = client.post("/quotes/api/v1/lending/quote", json=[stored("E01", "request"), wrong], headers=headers).json
    assert good == stored("E01", "reply") and bad["error"] == bad["errors"][0] and [one["key"] for one in bad["errors"]] == keys
    assert bad["errors"][0]["zh"].startswith("principal 必须是数字") and bad["errors"][0]["en"].startswith("principal must be a number")
    document = client.get("/quotes/api/v1/openapi.json", headers=headers).json
    answered = document["paths"]["/lending/quote"]["post"]["responses"]["200"]["content"]["application/json"]["schema"]
    [_, many] = answered["oneOf"]
    jsonschema.Draft202012Validator({**many, "components": document["components"]}).validate([good, bad])
    refused = document["components"]["schemas"]["RefusedQuestion"]
    assert set(refused["required"]) == {"error", "errors"}


def test_the_word_tells_all_that_is_wrong_at_once() -> None:
    done = run("quote", given={**stored("E01", "request"), "principal": "abc", "periods": 0})
    assert [one["key"] for one in json.loads(done.stderr)["errors"]] == ["principal", "periods"]


def test_a_preset_fills_the_form(visitor: Any) -> None:
    page = visitor.get("/tool/lending/quote", query_string={"preset": "3"}).text
    assert 'value="26"' in page and '<option value="week" selected>' in page
    for strange in ("99", "²", "-1", "٣"):
        assert visitor.get("/tool/lending/quote", query_string={"preset": strange}).status_code == 200, strange


def test_the_table_as_files(visitor: Any) -> None:
    text = visitor.get("/tool/lending/quote/export", query_string={**QUESTION, "format": "csv"}).data.decode("utf-8-sig")
    rows = list(csv.DictReader(io.StringIO(text)))
    assert (len(rows), rows[0]["应还本金"], rows[-1]["剩余本金"]) == (12, "7884.88", "0.00")
    book = openpyxl.load_workbook(io.BytesIO(visitor.get("/tool/lending/quote/export", query_string={**QUESTION, "format": "xlsx"}).data))
    assert [cell.value for cell in book.active[2]][4] == 7884.88
    assert visitor.get("/tool/lending/quote/export", query_string={**QUESTION, "format": "pdf"}).status_code == 404


def test_fees_of_the_grid_enter_the_annual_rate(visitor: Any) -> None:
    fee = {"fees.0.code": "service", "fees.0.when": "at_payout", "fees.0.amount": "2000.00"}
    assert "15.8545%" in visitor.get("/tool/lending/quote", query_string={**QUESTION, **fee}).text
    wrong = visitor.get("/tool/lending/quote", query_string={**QUESTION, **fee, "fees.0.when": ""})
    assert wrong.status_code == 400 and "费用第 1 行：缺少 收取时点" in wrong.text


PREPAY = {"events.1003.kind": "prepay", "events.1003.date": "2025-06-01", "events.1003.amount": "30,000.00", "events.1003.fee_rate": "1",
          "events.1003.plan_change": "reduce_payment"}


def test_events_of_the_grid_change_the_schedule_whatever_their_numbers(visitor: Any) -> None:
    page = visitor.get("/tool/lending/quote", query_string={**QUESTION, "due_day": "15", "paid_periods": "4", "as_of": "2025-07-20", **PREPAY}).text
    assert "30,685.24" in page and "4,964.17" in page and "欠款合计" in page
    assert 'name="events.0.amount" value="30,000.00"' in page and 'name="events.1003' not in page


def test_a_wrong_cell_is_told_at_the_cell_in_the_readers_language(visitor: Any) -> None:
    wrong = {**QUESTION, **PREPAY, "events.7.kind": "pause", "events.7.date": "2025-05-01", "events.7.until": "2025-04-01"}
    answer = visitor.get("/tool/lending/quote", query_string=wrong)
    assert answer.status_code == 400 and "事件第 1 行：停息至（不含） 不能早于" in answer.text
    cell = answer.text.split('name="events.0.until"')[1].split("</div>")[0]
    assert "is-invalid" in answer.text.split('name="events.0.until"')[0].rsplit("<input", 1)[1] and "field-error" in cell
    visitor.client.set_cookie("ml_locale", "en", path="/quotes")
    assert "Events, row 1: Amount must be a number" in visitor.get("/tool/lending/quote", query_string={**QUESTION, **PREPAY, "events.1003.amount": "abc"}).text
    told = visitor.get("/tool/lending/quote", query_string={**QUESTION, "principal": "-5"}).text
    assert "Principal must not be negative, found -5" in told and "must be a number" not in told


def test_what_goes_together_is_told_by_labels(visitor: Any) -> None:
    answer = visitor.get("/tool/lending/quote", query_string={**QUESTION, "penalty.rate": "18", "penalty.multiplier": "1.5"})
    assert answer.status_code == 400 and "罚息利率 不能与 罚息倍数 同时使用" in answer.text
    answer = visitor.get("/tool/lending/quote", query_string={**QUESTION, "fees.0.code": "a", "fees.0.when": "at_payout"})
    assert "费用第 1 行：金额 需要同时给出 费率" in answer.text


def test_what_the_choices_do_not_ask_for_does_not_count(visitor: Any) -> None:
    """A balloon's periods beside level payments, an amount beside a pause, a row that says nothing."""
    sent = {**QUESTION, "balloon_periods": "24", "events.0.kind": "accelerate", "events.0.date": "2025-06-01", "events.0.amount": "5", "events.1.kind": ""}
    page = visitor.get("/tool/lending/quote", query_string=sent)
    assert page.status_code == 200 and 'name="events.1.kind"' not in page.text
    assert "事件第 1 行：缺少 事件类型" in visitor.get("/tool/lending/quote", query_string={**sent, "events.0.kind": ""}).text
    balloon = visitor.get("/tool/lending/quote", query_string={**QUESTION, "balloon_periods": "24", "method": "BALLOON"})
    assert balloon.status_code == 200 and "4,707.35" in balloon.text


def test_the_file_holds_the_question_its_events_and_all_tables(visitor: Any) -> None:
    asked = {**QUESTION, "paid_periods": "4", "as_of": "2025-07-20", "settle.date": "2025-07-20", **PREPAY}
    book = openpyxl.load_workbook(io.BytesIO(visitor.get("/tool/lending/quote/export", query_string={**asked, "format": "xlsx"}).data))
    assert {"还款计划", "提前还款", "未还清的各期", "汇总", "试算条件", "事件"} <= set(book.sheetnames) and book.active.title == "还款计划"
    assert [cell.value for cell in book["事件"][2]][:2] == ["提前还款", "2025-06-01"]
    assert "金额 30,000.00；余下计划 变额不变期；手续费率 1%" in book["事件"][2][2].value
    assert {row[0].value: row[1].value for row in book["试算条件"].iter_rows()}["贷款金额"] == "100,000"
    figures = {row[0].value: row[1].value for row in book["汇总"].iter_rows()}
    assert figures["提前结清试算 结清金额"] == figures["截至日状态 欠款合计"]
    paper = visitor.get("/tool/lending/quote", query_string=asked).text.split('class="onpaper"')[1]
    assert "变额不变期；手续费率 1%" in paper and "试算条件" in paper


def test_a_tool_without_a_page_and_a_tool_that_is_none_are_404(visitor: Any) -> None:
    for path in ("/tool/lending/apr", "/tool/lending/nothing", "/tool/nobody/quote"):
        assert visitor.get(path).status_code == 404
