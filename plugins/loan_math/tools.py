"""The tools door: ``lending quote``, ``lending apr``, ``lending days``, as words, REST routes and the page 贷款试算."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from metaloom.base.text import Text
from metaloom.plugin import Environment
from metaloom.plugin.tools import Tool

from .flows import annual_rate
from .provider import refusals
from .quote import days, quote
from .reading import schema

# who works with loans may ask what a loan would cost
RIGHTS: Final = (("lending.drawdown", "list"), ("lending.credit_application", "list"), ("lending.loan", "list"), ("lending.loan_product", "list"))
_RUN: Final[dict[str, Callable[[Mapping[str, Any]], dict[str, Any]]]] = {"quote": quote, "apr": annual_rate, "days": days}


class LendingTools:
    """Pure arithmetic behind the door; no settings, no state."""

    def __init__(self, environment: Environment | None = None) -> None:
        self._environment = environment

    def tools(self) -> tuple[Tool, ...]:
        return (
            Tool(name="quote", label=Text("贷款试算", "Loan quote"), rights=RIGHTS, page=True, presets=_PRESETS, sections=_SECTIONS,
                 help=Text("按合同条件算出还款计划、综合年化和提前结清金额；不保存任何数据。",
                           "Schedule, annual rate and settlement of a loan by its terms; nothing is stored."),
                 input=schema("quote"), output=schema("quote_reply")),
            Tool(name="apr", label=Text("综合年化计算", "Annual rate of flows"), rights=RIGHTS,
                 help=Text("按欧盟、美国或内部收益率口径计算现金流的年化利率。", "The annual rate of dated flows by the EU, the US or an IRR rule."),
                 input=schema("apr"), output=schema("apr_reply")),
            Tool(name="days", label=Text("计息天数", "Day count"), rights=RIGHTS,
                 help=Text("按计息基础计算两个日期之间的天数和年份数。", "Days between two dates and their share of a year, by convention."),
                 input=schema("days"), output=schema("days_reply")),
        )

    def run(self, name: str, request: Mapping[str, Any]) -> Mapping[str, Any]:
        with refusals():
            return _RUN[name](request)


# in the order in which a loan officer looks for them
_SECTIONS: Final = (
    ("main", Text("基本条件", "Main terms")),
    ("terms", Text("更多条件", "More terms")),
    ("fees", Text("费用与优惠", "Fees and coupons")),
    ("events", Text("事件与截至日", "Events and the day to look at")),
    ("more", Text("其他：罚息、冲销、舍入", "Other: penalty, allocation, rounding")),
)
_PRESETS: Final = (
    (Text("等额本息 12 期", "Equal instalment, 12 months"), {"method": "EQUAL_INSTALMENT", "periods": 12, "annual_rate": "0.12", "day_count": "30/360"}),
    (Text("先息后本 12 期", "Interest only, 12 months"), {"method": "INTEREST_ONLY", "periods": 12, "annual_rate": "0.12", "day_count": "ACT/360"}),
    (Text("等本等息 12 期", "Flat, 12 months"), {"method": "FLAT", "periods": 12, "annual_rate": "0.12"}),
    (Text("双周等额 26 期", "Every two weeks, 26 times"), {"method": "EQUAL_INSTALMENT", "periods": 26, "period_unit": "week", "period_length": 2,
                                                        "annual_rate": "0.12", "day_count": "ACT/365"}),
)
