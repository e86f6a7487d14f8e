"""A question about one customer: consent, then an earlier answer that still holds, then the outside. What comes back is kept
encrypted as it came; a credit report becomes a record whose every opening is written down."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import date, timedelta
from decimal import Decimal, InvalidOperation
from typing import Any

from metaloom.plugin.command import Values, Work

from .consent import NAMES, needed, source_of

QUERY, REPORT, ACCOUNT = "lending.data_query", "lending.credit_report", "lending.bank_account"
WHOLE = ("score", "accounts", "open_accounts", "recovered", "overdue_accounts", "overdue_months_max", "judgments", "enforcements", "tax_arrears",
         "penalties", "queries_1m", "queries_3m", "queries_12m")
MONEY = ("credit_total", "balance", "guaranteed", "overdue_amount")
SECTIONS, STATES = ("credit", "public", "query"), ("normal", "overdue", "closed", "done")
LINES_MAX = 300


def query_data(work: Work, customer: Values | None, input: Values) -> Values:
    """Asks, or uses an answer again that is young enough for the policy of its source. Refuses without consent."""
    assert customer is not None
    kind, today = input["kind"], work.business_date(customer["company"])
    source = source_of(work, kind)
    zh, en = NAMES[kind]
    if source is None:
        work.refuse(f"没有启用的“{zh}”数据源，请联系规则经理在“数据源与价格”中设置。", f"No data source for {en} is enabled; the rule manager sets one up.")
    assert source is not None
    consent = needed(work, customer["id"], kind, today, source)
    waiting = work.find(QUERY, {"customer": customer["id"], "kind": kind, "status": None, "application": None}, limit=1)
    work.require(not waiting, (f"该客户的“{zh}”查询正在等待返回，请勿重复查询。", f"A {en} query about this customer is under way."))
    row = {"customer": customer["id"], "kind": kind, "provider": source["provider"], "consent": consent, "asked_on": today, "asked_by": work.actor.user_id}
    earlier = _earlier(work, customer["id"], kind, today, source["reuse_days"])
    if earlier is not None:
        made = work.create(QUERY, {**row, "status": earlier["status"], "hit": earlier["hit"], "detail": earlier["detail"], "cost": Decimal("0.00"),
                                   "reused": earlier["id"], "report": earlier["report"], "answered_at": work.now})
        return {"query": made, "reused": True}
    subject = _subject(work, customer, kind)
    made = work.create(QUERY, {**row, "cost": source["price"]})
    number = work.get(QUERY, made)["query_no"]
    work.send("data_provider", source["provider"], "fetch", {"reference": number, "method": kind, "subject": subject}, key=f"data:{number}",
              on_result="loan_data.answered", subject=(QUERY, made))
    return {"query": made, "reused": False}


def _earlier(work: Work, customer: int, kind: str, today: date, days: int) -> Values | None:
    """The newest paid answer about the same customer that is at most ``days`` old."""
    since = today - timedelta(days=days)
    found = work.find(QUERY, {"customer": customer, "kind": kind, "status": ["success", "no_data"], "reused": None}, order=("-id",), limit=1)
    return found[0] if days > 0 and found and since < found[0]["asked_on"] <= today else None


def _subject(work: Work, customer: Values, kind: str) -> dict[str, str]:
    subject = {"name": customer["name"], "id_no": customer["id_no"] or customer["credit_code"] or "", "mobile": customer["mobile"] or ""}
    if kind == "kyc4":
        cards = work.find(ACCOUNT, {"customer": customer["id"], "status": "in_use"}, limit=1)
        work.require(cards, ("该客户没有可用的银行卡账户，不能做四要素核验。", "The customer has no bank account to check."))
        subject["card_no"] = cards[0]["card_no"]
    return subject


def answered(work: Work, query: Values | None, input: Values) -> None:
    """What came back. No answer costs nothing and says nothing; it is never read as a good one."""
    assert query is not None
    if query["status"] is not None:
        return
    outcome, data = input["outcome"], _data(input["raw"])
    definite = outcome in ("found", "not_found")
    changes: dict[str, Any] = {"answered_at": work.now, "detail": (input["text"] or "")[:500]}
    if not definite:
        work.change(QUERY, query["id"], {**changes, "cost": Decimal("0.00"), "status": "timeout" if input["code"] == "TimeoutError" else "failed"})
        return
    changes |= {"status": "success" if outcome == "found" else "no_data", "raw": input["raw"] or None,
                "hit": outcome == "found" if query["kind"] == "blacklist" else data.get("result") == "mismatch"}
    if outcome == "found" and query["kind"] == "bureau":
        changes["report"] = work.create(REPORT, _report(query, data))
    work.change(QUERY, query["id"], changes)


def _data(raw: str | None) -> Mapping[str, Any]:
    try:
        said = json.loads(raw or "{}")
    except ValueError:
        return {}
    data = said.get("data") if isinstance(said, dict) else None
    return data if isinstance(data, dict) else {}


def _report(query: Values, data: Mapping[str, Any]) -> dict[str, Any]:
    """The record of a report: known facts only, each of its own kind; a line that makes no sense is left out."""
    lines = data.get("lines")
    return {
        "report_no": str(data.get("report_no") or query["query_no"])[:60], "customer": query["customer"], "provider": query["provider"],
        "report_date": _day(data.get("report_date")), **{name: _whole(data.get(name)) for name in WHOLE}, **{name: _money(data.get(name)) for name in MONEY},
        "lines": [_line(line) for line in (lines if isinstance(lines, list) else [])[:LINES_MAX]
                  if isinstance(line, dict) and line.get("section") in SECTIONS and line.get("item")],
    }


def _line(line: Mapping[str, Any]) -> dict[str, Any]:
    return {"section": line["section"], "item": str(line["item"])[:100], "detail": str(line.get("detail") or "")[:300], "amount": _money(line.get("amount")),
            "state": line["state"] if line.get("state") in STATES else None}


def _whole(value: Any) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def _money(value: Any) -> Decimal | None:
    try:
        amount = Decimal(value) if isinstance(value, str) else None
    except InvalidOperation:
        return None
    return amount.quantize(Decimal("0.01")) if amount is not None and amount.is_finite() and abs(amount) < Decimal("1E15") else None


def _day(value: Any) -> date | None:
    try:
        return date.fromisoformat(value) if isinstance(value, str) else None
    except ValueError:
        return None
