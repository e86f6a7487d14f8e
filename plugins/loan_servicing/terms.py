"""费息落地: the price is frozen when the drawdown is submitted; every later sum reads the snapshot (S1-15)."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import replace
from datetime import date
from decimal import Decimal

from metaloom.plugin.calculation import Calculation, Instalment, Terms
from metaloom.plugin.command import Values, Work

DRAWDOWN, SNAPSHOT = "lending.drawdown", "lending.term_snapshot"
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
        "npl_allocation_rule": version["npl_allocation_rule"], "allocation_rule": version["allocation_rule"], "prepay_allowed": version["prepay_allowed"],
        "prepay_fee_rate": version["prepay_fee_rate"] or Decimal(0), "limit_mode": limit["mode"],
        "apr_simple": apr.simple.quantize(RATE_PLACES), "apr_compound": apr.compound.quantize(RATE_PLACES),
        "total_interest": sum((row.interest for row in rows), Decimal("0.00")), "plan_digest": plan_digest(rows),
        "captured_on": today,
    })
    work.change(DRAWDOWN, drawdown["id"], {"snapshot": snapshot})


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
