"""The text of a contract: a released template with its slots filled from the frozen terms. A slot that does not exist is refused when
a template is released, never found out in front of a customer."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path

from metaloom.base.money import in_capitals
from metaloom.plugin.command import Values, Work

TEMPLATE = "lending.contract_template"
SLOT = re.compile(r"\{([^{}]*)\}")
SLOTS: Mapping[str, tuple[str, str]] = {
    "contract_no": ("合同编号", "contract number"), "customer_name": ("借款人名称", "borrower"), "id_no": ("借款人证件号", "ID number or credit code"),
    "mobile": ("借款人电话", "mobile"), "lender_name": ("贷款人名称", "lender"), "amount": ("金额", "amount"),
    "amount_capitals": ("金额大写", "amount in capitals"),
    "term_months": ("期限（月）", "term in months"), "repay_method": ("还款方式", "repayment method"), "annual_rate": ("年利率", "annual rate"),
    "penalty_rate": ("罚息年利率", "penalty rate"), "apr": ("综合年化（单利）", "all-in yearly cost"), "total_interest": ("预计总利息", "expected interest"),
    "purpose": ("用途", "purpose"), "account": ("收款账户", "payout account"), "sign_date": ("签订日期", "date"),
}
METHODS = {"EQUAL_INSTALMENT": "等额本息", "EQUAL_PRINCIPAL": "等额本金", "INTEREST_ONLY": "先息后本", "BULLET": "利随本清"}
PURPOSES = {"working_capital": "经营周转", "equipment": "购置设备", "farming": "农业生产", "decoration": "装修", "education": "教育", "medical": "医疗",
            "consumption": "日常消费"}


@dataclass(frozen=True)
class Text:
    """``template`` is None where the text is the one that comes with the plugin."""

    body: str
    version: str
    template: int | None


def release(work: Work, template: Values | None, input: Values) -> None:
    """Takes the template into use in the place of the one before. Refuses unknown slots, naming them."""
    assert template is not None
    unknown = sorted({name for name in SLOT.findall(template["body"]) if name not in SLOTS})
    rest = SLOT.sub("", template["body"])
    if unknown:
        shown = "、".join(f"{{{name}}}" for name in unknown)
        work.refuse(f"模板中有不存在的变量：{shown}。可用变量：{'、'.join(SLOTS)}。",
                    f"The template has slots that do not exist: {shown}. There are: {', '.join(SLOTS)}.")
    work.require("{" not in rest and "}" not in rest, ("模板中有不成对的花括号。", "The template has a brace without its partner."))
    for standing in work.find(TEMPLATE, {"status": "in_use"}, lock=True):
        work.transition(TEMPLATE, standing["id"], "retire")
    work.change(TEMPLATE, template["id"], {"released_on": work.business_date()})
    work.transition(TEMPLATE, template["id"], "release")


def text_for(work: Work, drawdown: Values, snapshot: Values, customer: Values, lender: str, number: str, template: int | None = 0) -> Text:
    """The filled text. ``template``: the one of an existing contract (None: the plugin's own); 0 takes the one in use now."""
    if template == 0:
        found = work.find(TEMPLATE, {"status": "in_use"}, limit=1)
        chosen: Values | None = found[0] if found else None
    else:
        chosen = work.get(TEMPLATE, template) if template is not None else None
    account = work.get("lending.bank_account", drawdown["payout_account"])
    values = _values(drawdown, snapshot, customer, lender, number, account)
    body = chosen["body"] if chosen is not None else (Path(__file__).parent / "template.txt").read_text(encoding="utf-8")
    version = f"{chosen['template_name'][:40]} {chosen['template_code']}" if chosen is not None else "内置文本 1"
    return Text(SLOT.sub(lambda slot: values[slot[1]], body), version, chosen["id"] if chosen is not None else None)


def _values(drawdown: Values, snapshot: Values, customer: Values, lender: str, number: str, account: Values) -> dict[str, str]:
    card = account["card_no"]
    return {
        "contract_no": number, "customer_name": customer["name"], "id_no": customer["id_no"] or customer["credit_code"] or "",
        "mobile": customer["mobile"] or "", "lender_name": lender, "amount": f"{snapshot['amount']:,.2f}",
        "amount_capitals": in_capitals(snapshot["amount"]), "term_months": str(snapshot["term_months"]),
        "repay_method": METHODS.get(snapshot["repay_method"], snapshot["repay_method"]), "annual_rate": _percent(snapshot["annual_rate"]),
        "penalty_rate": _percent(snapshot["penalty_rate"]), "apr": _percent(snapshot["apr_simple"]), "total_interest": f"{snapshot['total_interest']:,.2f}",
        "purpose": PURPOSES.get(drawdown["purpose"], drawdown["purpose"]), "account": f"{account['account_name']}（尾号 {card[-4:]}）",
        "sign_date": f"{snapshot['captured_on']:%Y 年 %m 月 %d 日}",
    }


def _percent(rate: Decimal) -> str:
    return f"{(rate * 100).quantize(Decimal('0.0001')).normalize():f}%"
