"""An Alipay that runs on this machine: signed nodes, trades, transfers, refunds, notices and zipped bills; from its interface paper."""

from __future__ import annotations

import base64
import io
import json
import zipfile
from typing import Any
from urllib.parse import parse_qsl, urlencode

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding

from tests.plugins.channels.channel import Channel
from tests.plugins.channels.keys import pair

APP = "2021000000000001"


class AlipayServer(Channel):
    """``handle`` is the wire. The application's key is the pair ``alipay-app``, Alipay's own ``alipay``."""

    def __init__(self) -> None:
        super().__init__()
        self.app, self.own = pair("alipay-app"), pair("alipay")
        self.base, self.cut_statement, self.foreign_bill = "", False, False

    def handle(self, method: str, path: str, headers: dict[str, str], body: bytes) -> Any:
        if method == "GET":
            return 200, {"Content-Type": "application/zip"}, self.bill()
        form = dict(parse_qsl(body.decode(), strict_parsing=True))
        node = form["method"].replace(".", "_") + "_response"
        text = "&".join(f"{k}={v}" for k, v in sorted(form.items()) if k != "sign")
        try:
            self.app.key.public_key().verify(base64.b64decode(form["sign"]), text.encode(), padding.PKCS1v15(), hashes.SHA256())
        except Exception:
            return self.signed(node, {"code": "40002", "msg": "Invalid Arguments", "sub_code": "isv.invalid-signature"})
        asked = json.loads(form["biz_content"])
        self.asked.append((form["method"], str(asked.get("out_biz_no") or asked.get("out_request_no") or asked.get("out_trade_no") or "")))
        return getattr(self, form["method"].rpartition("alipay.")[2].replace(".", "_"))(node, asked)

    def signed(self, node: str, content: dict[str, Any], forged: bool = False) -> Any:
        raw = json.dumps(content, ensure_ascii=False, indent=1)      # white space that only the raw bytes keep
        signer = pair("somebody-else") if forged else self.own
        sign = base64.b64encode(signer.key.sign(raw.encode(), padding.PKCS1v15(), hashes.SHA256())).decode()
        return 200, {"Content-Type": "application/json"}, f'{{"{node}":{raw},"sign":{json.dumps(sign)}}}'.encode()

    def order(self, node: str, number: str, kind: str, yuan: str, content: Any, **more: Any) -> Any:
        before = self.fault("silence_before", "error_before")
        if before:
            return None if before == "silence_before" else (502, {}, b"<html></html>")
        if self.fault("refuse"):
            return self.signed(node, {"code": "40004", "msg": "Business Failed", "sub_code": "PAYEE_NOT_EXIST", "sub_msg": "no such payee"})
        if self.fault("system"):
            return self.signed(node, {"code": "40004", "msg": "Business Failed", "sub_code": "SYSTEM_ERROR", "sub_msg": "try later"})
        whole, _, part = yuan.partition(".")
        made = self.take(number, kind, int(whole) * 100 + int(part.ljust(2, "0")), **more)
        after = self.fault("silence_after", "error_after")
        if after:
            return None if after == "silence_after" else (500, {}, b"")
        return self.signed(node, {"code": "10000", "msg": "Success", **content(made)}, bool(self.fault("forged")))

    def fund_trans_uni_transfer(self, node: str, asked: dict[str, Any]) -> Any:
        shown = "OTHER00001" if self.faults[:1] == ["other_order"] and self.faults.pop(0) else asked["out_biz_no"]
        return self.order(node, asked["out_biz_no"], "payout", asked["trans_amount"], lambda made: {
            "out_biz_no": shown, "order_id": made.gateway_no, "pay_fund_order_id": "F1", "status": "SUCCESS" if made.state == "paid" else "FAIL"})

    def trade_pay(self, node: str, asked: dict[str, Any]) -> Any:
        assert asked["agreement_params"]["agreement_no"]
        return self.order(node, asked["out_trade_no"], "collect", asked["total_amount"], lambda made: {
            "out_trade_no": made.number, "trade_no": made.gateway_no, "total_amount": asked["total_amount"]})

    def trade_refund(self, node: str, asked: dict[str, Any]) -> Any:
        whole, _, part = asked["refund_amount"].partition(".")
        if int(whole) * 100 + int(part.ljust(2, "0")) > self.refundable(asked["out_trade_no"], asked["out_request_no"]):
            return self.signed(node, {"code": "40004", "msg": "Business Failed", "sub_code": "ACQ.REFUND_AMT_NOT_EQUAL_TOTAL", "sub_msg": "more than was paid"})
        again = asked["out_request_no"] in self.books

        def content(made: Any) -> dict[str, Any]:
            given = [one.cents for one in self.books.values() if one.more.get("original") == asked["out_trade_no"] and one.state == "paid"]
            return {"out_trade_no": asked["out_trade_no"], "trade_no": made.gateway_no, "fund_change": "N" if again else "Y",
                    "refund_fee": f"{sum(given) / 100:.2f}"}       # of all refunds together, as Alipay has it

        return self.order(node, asked["out_request_no"], "refund", asked["refund_amount"], content, original=asked["out_trade_no"])

    def found(self, node: str, number: str, missing: str, content: Any) -> Any:
        made = self.books.get(number)
        if self.fault("not_found") or made is None:
            return self.signed(node, {"code": "40004", "msg": "Business Failed", "sub_code": missing})
        return self.signed(node, {"code": "10000", "msg": "Success", **content(made, f"{made.cents / 100:.2f}")}, bool(self.fault("forged")))

    def fund_trans_common_query(self, node: str, asked: dict[str, Any]) -> Any:
        states = {"paid": "SUCCESS", "failed": "FAIL", "waiting": "DEALING"}
        return self.found(node, asked["out_biz_no"], "ORDER_NOT_EXIST", lambda made, yuan: {
            "out_biz_no": made.number, "order_id": made.gateway_no, "status": states[made.state], "trans_amount": yuan})

    def trade_query(self, node: str, asked: dict[str, Any]) -> Any:
        states = {"paid": "TRADE_SUCCESS", "failed": "TRADE_CLOSED", "waiting": "WAIT_BUYER_PAY"}
        return self.found(node, asked["out_trade_no"], "ACQ.TRADE_NOT_EXIST", lambda made, yuan: {
            "out_trade_no": made.number, "trade_no": made.gateway_no, "trade_status": states[made.state], "total_amount": yuan})

    def trade_fastpay_refund_query(self, node: str, asked: dict[str, Any]) -> Any:
        return self.found(node, asked["out_request_no"], "TRADE_NOT_EXIST", lambda made, yuan: {
            "out_request_no": made.number, "trade_no": made.gateway_no, "refund_status": "REFUND_SUCCESS", "refund_amount": yuan})

    def notice(self, number: str, *, forged: bool = False, cents: int | None = None) -> tuple[dict[str, str], bytes]:
        """An asynchronous notice about an order, as it is posted."""
        made = self.books[number]
        yuan = f"{(made.cents if cents is None else cents) / 100:.2f}"
        fields = {"notify_id": f"N{number}{made.state}", "app_id": APP, "charset": "utf-8", "version": "1.0"}
        if made.kind == "payout":
            fields |= {"msg_method": "alipay.fund.trans.order.changed", "biz_content": json.dumps(
                {"out_biz_no": number, "order_id": made.gateway_no, "status": "SUCCESS" if made.state == "paid" else "FAIL", "trans_amount": yuan})}
        elif made.kind == "refund":
            paid = self.books[made.more["original"]]
            given = [one.cents for one in self.books.values() if one.more.get("original") == paid.number and one.state == "paid"]
            fields |= {"out_trade_no": paid.number, "trade_no": paid.gateway_no, "out_biz_no": number, "gmt_refund": "2025-01-15 10:00:00.000",
                       "total_amount": f"{paid.cents / 100:.2f}", "refund_fee": f"{sum(given) / 100:.2f}",
                       "trade_status": "TRADE_CLOSED" if sum(given) == paid.cents else "TRADE_SUCCESS"}
        else:
            fields |= {"out_trade_no": number, "trade_no": made.gateway_no, "total_amount": yuan,
                       "trade_status": "TRADE_SUCCESS" if made.state == "paid" else "TRADE_CLOSED"}
        text = "&".join(f"{k}={v}" for k, v in sorted(fields.items()))
        signer = pair("somebody-else") if forged else self.own
        sign = base64.b64encode(signer.key.sign(text.encode(), padding.PKCS1v15(), hashes.SHA256())).decode()
        return {"content-type": "application/x-www-form-urlencoded"}, urlencode({**fields, "sign_type": "RSA2", "sign": sign}).encode()

    def data_dataservice_bill_downloadurl_query(self, node: str, asked: dict[str, Any]) -> Any:
        place = "http://169.254.169.254" if self.foreign_bill else self.base
        return self.signed(node, {"code": "10000", "bill_download_url": f"{place}/bill.zip?day={asked['bill_date']}&token=x"})

    def bill(self) -> bytes:
        paid = [made for made in self.books.values() if made.state == "paid"]
        words = {"payout": "转账", "collect": "交易付款", "refund": "交易退款"}
        lines = ["#支付宝账务明细查询", "#账号：[2088]", "账务流水号,业务流水号,商户订单号,业务类型,收入金额（+元）,支出金额（-元）,服务费（元）"]
        for made in paid:
            yuan = f"{made.cents / 100:.2f}"
            ways = (yuan, "0.00") if made.kind == "collect" else ("0.00", f"-{yuan}")
            lines.append(f"L1\t,{made.gateway_no}\t,{made.number}\t,{words[made.kind]},{ways[0]},{ways[1]},0.10")
        lines.append(f"#合计：{len(paid)}笔")
        text = "\n".join(lines[:-2] + lines[-1:] if self.cut_statement else lines)
        packed = io.BytesIO()
        with zipfile.ZipFile(packed, "w") as archive:
            archive.writestr("2088_20250115_账务明细.csv", text.encode("gb18030"))
            archive.writestr("2088_20250115_账务明细(汇总).csv", b"x")
        return packed.getvalue()
