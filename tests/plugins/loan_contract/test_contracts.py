"""No payout before the signature where the product asks for one; nobody but the service says what is signed."""

import hashlib
import io
import json
import re
from collections.abc import Iterator
from decimal import Decimal
from types import SimpleNamespace

import pypdf
import pytest

from metaloom import command
from metaloom.app.invariants import examine
from metaloom.base.errors import MetaloomError
from metaloom.command import Offered, available_actions
from metaloom.command.receive_call import HOOK, NOTICE, receive_call
from metaloom.plugin.signed_notice import SignedCall
from metaloom.record import Reader
from metaloom_plugins.esign_sandbox.simulator import Signatures
from tests.plugins.lender import Lender

D = Decimal


@pytest.fixture(scope="module")
def house(lender: Lender) -> Iterator[Lender]:
    lender.esign, lender.plain = lender.product(contract_mode="esign"), lender.product()  # type: ignore[attr-defined]
    yield lender


def service(house: Lender, key: str = "") -> Signatures:
    folder = house.tenant.settings.home / "plugins" / house.tenant.name / "esign_sandbox"
    folder.mkdir(parents=True, exist_ok=True)
    return Signatures(folder / "flows.sqlite", now=lambda: house.stage.clock.now().timestamp(), key=key)


def approved(house: Lender, ending: str = "1234", product: int | None = None, amount: str = "20000.00") -> SimpleNamespace:
    """A drawdown that waits for its payout, and its contract."""
    customer, account = house.customer(mobile_ending=ending)
    terms = {"apply_amount": D(amount), "apply_term": 12}
    limit = house.approved(house.application(customer, product or house.esign, **terms), D(amount), D("0.12"))
    drawdown = house.to_pay(house.drawdown(limit, account, amount=D(amount)))
    house.settle_outside()
    contracts = house.rows("contract", drawdown_id=drawdown)
    return SimpleNamespace(drawdown=drawdown, contract=contracts[0]["id"] if contracts else None, customer=customer)


def notify(house: Lender, headers: dict[str, str], body: bytes, way: str = HOOK) -> int:
    """By the webhook's name or by the provider's: the same thing."""
    call = SignedCall(headers={name.lower(): value for name, value in headers.items()}, body=body)
    name = "esign_notice" if way == HOOK else "esign_sandbox"
    return receive_call(house.tenant, way, name, call, plugins=house.plugins, clock=house.stage.clock, address="127.0.0.1").status


def status(house: Lender, contract: int) -> str:
    return str(house.row("contract", contract)["status"])


def file_bytes(house: Lender, ids: object) -> bytes:
    (number,) = json.loads(ids) if isinstance(ids, str) else ids
    row = next(row for row in house.rows("platform.file") if row["id"] == number)
    with house.tenant.files.open(row["digest"]) as kept:
        return kept.read()


def written(content: bytes) -> str:
    """The words of a document."""
    return "".join(page.extract_text() for page in pypdf.PdfReader(io.BytesIO(content)).pages)


def test_the_sandbox_signs_and_the_money_goes(house: Lender) -> None:
    made = approved(house)
    row = house.row("contract", made.contract)
    assert (row["status"], row["template_version"], row["contract_no"][:2]) == ("signed", "内置文本 1", "HT")
    assert row["evidence_no"] and row["envelope_no"] and row["signed_at"] is not None
    paper, signed = file_bytes(house, row["document"]), file_bytes(house, row["signed_file"])
    assert hashlib.sha256(paper).hexdigest() == row["document_digest"] and hashlib.sha256(signed).hexdigest() == row["signed_digest"]
    assert signed.startswith(paper)
    assert {signer["sign_status"] for signer in house.rows("contract_signer", contract_id=made.contract)} == {"signed"}
    house.do("finance", "drawdown", made.drawdown, "payout")
    house.settle_outside()
    assert house.row("drawdown", made.drawdown)["status"] == "paid"


def test_the_document_is_the_whole_text_in_a_font_that_travels_with_it(house: Lender) -> None:
    made = approved(house)
    row = house.row("contract", made.contract)
    reader = pypdf.PdfReader(io.BytesIO(file_bytes(house, row["document"])))
    text = re.sub(r"\s", "", written(file_bytes(house, row["document"])))
    customer = house.row("customer", made.customer)
    for said in (f"借款合同{row['contract_no']}", customer["name"], "20,000.00", "贰万元整", "第一条", f"第1页共{len(reader.pages)}页"):
        assert re.sub(r"\s", "", said) in text, said
    fonts = [font.get_object() for page in reader.pages for font in page["/Resources"]["/Font"].values()]
    assert any("/FontFile2" in font.get("/FontDescriptor", {}) for font in fonts)


def test_no_payout_before_the_signature(house: Lender) -> None:
    made = approved(house, "0004")
    assert status(house, made.contract) == "sent"
    with pytest.raises(MetaloomError) as why:
        house.do("finance", "drawdown", made.drawdown, "payout")
    assert "合同签署完成后才能放款" in why.value.message.say("zh")
    assert house.row("drawdown", made.drawdown)["status"] == "approved" and house.rows("payment_order", drawdown_id=made.drawdown) == []


def offered(house: Lender, drawdown: int, who: str = "finance") -> Offered:
    """The button 放款 as a page and the REST door get it."""
    ctx = house.stage.as_user(who)._context("offer")
    with house.tenant.read() as conn:
        row = Reader(conn, ctx.tenant, ctx.revision, ctx.plan).get("lending.drawdown", drawdown)
        return next(one for one in available_actions(ctx, "lending.drawdown", row, conn) if one.name == "payout")


@pytest.mark.parametrize("signed_by", ["borrower", "nobody"])
def test_the_button_of_a_payout_is_grey_until_the_contract_is_signed_and_says_why(house: Lender, signed_by: str) -> None:
    made = approved(house, "0004")
    button = offered(house, made.drawdown)
    assert not button.enabled and "合同签署完成后才能放款" in button.reason.say("zh") and "signed contract" in button.reason.say("en")
    if signed_by == "nobody":
        house.do("fincheck", "drawdown", made.drawdown, "void", {}, "客户放弃用款")
        assert "放款只能发起一次" in offered(house, made.drawdown).reason.say("zh"), "the state speaks before the contract"
        return
    service(house).sign(house.row("contract", made.contract)["contract_no"], signed_by)
    notices = service(house).notices()
    assert notices and {notify(house, *one) for one in notices} == {200}
    house.settle_outside()
    assert status(house, made.contract) == "signed" and offered(house, made.drawdown).enabled
    plain = approved(house, product=house.plain)
    assert offered(house, plain.drawdown).enabled, "a product that asks for no contract"


def test_a_product_that_asks_for_none_has_none_and_pays(house: Lender) -> None:
    made = approved(house, product=house.plain)
    assert made.contract is None
    house.do("finance", "drawdown", made.drawdown, "payout")
    house.settle_outside()
    assert house.row("drawdown", made.drawdown)["status"] == "paid"


def test_notices_are_believed_when_they_are_genuine_and_then_only_as_a_reason_to_ask(house: Lender) -> None:
    made = approved(house, "0004")
    number, there = house.row("contract", made.contract)["contract_no"], service(house)
    for _, body in there.notices():
        there.taken(body)
    forged = b'{"event_no": "X-1", "flow": {"flow_ref": "%s", "state": "SIGNED", "done": []}}' % number.encode()
    before = len(house.outbox())
    stolen = service(house, "somebody-elses-key")._signed("NOTICE", "/notice", forged)
    for headers in ({}, {"X-Timestamp": "1", "X-Nonce": "n", "X-Signature": "0" * 64}, stolen):
        assert notify(house, headers, forged) == 401
    assert len(house.outbox()) == before
    assert notify(house, there._signed("NOTICE", "/notice", forged), forged) == 200, "genuine but untrue: only a reason to ask"
    house.settle_outside()
    assert status(house, made.contract) == "sent"
    there.sign(number, "borrower")
    genuine = there.notices()
    assert [notify(house, *one, way) for one in (*genuine, *genuine) for way in (HOOK, NOTICE)] == [200] * (4 * len(genuine))
    house.settle_outside()
    assert status(house, made.contract) == "signed"
    late = len(house.outbox())
    assert notify(house, there._signed("NOTICE", "/notice", body := genuine[0][1].replace(b'"event_no": "', b'"event_no": "L-')), body) == 200
    assert len(house.outbox()) == late and len([f for f in there.flows() if f["flow_ref"] == number]) == 1


def test_a_refusal_is_told_and_a_new_contract_can_be_made(house: Lender) -> None:
    made = approved(house, "0003")
    row = house.row("contract", made.contract)
    assert (row["status"], row["outcome_text"]) == ("refused", "客户拒绝签署")
    house.do("officer", "drawdown", made.drawdown, "make_contract")
    assert len(house.rows("contract", drawdown_id=made.drawdown)) == 2


def test_a_silent_line_is_asked_about_and_makes_no_second_envelope(house: Lender) -> None:
    made = approved(house, "0000")
    number = house.row("contract", made.contract)["contract_no"]
    assert (status(house, made.contract), house.row("contract", made.contract)["questions"]) == ("signed", 2), "asked about it, then for the file"
    assert len([flow for flow in service(house).flows() if flow["flow_ref"] == number]) == 1


def test_a_voided_drawdown_takes_its_contract_along(house: Lender) -> None:
    made = approved(house, "0004")
    house.do("finance", "drawdown", made.drawdown, "void", {}, "客户放弃用款")
    house.settle_outside()
    assert status(house, made.contract) == "void"
    number = house.row("contract", made.contract)["contract_no"]
    assert next(flow for flow in service(house).flows() if flow["flow_ref"] == number)["state"] == "REVOKED"


def test_a_voided_contract_holds_the_payout_back_and_a_paid_one_is_not_voided(house: Lender) -> None:
    made = approved(house)
    house.do("fincheck", "contract", made.contract, "void_contract", {}, "条款有误")
    with pytest.raises(MetaloomError):
        house.do("finance", "drawdown", made.drawdown, "payout")
    house.do("officer", "drawdown", made.drawdown, "make_contract")
    house.settle_outside()
    house.do("finance", "drawdown", made.drawdown, "payout")
    house.settle_outside()
    with pytest.raises(MetaloomError, match="paid"):
        house.do("fincheck", "contract", house.row("drawdown", made.drawdown)["contract_id"], "void_contract", {}, "too late")


def test_a_template_is_released_by_another_person_with_slots_that_exist_and_kept_per_contract(house: Lender) -> None:
    wrong = house.create("product", "contract_template", {"template_name": "测试合同", "template_code": "V1", "body": "甲方 {lender} 与 {customer_name}"})
    with pytest.raises(MetaloomError) as why:
        house.do("approve", "contract_template", wrong, "release")
    assert "{lender}" in why.value.message.say("zh") and "lender_name" in why.value.message.say("zh")
    body = "{contract_no}：{customer_name} 借款 {amount} 元"
    good = house.create("product", "contract_template", {"template_name": "测试合同", "template_code": "V2", "body": body})
    house.do("approve", "contract_template", good, "release")
    try:
        made = approved(house)
        row = house.row("contract", made.contract)
        assert (row["template_id"], row["template_version"]) == (good, "测试合同 V2")
        text = written(file_bytes(house, row["document"]))
        assert f"{row['contract_no']}：" in text and "借款 20,000.00 元" in text
    finally:
        other = house.create("product", "contract_template", {"template_name": "测试合同", "template_code": "V3", "body": "{contract_no}"})
        house.do("review", "contract_template", other, "release")
    assert house.row("contract_template", good)["status"] == "retired"


def test_the_books_of_contracts_hold_and_a_missing_signature_is_found(house: Lender) -> None:
    def broken() -> set[str]:
        found = {one.name: one for one in examine(house.tenant, house.plugins) if one.name.startswith("loan_contract.")}
        assert len(found) == 2 and all(one.rows and not one.fault for one in found.values())
        return {one.name for one in found.values() if not one.holds}

    made = approved(house)
    house.do("finance", "drawdown", made.drawdown, "payout")
    house.settle_outside()
    assert broken() == set()
    table = house.tenant.revision().tables.of("lending.contract")
    with house.tenant.write() as conn:
        conn.execute(table.update().where(table.c.id == made.contract).values(status="sent"))
    assert broken() == {"loan_contract.signed_first"}
    with house.tenant.write() as conn:
        conn.execute(table.update().where(table.c.id == made.contract).values(status="signed", signed_digest=None))
    assert broken() == {"loan_contract.signed_files"}


def test_what_a_service_gets_that_never_saw_the_contract_is_what_is_kept(house: Lender) -> None:
    """The engine draws otherwise than on the day of the first sending: file, digest and what goes out stay one thing."""
    made = approved(house, "0004")
    table = house.tenant.revision().tables.of("lending.contract")
    with house.tenant.write() as conn:
        conn.execute(table.update().where(table.c.id == made.contract).values(document_digest="0" * 64, questions=3))
    before = house.row("contract", made.contract)
    ctx = command.system_context(house.tenant, plugins=house.plugins, clock=house.stage.clock)
    command.run_command(ctx, "loan_contract.result", made.contract, {"outcome": "never_seen"}, before["row_version"])
    row = house.row("contract", made.contract)
    assert row["document_digest"] == hashlib.sha256(file_bytes(house, row["document"])).hexdigest() != "0" * 64
    assert house.outbox()[-1]["key"].endswith(":3") or any(str(one["key"]).endswith(":3") for one in house.outbox())

