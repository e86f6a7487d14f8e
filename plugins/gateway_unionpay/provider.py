"""The payment_gateway and signed_notice doors towards UnionPay's back-end interface 5.1.0.

UnionPay knows an order by orderId and txnTime together: both come from what was committed before the first call and are the
same in every repetition and query. Answer 00 to an order means *taken*; only a query or a notice says that it was paid.
"""

from __future__ import annotations

import base64
import binascii
import io
import zipfile
import zlib
from collections.abc import Mapping
from datetime import date, datetime
from decimal import Decimal
from typing import Final
from urllib.parse import parse_qsl, urlencode
from zoneinfo import ZoneInfo

from metaloom.plugin import Environment
from metaloom.plugin.payment_gateway import Inquiry, PayReply, PayRequest, StatementLine
from metaloom.plugin.signed_notice import Notice, NoticeAnswer, NoticeRefused, SignedCall
from metaloom.plugin.wire import exchange

from . import seal

BEIJING: Final = ZoneInfo("Asia/Shanghai")
ORDER, QUERY, FILE = "/gateway/api/backTransReq.do", "/gateway/api/queryTrans.do", "/"
TYPES: Final = {"payout": ("12", "00", "000401"), "collect": ("11", "02", "000501"), "refund": ("04", "00", "000501")}
KIND_OF: Final = {"12": "payout", "11": "collect", "04": "refund"}
UNDECIDED: Final = frozenset({"03", "04", "05"})
WIDTHS: Final = (3, 11, 11, 6, 10, 19, 12, 4, 2, 21, 2, 32, 2, 6, 10, 13, 13, 4, 15, 2, 2)
"""The first columns of a ZM statement, each followed by a space; amount 7th, query number 10th, order number 12th, fee 16th, type 20th."""
UNPACKED_MAX: Final = 64 * 1024 * 1024


class UnionPay:
    """One merchant."""

    def __init__(self, environment: Environment) -> None:
        self._set, self._secret, self._clock = environment.settings, environment.secret, environment.clock

    # -- payment_gateway ---------------------------------------------------------------------------------------------------

    def pay(self, request: PayRequest) -> PayReply:
        return self._order(request, "payout")

    def collect(self, request: PayRequest) -> PayReply:
        return self._order(request, "collect")

    def refund(self, request: PayRequest) -> PayReply:
        return self._order(request, "refund")

    def query(self, reference: str) -> PayReply:
        return self.inquire(Inquiry(reference=reference))

    def inquire(self, inquiry: Inquiry) -> PayReply:
        fields = self._common("00", "00", "000000") | {"orderId": inquiry.reference, "txnTime": self._time(inquiry.made_at)}
        answer = self._ask(str(self._set["base_url"]), QUERY, fields)
        if answer.get("respCode") == "34":
            return PayReply(outcome="unknown", reference=inquiry.reference, code="not_found", text="UnionPay has no such order, at least not yet")
        if answer.get("respCode") != "00":
            return self._unsure(inquiry.reference, answer)
        return self._final(answer, inquiry.reference)

    def statement(self, day: date) -> tuple[StatementLine, ...]:
        fields = self._common("76", "01", "000000") | {"settleDate": f"{day:%m%d}", "fileType": "00", "txnTime": self._time("")}
        del fields["channelType"], fields["currencyCode"]
        answer = self._ask(str(self._set["file_url"]), FILE, fields)
        if answer.get("respCode") == "98":       # no such file: nothing happened on that day, or it is not made yet
            raise OSError("UnionPay has no statement of that day yet")
        if answer.get("respCode") != "00":
            raise OSError(f"UnionPay gave no statement: {answer.get('respCode')}")
        return tuple(_line(raw, day) for raw in _rows(answer.get("fileContent", "")))

    def _order(self, request: PayRequest, kind: str) -> PayReply:
        fields = self._common(*TYPES[kind]) | {
            "orderId": request.reference, "txnTime": self._time(request.made_at), "txnAmt": str(_cents(request.amount)),
            "backUrl": str(self._set["notify_url"]) or "http://www.specialUrl.com",
        }
        if kind == "refund":
            fields["origQryId"] = request.original_no
        else:
            cert = self._secret("encrypt_cert")
            person = base64.b64encode(f"{{customerNm={request.account_name}}}".encode()).decode()
            fields |= {"accType": "01", "accNo": seal.hide(request.account_no, cert), "customerInfo": person,
                       "encryptCertId": str(self._set["encrypt_cert_id"])}
            if request.agreement_no:
                fields["reqReserved"] = request.agreement_no
        answer = self._ask(str(self._set["base_url"]), ORDER, fields)
        if answer.get("orderId") != request.reference:
            return PayReply(outcome="unknown", reference=request.reference, code="other_payment", text="the answer is about another payment")
        code = answer.get("respCode", "")
        if code == "00":
            return PayReply(outcome="accepted", reference=request.reference, gateway_no=answer.get("queryId", ""), code=code)
        if code in UNDECIDED or not _is_definite(code):
            return self._unsure(request.reference, answer)
        return PayReply(outcome="failed", reference=request.reference, code=code, text=answer.get("respMsg", "")[:200])

    def _final(self, answer: Mapping[str, str], reference: str) -> PayReply:
        """A genuine word about the order itself: origRespCode in queries, respCode in notices."""
        code = answer.get("origRespCode", answer.get("respCode", ""))
        if answer.get("orderId") != reference:
            return PayReply(outcome="unknown", reference=reference, code="other_payment", text="the answer is about another payment")
        outcome = "succeeded" if code == "00" else "accepted" if code in UNDECIDED else "failed" if _is_definite(code) else "unknown"
        cents = answer.get("txnAmt", "")
        return PayReply(outcome=outcome, reference=reference, gateway_no=answer.get("queryId", ""), code="" if code == "00" else code,
                        text=answer.get("origRespMsg", answer.get("respMsg", ""))[:200], amount=Decimal(cents).scaleb(-2) if cents.isdecimal() else None)

    def _unsure(self, reference: str, answer: Mapping[str, str]) -> PayReply:
        return PayReply(outcome="unknown", reference=reference, code=answer.get("respCode", "") or "no_code", text=answer.get("respMsg", "")[:200])

    # -- signed_notice -----------------------------------------------------------------------------------------------------

    def read(self, call: SignedCall) -> Notice:
        fields = _fields(call.body)
        try:
            seal.check(fields, self._secret("root_cert"), str(self._set["common_name"]), self._clock.now())
        except seal.NotGenuine as error:
            raise NoticeRefused(str(error)) from error
        if fields.get("merId") != self._set["mer_id"] or not fields.get("orderId") or fields.get("txnType") not in KIND_OF:
            raise NoticeRefused("the notice is for another merchant, or about no order")
        reply = self._final(fields, fields["orderId"])
        return Notice(event_no=f"{fields['orderId']}-{fields.get('queryId', '')}-{fields.get('respCode', '')}", topic="payment", values={
            "reference": reply.reference, "outcome": reply.outcome, "gateway_no": reply.gateway_no, "amount": reply.amount, "code": reply.code,
            "text": reply.text})

    def answer(self, taken: bool) -> NoticeAnswer:
        return NoticeAnswer(status=200 if taken else 503, body=b"ok" if taken else b"later")

    # -- the wire ----------------------------------------------------------------------------------------------------------

    def _common(self, kind: str, sub: str, business: str) -> dict[str, str]:
        return {"version": "5.1.0", "encoding": "UTF-8", "signMethod": "01", "txnType": kind, "txnSubType": sub, "bizType": business,
                "accessType": "0", "channelType": "07", "currencyCode": "156", "merId": str(self._set["mer_id"]), "certId": str(self._set["cert_id"])}

    def _ask(self, base: str, path: str, fields: dict[str, str]) -> dict[str, str]:
        """The signed answer; OSError for silence and for everything that UnionPay did not sign."""
        fields["signature"] = seal.sign(fields, self._secret("sign_key"))
        answer = exchange(base, "POST", path, urlencode(fields).encode(), {"Content-Type": "application/x-www-form-urlencoded;charset=UTF-8"},
                          seconds=float(str(self._set["timeout_seconds"])))
        if answer.status != 200:
            raise OSError(f"UnionPay answered {answer.status}")
        found = _fields(answer.body)
        try:
            seal.check(found, self._secret("root_cert"), str(self._set["common_name"]), self._clock.now())
        except seal.NotGenuine as error:
            raise OSError(f"the answer is not UnionPay's: {error}") from error
        return found

    def _time(self, made_at: str) -> str:
        at = datetime.fromisoformat(made_at) if made_at else self._clock.now()
        return f"{at.astimezone(BEIJING):%Y%m%d%H%M%S}"


def _is_definite(code: str) -> bool:
    """10–89 refuse for good, except 12 (the number was used: the query knows for what) and 34 (not found)."""
    return len(code) == 2 and code.isdecimal() and "10" <= code <= "89" and code not in ("12", "34")


def _fields(body: bytes) -> dict[str, str]:
    """Form fields: a notice is percent-encoded, an answer is plain; a name that comes twice makes the whole unreadable."""
    text = body.decode("utf-8", "replace")
    if "%" in text or "+" in text and "signature=" in text and "%2B" in text:
        pairs = parse_qsl(text, keep_blank_values=True)
    else:
        pairs = [(name, value) for name, _, value in (part.partition("=") for part in text.split("&")) if name]
    found = dict(pairs)
    return found if len(found) == len(pairs) else {}


def _rows(content: str) -> list[str]:
    """The lines of the ZM file in base64(deflate(zip)); OSError when any layer is broken."""
    try:
        unpacked = zlib.decompressobj()
        packed = unpacked.decompress(base64.b64decode(content, validate=True), UNPACKED_MAX)
        if unpacked.unconsumed_tail or not unpacked.eof:
            raise OSError("the statement broke off")
        with zipfile.ZipFile(io.BytesIO(packed)) as archive:
            name = next(info for info in archive.infolist() if "ZM_" in info.filename)
            if name.file_size > UNPACKED_MAX:
                raise OSError("the statement is too long")
            return [row for row in archive.read(name).decode("gbk").splitlines() if row.strip()]
    except (ValueError, binascii.Error, zlib.error, zipfile.BadZipFile, StopIteration) as error:
        raise OSError("the statement is damaged") from error


def _line(row: str, day: date) -> StatementLine:
    """A line of fixed columns, counted in bytes of GBK."""
    raw, at, columns = row.encode("gbk"), 0, []
    for width in WIDTHS:
        columns.append(raw[at:at + width].decode("gbk").strip())
        at += width + 1
    if len(raw) < at - 1 or columns[19] not in KIND_OF or not columns[6].isdecimal():
        raise OSError("a line of the statement is damaged")
    fee = columns[15]
    return StatementLine(reference=columns[11], gateway_no=columns[9], amount=Decimal(columns[6]).scaleb(-2), outcome="succeeded", day=day,
                         kind=KIND_OF[columns[19]], fee=Decimal(fee[1:] or 0).scaleb(-2) if fee[1:].isdecimal() else Decimal(0))


def _cents(amount: Decimal) -> int:
    numerator, denominator = (amount * 100).as_integer_ratio()
    if denominator != 1 or numerator <= 0:
        raise ValueError("an amount has at most two places")
    return numerator
