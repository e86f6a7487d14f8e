"""Reports about people who do not exist: always the same one for the same ID number, made of its fingerprint."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from datetime import date
from decimal import Decimal
from random import Random
from typing import Final

from metaloom.plugin.data_provider import DataReply, DataRequest

LENDERS: Final = ("某国有大行", "某股份制银行", "某城商行", "某消费金融公司", "某农商行")
KINDS: Final = (("R2", "贷记卡"), ("D1", "非循环贷"), ("R4", "循环额度下分账户"), ("R1", "循环贷"))
REPORTED_ON: Final = date(2025, 1, 1)


def _bureau(request: DataRequest) -> DataReply:
    """A credit report in the sections of the second generation; somebody whose number ends in 8 has none."""
    if request.subject.get("id_no", "").endswith("8"):
        return _reply(request, "not_found")
    luck = _luck(request)
    late = luck.choice((0, 0, 0, 1, 1, 3))
    lines = [_account(luck, number == 0 and late or 0) for number in range(luck.randrange(2, 7))]
    lines += [{"section": "public", "item": "强制执行记录", "detail": "已结案", "amount": "12000.00", "state": "closed"}] if late == 3 else []
    lines += [{"section": "query", "item": "贷款审批", "detail": luck.choice(LENDERS), "amount": None, "state": "done"} for _ in range(luck.randrange(1, 5))]
    accounts = [line for line in lines if line["section"] == "credit"]
    owed = [Decimal(str(line["amount"])) for line in accounts]
    asked = sum(line["section"] == "query" for line in lines)
    return _reply(request, "found", {
        "report_no": _number(request, "R"), "report_date": REPORTED_ON, "score": 720 - 45 * late - luck.randrange(0, 60), "accounts": len(accounts),
        "open_accounts": sum(line["state"] != "closed" for line in accounts), "credit_total": sum(owed, Decimal(0)) * 2, "balance": sum(owed, Decimal("0.00")),
        "overdue_accounts": sum(line["state"] == "overdue" for line in accounts), "overdue_amount": Decimal(late * 350).quantize(Decimal("0.01")),
        "overdue_months_max": late, "recovered": 0, "guaranteed": Decimal("0.00"), "judgments": 0, "enforcements": int(late == 3), "tax_arrears": 0,
        "penalties": 0, "queries_1m": asked // 2, "queries_3m": asked, "queries_12m": asked + 2}, lines)


def _account(luck: Random, late: int) -> dict[str, object]:
    code, kind = luck.choice(KINDS)
    state = "overdue" if late else luck.choice(("normal", "normal", "closed"))
    owed = Decimal(0) if state == "closed" else Decimal(luck.randrange(5, 600) * 100)
    return {"section": "credit", "item": f"{kind}（{code}）", "detail": luck.choice(LENDERS) + (f"，当前逾期 {late} 期" if late else ""),
            "amount": str(owed.quantize(Decimal("0.01"))), "state": state}


def _social_security(request: DataRequest) -> DataReply:
    luck = _luck(request)
    return _reply(request, "found", {"months": luck.randrange(3, 180), "base": Decimal(luck.randrange(40, 180) * 100).quantize(Decimal("0.01")),
                                     "employer": "某机械制造有限公司", "paying": luck.choice(("yes", "yes", "no"))})


def _carrier(request: DataRequest) -> DataReply:
    return _reply(request, "found", {**_match(request), "online_months": _luck(request).randrange(2, 200), "state": "normal"})


def _identity(request: DataRequest) -> DataReply:
    return _reply(request, "found", _match(request))


def _face(request: DataRequest) -> DataReply:
    same = _match(request)
    return _reply(request, "found", {**same, "score": Decimal("96.50") if same["result"] == "match" else Decimal("41.20")})


def _match(request: DataRequest) -> dict[str, object]:
    """A mobile number that ends in 0002 belongs to somebody else."""
    return {"result": "mismatch" if request.subject.get("mobile", "").endswith("0002") else "match"}


def _luck(request: DataRequest) -> Random:
    return Random(f"{request.method} {hashlib.sha256(request.subject.get('id_no', '').encode()).hexdigest()}")


def _reply(request: DataRequest, outcome: str, values: Mapping[str, object] | None = None, lines: object = ()) -> DataReply:
    said = dict(values or {})
    raw = json.dumps({"request_no": request.reference, "data": {**said, "lines": lines}}, ensure_ascii=False, default=str) if said else ""
    return DataReply(outcome=outcome, reference=request.reference, provider_no=_number(request, "SB"), values=said, raw=raw, text=str(said.get("result", "")))


def _number(request: DataRequest, letters: str) -> str:
    return letters + hashlib.sha256(request.reference.encode()).hexdigest()[:16].upper()


REPORTS: Final[Mapping[str, Callable[[DataRequest], DataReply]]] = {
    "bureau": _bureau, "social_security": _social_security, "carrier": _carrier, "kyc3": _identity, "kyc4": _identity, "face": _face,
}
