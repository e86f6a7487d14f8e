"""The payment_gateway and signed_notice doors towards Alipay's open platform."""

from __future__ import annotations

import csv
import io
import json
import re
import zipfile
from collections.abc import Mapping
from datetime import date
from decimal import Decimal, InvalidOperation
from typing import Any, Final
from urllib.parse import parse_qsl, urlencode, urlsplit
from zoneinfo import ZoneInfo

from metaloom.plugin import Environment
from metaloom.plugin.payment_gateway import Inquiry, PayReply, PayRequest, StatementLine
from metaloom.plugin.signed_notice import Notice, NoticeAnswer, NoticeRefused, SignedCall
from metaloom.plugin.wire import exchange

from . import seal

BEIJING: Final = ZoneInfo("Asia/Shanghai")
TRANSFER: Final = {"SUCCESS": "succeeded", "DEALING": "accepted", "WAIT_PAY": "accepted", "FAIL": "failed", "CLOSED": "failed", "REFUND": "failed"}
TRADE: Final = {"TRADE_SUCCESS": "succeeded", "TRADE_FINISHED": "succeeded", "WAIT_BUYER_PAY": "accepted", "TRADE_CLOSED": "failed"}
MISSING: Final = frozenset({"ORDER_NOT_EXIST", "ACQ.TRADE_NOT_EXIST", "TRADE_NOT_EXIST"})
UNSURE: Final = re.compile(r"SYSTEM_ERROR|UNKNOWN|PROCESS|TIMEOUT|RETRY|REPEAT|CONCURREN|INCONSISTENT|isp\.|aop\.", re.IGNORECASE)
"""Refusals that leave open what became of the order; all others are definite."""
BILL_KINDS: Final = {"转账": "payout", "退款": "refund", "交易": "collect"}
"""Words of the bill, the more particular first: a 交易退款 is a refund."""
UNPACKED_MAX: Final = 64 * 1024 * 1024


class Alipay:
    """One application."""

    def __init__(self, environment: Environment) -> None:
        self._set, self._secret, self._clock = environment.settings, environment.secret, environment.clock

    # -- payment_gateway ---------------------------------------------------------------------------------------------------

    def pay(self, request: PayRequest) -> PayReply:
        card = request.account_no.isdecimal() and len(request.account_no) >= 12
        payee: dict[str, Any] = {"identity": request.account_no, "identity_type": "BANKCARD_ACCOUNT" if card else "ALIPAY_LOGON_ID",
                                 "name": request.account_name}
        if card:
            payee["bankcard_ext_info"] = {"inst_name": request.bank_code, "account_type": "2"}
        node = self._ask("alipay.fund.trans.uni.transfer", {
            "out_biz_no": request.reference, "trans_amount": f"{request.amount:.2f}", "biz_scene": "DIRECT_TRANSFER",
            "product_code": "TRANS_BANKCARD_NO_PWD" if card else "TRANS_ACCOUNT_NO_PWD", "order_title": request.purpose or "payout", "payee_info": payee})
        return _judged(node, request.reference, "out_biz_no", TRANSFER.get(str(node.get("status")), "accepted"), "order_id")

    def collect(self, request: PayRequest) -> PayReply:
        node = self._ask("alipay.trade.pay", {
            "out_trade_no": request.reference, "total_amount": f"{request.amount:.2f}", "subject": request.purpose or "collect",
            "product_code": "CYCLE_PAY_AUTH", "agreement_params": {"agreement_no": request.agreement_no}})
        return _judged(node, request.reference, "out_trade_no", "accepted" if node.get("code") == "10003" else "succeeded", "trade_no", "total_amount")

    def refund(self, request: PayRequest) -> PayReply:
        node = self._ask("alipay.trade.refund", {"out_trade_no": request.original, "refund_amount": f"{request.amount:.2f}",
                                                 "out_request_no": request.reference})
        return _judged(node, request.reference, "", "succeeded" if node.get("fund_change") == "Y" else "accepted", "trade_no")

    def query(self, reference: str) -> PayReply:
        return self.inquire(Inquiry(reference=reference))

    def inquire(self, inquiry: Inquiry) -> PayReply:
        if inquiry.kind == "collect":
            node = self._ask("alipay.trade.query", {"out_trade_no": inquiry.reference})
            return _asked(node, inquiry.reference, "out_trade_no", TRADE.get(str(node.get("trade_status")), "unknown"), "trade_no", "total_amount")
        if inquiry.kind == "refund":
            node = self._ask("alipay.trade.fastpay.refund.query", {"out_trade_no": inquiry.original, "out_request_no": inquiry.reference})
            outcome = "succeeded" if node.get("refund_status") == "REFUND_SUCCESS" else "unknown"
            return _asked(node, inquiry.reference, "out_request_no", outcome, "trade_no", "refund_amount")
        node = self._ask("alipay.fund.trans.common.query", {"out_biz_no": inquiry.reference, "biz_scene": "DIRECT_TRANSFER",
                                                            "product_code": "TRANS_ACCOUNT_NO_PWD"})
        return _asked(node, inquiry.reference, "out_biz_no", TRANSFER.get(str(node.get("status")), "unknown"), "order_id", "trans_amount")

    def statement(self, day: date) -> tuple[StatementLine, ...]:
        node = self._ask("alipay.data.dataservice.bill.downloadurl.query", {"bill_type": "signcustomer", "bill_date": day.isoformat()})
        if node.get("code") != "10000":
            raise OSError(f"Alipay gave no bill: {node.get('sub_code') or node.get('code')}")
        place = urlsplit(str(node.get("bill_download_url", "")))
        own = str(self._set["bill_url"])
        if f"{place.scheme}://{place.netloc}" != own:
            raise OSError("the bill lies at a foreign address")
        answer = exchange(own, "GET", f"{place.path}?{place.query}", seconds=float(str(self._set["timeout_seconds"])))
        if answer.status != 200:
            raise OSError(f"the bill was not given: {answer.status}")
        return _bill(answer.body, day)

    # -- signed_notice -----------------------------------------------------------------------------------------------------

    def read(self, call: SignedCall) -> Notice:
        pairs = parse_qsl(call.body.decode("utf-8", "replace"), keep_blank_values=True)
        fields = dict(pairs)
        if len(fields) != len(pairs) or fields.get("app_id") != self._set["app_id"] or not fields.get("notify_id"):
            raise NoticeRefused("the notice is not for this application")
        try:
            seal.check_notice(fields, self._secret("alipay_public_key"))
        except seal.NotGenuine as error:
            raise NoticeRefused(str(error)) from error
        return Notice(event_no=fields["notify_id"], topic="payment", values=_told(fields))

    def answer(self, taken: bool) -> NoticeAnswer:
        return NoticeAnswer(status=200, body=b"success" if taken else b"failure")

    # -- the wire ----------------------------------------------------------------------------------------------------------

    def _ask(self, method: str, content: Mapping[str, Any]) -> dict[str, Any]:
        """The signed node of the answer; OSError for silence and for everything that Alipay did not sign."""
        fields = {"app_id": str(self._set["app_id"]), "method": method, "format": "JSON", "charset": "utf-8", "sign_type": "RSA2",
                  "timestamp": f"{self._clock.now().astimezone(BEIJING):%Y-%m-%d %H:%M:%S}", "version": "1.0",
                  "app_cert_sn": str(self._set["app_cert_sn"]), "alipay_root_cert_sn": str(self._set["alipay_root_cert_sn"]),
                  "notify_url": str(self._set["notify_url"]), "biz_content": json.dumps(content, ensure_ascii=False, separators=(",", ":"))}
        fields = {name: value for name, value in fields.items() if value}
        fields["sign"] = seal.sign(fields, self._secret("app_key"))
        answer = exchange(str(self._set["base_url"]), "POST", "/gateway.do?charset=utf-8", urlencode(fields).encode(),
                          {"Content-Type": "application/x-www-form-urlencoded;charset=utf-8"}, seconds=float(str(self._set["timeout_seconds"])))
        if answer.status != 200:
            raise OSError(f"Alipay answered {answer.status}")
        name = method.replace(".", "_") + "_response"
        try:
            return seal.node_of(answer.body, name, self._secret("alipay_public_key"))
        except (seal.NotGenuine, UnicodeDecodeError) as error:
            raise OSError(f"the answer is not Alipay's: {error}") from error


def _judged(node: Mapping[str, Any], reference: str, own: str, outcome: str, number: str, amount: str = "") -> PayReply:
    """What the answer to an order means."""
    code, sub = str(node.get("code", "")), str(node.get("sub_code", ""))
    if code in ("10000", "10003"):
        if own and node.get(own) != reference:
            return PayReply(outcome="unknown", reference=reference, code="other_payment", text="the answer is about another payment")
        return PayReply(outcome=outcome, reference=reference, gateway_no=str(node.get(number, "")), amount=_amount(node.get(amount)))
    if code == "20000" or UNSURE.search(sub) or code not in ("40001", "40002", "40004", "40006"):
        return PayReply(outcome="unknown", reference=reference, code=sub or code or "no_code", text=str(node.get("sub_msg", ""))[:200])
    return PayReply(outcome="failed", reference=reference, code=sub or code, text=str(node.get("sub_msg", node.get("msg", "")))[:200])


def _asked(node: Mapping[str, Any], reference: str, own: str, outcome: str, number: str, amount: str) -> PayReply:
    """What the answer to a query means: a refused question says nothing about the order."""
    sub = str(node.get("sub_code", ""))
    if sub in MISSING:
        return PayReply(outcome="unknown", reference=reference, code="not_found", text="Alipay has no such order, at least not yet")
    if node.get("code") != "10000" or node.get(own) != reference:
        return PayReply(outcome="unknown", reference=reference, code=sub or str(node.get("code", "")) or "no_code", text=str(node.get("sub_msg", ""))[:200])
    return PayReply(outcome=outcome, reference=reference, gateway_no=str(node.get(number, "")), code=str(node.get("error_code", "")),
                    text=str(node.get("fail_reason", ""))[:200], amount=_amount(node.get(amount)))


def _told(fields: Mapping[str, str]) -> dict[str, Any]:
    """A notice about a trade, about a refund of one, or about a transfer (whose words stand in biz_content)."""
    if fields.get("msg_method") == "alipay.fund.trans.order.changed":
        try:
            said = json.loads(fields.get("biz_content", ""))
            return {"reference": str(said["out_biz_no"]), "outcome": TRANSFER.get(str(said["status"]), "unknown"), "gateway_no": str(said.get("order_id", "")),
                    "amount": _amount(said.get("trans_amount")), "code": str(said.get("error_code", ""))[:60], "text": str(said.get("fail_reason", ""))[:200]}
        except (ValueError, KeyError, TypeError, RecursionError) as error:
            raise NoticeRefused("the notice has no order") from error
    if not fields.get("out_trade_no") or fields.get("trade_status") not in TRADE:
        raise NoticeRefused("the notice has no order")
    if fields.get("gmt_refund"):        # about a refund: the trade's status and refund_fee speak of all its refunds together, so no amount is taken from it
        return {"reference": fields.get("out_biz_no") or fields["out_trade_no"], "outcome": "succeeded" if fields.get("out_biz_no") else "unknown",
                "gateway_no": fields.get("trade_no", ""), "amount": None, "code": "", "text": ""}
    return {"reference": fields["out_trade_no"], "outcome": TRADE[fields["trade_status"]], "gateway_no": fields.get("trade_no", ""),
            "amount": _amount(fields.get("total_amount")), "code": "", "text": ""}


def _bill(packed: bytes, day: date) -> tuple[StatementLine, ...]:
    """Lines of the zipped CSV in GBK; its closing line must name as many as there are, else it broke off."""
    try:
        with zipfile.ZipFile(io.BytesIO(packed)) as archive:
            info = next(one for one in archive.infolist() if "汇总" not in _name(one) and _name(one).endswith(".csv"))
            if info.file_size > UNPACKED_MAX:
                raise OSError("the bill is too long")
            text = archive.read(info).decode("gb18030")
    except (zipfile.BadZipFile, StopIteration, UnicodeDecodeError) as error:
        raise OSError("the bill is damaged") from error
    promised = re.search(r"^#合计：(\d+)笔", text, re.MULTILINE)
    rows = list(csv.DictReader(io.StringIO("\n".join(line for line in text.splitlines() if line and not line.startswith("#")))))
    if promised is None or int(promised[1]) != len(rows):
        raise OSError("the bill broke off")
    return tuple(_bill_line({(key or "").strip(): (value or "").strip() for key, value in row.items()}, day) for row in rows)


def _name(info: zipfile.ZipInfo) -> str:
    return info.filename if info.flag_bits & 0x800 else info.filename.encode("cp437", "replace").decode("gbk", "replace")


def _bill_line(row: Mapping[str, str], day: date) -> StatementLine:
    kind = next((said for word, said in BILL_KINDS.items() if word in row.get("业务类型", "")), None)
    income, spent = _amount(row.get("收入金额（+元）") or "0"), _amount(row.get("支出金额（-元）") or "0")
    if kind is None or income is None or spent is None:
        raise OSError("a line of the bill is damaged")
    return StatementLine(reference=row.get("商户订单号", ""), gateway_no=row.get("业务流水号", ""), amount=abs(income) or abs(spent), outcome="succeeded",
                         day=day, kind=kind, fee=abs(_amount(row.get("服务费（元）") or "0") or Decimal(0)))


def _amount(text: object) -> Decimal | None:
    try:
        found = Decimal(str(text)) if text not in (None, "") else None
    except InvalidOperation:
        return None
    return found if found is None or found.is_finite() else None
