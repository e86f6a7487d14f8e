"""费息落地: the price is frozen when the drawdown is submitted; every later sum reads the snapshot (S1-15)."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import replace
from datetime import date
from decimal import Decimal
from typing import Final

from metaloom.plugin.calculation import Calculation, Instalment, Terms
from metaloom.plugin.command import Values, Work

from .arithmetic import LoanMathError, Matrices, read_matrices

DRAWDOWN, SNAPSHOT, ORDER = "lending.drawdown", "lending.term_snapshot", "lending.allocation_order"
KINDS: Final = {"any": ("全部交易", "any transaction"), "due": ("欠款归还", "amount due"), "prepay": ("提前部分还本", "prepayment in part"),
                "settle": ("贷款结清", "settlement"), "suspense": ("溢缴款抵扣", "overpayment used")}
CLASSES: Final = {"any": ("全部状态", "any standing"), "normal": ("正常", "current"), "overdue": ("逾期 90 天以内", "up to 90 days late"),
                  "non_performing": ("逾期 90 天以上", "more than 90 days late"), "written_off": ("已核销", "written off")}
WAYS: Final = {"by_period": ("按期冲销", "by period"), "by_component": ("按科目冲销", "by component")}
STAGES: Final = {"past_due": ("已逾期", "past due"), "due": ("当日到期", "due today"), "running": ("未到期（当期）", "running period")}
COMPONENT_WORDS: Final = {"fee": ("费用", "fee"), "penalty": ("罚息", "penalty"), "compound": ("复利", "compound interest"), "interest": ("利息", "interest"),
                          "principal": ("本金", "principal")}
RATE_PLACES = Decimal("0.00000001")
HALF_A_CENT = Decimal("0.005")


def freeze_terms(work: Work, drawdown: Values | None, input: Values) -> None:
    """Writes the snapshot of a drawdown and links it. Refuses a loan dearer than the cap (domain specification §5)."""
    assert drawdown is not None
    limit = work.get("lending.credit_limit", drawdown["limit"])
    version = work.get("lending.loan_product_version", limit["product_version"])
    today = work.business_date(drawdown["company"])
    due_day = _due_day(work, drawdown, version)
    calculation: Calculation = work.provider("calculation")
    terms = Terms(principal=drawdown["amount"], annual_rate=limit["annual_rate"], method=drawdown["repay_method"],
                  periods=drawdown["term_months"], start_date=today, due_day=due_day, day_count=version["day_count"])
    rows = calculation.schedule(terms)
    apr = calculation.apr_of_schedule(terms, rows)
    cap = Decimal(str(work.settings["apr_cap"]))
    within = apr.simple <= cap or calculation.apr_of_schedule(terms, _before_rounding(rows)).simple <= cap
    work.require(within, ("综合年化超过上限，不能放款。", "The all-in yearly cost exceeds the cap; no payout."))
    snapshot = work.create(SNAPSHOT, {
        "snapshot_name": f"{drawdown['draw_no']} {today:%Y-%m-%d}", "drawdown": drawdown["id"], "product_version": version["id"],
        "amount": drawdown["amount"], "term_months": drawdown["term_months"], "repay_method": drawdown["repay_method"],
        "annual_rate": limit["annual_rate"], "day_count": version["day_count"], "due_day_rule": version["due_day_rule"],
        "due_day": due_day, "penalty_rate": (limit["annual_rate"] * (1 + version["penalty_uplift"])).quantize(RATE_PLACES),
        "vat_rate": vat_rate(work, drawdown["company"]), "penalty_base": version["penalty_base"], "grace_days": version["grace_days"],
        "grace_chargeback": version["grace_chargeback"], "compound_interest": version["compound_interest"],
        **_allocation(work, version["id"]), "npl_allocation_rule": version["npl_allocation_rule"], "allocation_rule": version["allocation_rule"],
        "prepay_allowed": version["prepay_allowed"],
        "prepay_fee_rate": version["prepay_fee_rate"] or Decimal(0), "limit_mode": limit["mode"],
        "apr_simple": apr.simple.quantize(RATE_PLACES), "apr_compound": apr.compound.quantize(RATE_PLACES),
        "total_interest": sum((row.interest for row in rows), Decimal("0.00")), "plan_digest": plan_digest(rows),
        "captured_on": today,
    })
    work.change(DRAWDOWN, drawdown["id"], {"snapshot": snapshot})


def check_allocation(work: Work, version: Values | None, input: Values) -> None:
    """Refuses a version whose own order of allocation contradicts itself, with the row at fault."""
    assert version is not None
    matrices_of(work, version["id"])


def matrices_of(work: Work, version: int) -> Matrices:
    """The version's own order of allocation; refused where its rows contradict themselves."""
    rows = work.find(ORDER, {"version": version}, order=("id",))
    try:
        return read_matrices(rows)
    except LoanMathError as refusal:
        row = int(refusal.key.partition("[")[2].partition("]")[0]) + 1
        zh, en = _CONTRADICTS.get((refusal.key.rpartition(".")[2], refusal.code), (refusal.text("zh"), refusal.text("en")))
        work.refuse(f"自定义冲销顺序第 {row} 行：{zh}", f"Allocation of its own, row {row}: {en}")
        raise


_CONTRADICTS: Final = {
    ("stage", "needs"): ("这种交易和资产状态须有“已逾期”和“当日到期”两行。", "its transaction and standing need a row for past due and one for due."),
    ("stage", "twice"): ("这个账单阶段已有一行。", "this stage has a row already."),
    ("way", "conflict"): ("同一交易、同一资产状态的各行须用同一冲销方式。", "the rows of one transaction and standing go the same way."),
}


def _allocation(work: Work, version: int) -> dict[str, str | None]:
    """The order of allocation as the loan keeps it, and in words for its page."""
    own = matrices_of(work, version)
    if not own.rows:
        return {"allocation_matrices": None, "allocation_words": None, "allocation_words_en": None}
    return {"allocation_matrices": own.text, "allocation_words": _words(own, 0), "allocation_words_en": _words(own, 1)}


def _words(own: Matrices, language: int) -> str:
    """A line for each row of the order, in Chinese (0) or English (1)."""
    comma, colon = (("，", "："), (", ", ": "))[language]
    return "\n".join(comma.join(words[language] for words in (KINDS[kind], CLASSES[asset_class], WAYS[way], STAGES[stage])) + colon
                     + " → ".join(COMPONENT_WORDS[one][language] for one in components) for kind, asset_class, way, stage, components in own.rows)


def vat_rate(work: Work, company: int) -> Decimal:
    """The rate of the tax that a loan of the company holds from now on: by its status, none where it has none."""
    status = work.get("platform.company", company)["taxpayer"]
    return Decimal(str(work.settings["vat_rates"][status])).quantize(RATE_PLACES) if status else Decimal(0)


def terms_of(snapshot: Values, start: date) -> Terms:
    """The calculation's terms of a frozen snapshot, interest beginning on ``start``."""
    return Terms(principal=snapshot["amount"], annual_rate=snapshot["annual_rate"], method=snapshot["repay_method"],
                 periods=snapshot["term_months"], start_date=start, due_day=snapshot["due_day"], day_count=snapshot["day_count"])


def plan_digest(rows: Sequence[Instalment]) -> str:
    """SHA-256 over the amounts of a plan: tells whether a plan is the one that was previewed."""
    text = "\n".join(f"{row.no} {row.principal} {row.interest}" for row in rows)
    return hashlib.sha256(text.encode()).hexdigest()


def _before_rounding(rows: Sequence[Instalment]) -> list[Instalment]:
    """The rows as cheap as they may have been before their interest was rounded: half a cent makes no loan dearer than agreed."""
    return [replace(row, total=row.total - HALF_A_CENT) for row in rows]


def _due_day(work: Work, drawdown: Values, version: Values) -> int | None:
    if version["due_day_rule"] == "fixed":
        return int(version["fixed_due_day"])
    if version["due_day_rule"] == "chosen":
        work.require(drawdown["due_day"], ("请填写指定还款日。", "Fill in the chosen due day."))
        return int(drawdown["due_day"])
    return None
