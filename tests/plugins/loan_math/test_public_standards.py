"""Figures that others published: Regulation Z Appendix J, the EU directives, ISDA day counts, spreadsheets, other systems' suites."""

from __future__ import annotations

from calendar import monthrange
from datetime import date, timedelta
from typing import Any

import pytest

from metaloom_plugins.loan_math import LoanMathError
from metaloom_plugins.loan_math.flows import annual_rate, eu_interval
from metaloom_plugins.loan_math.quote import days, quote


def month_later(day: date, months: int) -> date:
    year, month = divmod(day.year * 12 + day.month - 1 + months, 12)
    return date(year, month + 1, min(day.day, monthrange(year, month + 1)[1]))


def monthly(first: str, count: int, every: int = 1) -> list[str]:
    return [month_later(date.fromisoformat(first), k * every).isoformat() for k in range(count)]


def every(first: str, count: int, length: int) -> list[str]:
    return [(date.fromisoformat(first) + timedelta(days=k * length)).isoformat() for k in range(count)]


def rate(convention: str, lent: list[tuple[str, str]], paid: list[tuple[str, str]], **more: Any) -> float:
    flows = [{"date": day, "amount": amount} for day, amount in lent] + [{"date": day, "amount": f"-{amount}"} for day, amount in paid]
    return float(annual_rate({"convention": convention, "flows": flows, **more})["apr"])


def even(dates: list[str], amount: str) -> list[tuple[str, str]]:
    return [(day, amount) for day in dates]


SEMIMONTHLY = [f"1978-{month:02d}-{day:02d}" for month in range(3, 13) for day in (1, 16)] + ["1979-01-01", "1979-01-16", "1979-02-01", "1979-02-16"]

# 12 CFR 1026 Appendix J (c): (advance, payments, APR in per cent to two places)
APPENDIX_J = {
    "(c)(1)(i) monthly": ([("1978-01-10", "5000")], even(monthly("1978-02-10", 24), "230"), 9.69),
    "(c)(1)(ii) monthly, long first period": ([("1978-02-10", "6000")], even(monthly("1978-04-01", 36), "200"), 11.82),
    "(c)(1)(iii) semimonthly, short first period": ([("1978-02-23", "5000")], even(SEMIMONTHLY, "219.17"), 10.34),
    "(c)(1)(iv) quarterly, long first period": ([("1978-05-23", "10000")], even(monthly("1978-10-01", 40, 3), "385"), 8.97),
    "(c)(1)(v) weekly, long first period": ([("1978-03-20", "500")], even(every("1978-04-21", 30, 7), "17.60"), 14.96),
    "(c)(2)(i) odd first payment": ([("1978-01-10", "5000")], [("1978-02-10", "250"), *even(monthly("1978-03-10", 23), "230")], 10.08),
    "(c)(2)(ii) every 4 weeks": ([("1978-03-18", "400")], [("1978-04-20", "39.50"), *even(every("1978-05-18", 11, 28), "38.31")], 28.50),
    "(c)(3)(i) odd last payment": ([("1978-01-10", "5000")], [*even(monthly("1978-02-10", 23), "230"), ("1980-01-10", "280")], 10.50),
    "(c)(3)(ii) every 2 weeks": ([("1978-04-03", "200")], [*even(every("1978-04-11", 19, 14), "9.50"), ("1979-01-02", "30")], 12.22),
    "(c)(4)(i) odd first and last": ([("1978-01-10", "5000")],
                                     [("1978-02-10", "250"), *even(monthly("1978-03-10", 22), "230"), ("1980-01-10", "280")], 10.90),
    "(c)(4)(ii) every two months": ([("1978-01-10", "8000")],
                                    [("1978-03-01", "449.36"), *even(monthly("1978-05-01", 18, 2), "465"), ("1981-05-01", "200")], 7.30),
    "(c)(5)(i) one payment, days": ([("1978-01-03", "1000")], [("1978-09-15", "1080")], 11.45),
    "(c)(5)(ii) one payment, whole months": ([("1978-07-15", "1000")], [("1979-01-15", "1044")], 8.80),
    "(c)(5)(iii) a year and a half": ([("1978-01-17", "1000")], [("1979-07-17", "1135.19")], 8.76),
    "(c)(5)(iv) exactly two years": ([("1978-01-10", "1000")], [("1980-01-10", "1240")], 11.36),
}


@pytest.mark.parametrize("name", APPENDIX_J)
def test_regulation_z_appendix_j(name: str) -> None:
    lent, paid, wanted = APPENDIX_J[name]
    assert round(rate("US", lent, paid) * 100, 2) == wanted


def test_regulation_z_beyond_the_appendix() -> None:
    """A payday-like daily rhythm and weekly ones with long, whole and short first periods."""
    assert round(rate("US", [("2023-10-26", "1000")], even(every("2023-11-30", 5, 1), "220")) * 100, 2) == 94.15
    assert round(rate("US", [("2023-10-28", "1000")], even(every("2023-11-30", 5, 7), "250")) * 100, 2) == 176.52
    assert round(rate("US", [("2023-11-23", "1000")], even(every("2023-11-30", 5, 7), "250")) * 100, 2) == 412.40
    assert round(rate("US", [("2023-11-24", "1000")], even(every("2023-11-30", 5, 7), "250")) * 100, 2) == 434.30
    assert round(rate("US", [("2023-10-26", "1000")], even(monthly("2023-11-30", 5, 12), "500")) * 100, 2) == 78.34


def test_directive_98_7_annex_calendar_basis() -> None:
    assert round(rate("EU", [("1994-01-01", "1000")], [("1995-07-01", "1200")]) * 100, 2) == 12.96
    assert round(rate("EU", [("1994-01-01", "950")], [("1995-07-01", "1200")]) * 100, 1) == 16.9
    assert round(rate("EU", [("1994-01-01", "1000")], [("1995-01-01", "600"), ("1996-01-01", "600")]) * 100, 2) == 13.07
    quarters = [("1994-04-01", "272"), ("1994-07-01", "272"), ("1995-01-01", "544")]
    assert round(rate("EU", [("1994-01-01", "1000")], quarters) * 100, 2) == 13.23
    assert round(rate("EU", [("1994-01-01", "1000")], quarters, interval="month") * 100, 2) == 13.19


def test_directive_2008_48_equal_months() -> None:
    """Six instalments of 172.55 for 1000: the effective rate of 12 % nominal to the rounding of the instalment."""
    assert rate("EU", [("2019-01-01", "1000")], even(monthly("2019-02-01", 6), "172.55")) == pytest.approx(0.126862, abs=5e-7)
    assert round(rate("EU", [("2012-01-01", "6000")], even(monthly("2012-02-01", 24), "274.11")) * 100, 1) == 9.4


# Guidelines on Directive 2008/48/EC, SWD(2012) 128: intervals by whole periods and days
INTERVALS = [
    ("2019-01-12", "2020-01-12", "month", 1.0), ("2012-01-12", "2012-02-15", "month", 1 / 12 + 3 / 365),
    ("2012-01-12", "2012-04-15", "month", 3 / 12 + 3 / 365),
    ("2013-01-12", "2013-02-15", "month", 1 / 12 + 3 / 366), ("2013-02-25", "2013-03-28", "month", 1 / 12 + 3 / 366),
    ("2013-02-26", "2013-03-29", "month", 1 / 12 + 2 / 366), ("2012-02-26", "2012-03-29", "month", 1 / 12 + 3 / 366),
    ("2012-01-12", "2012-02-15", "year", 34 / 365), ("2012-01-12", "2013-02-15", "year", 1 + 34 / 365), ("2020-01-01", "2021-03-15", "year", 1 + 74 / 366),
    ("2012-01-12", "2012-01-26", "week", 2 / 52), ("2012-01-12", "2012-01-30", "week", 2 / 52 + 4 / 365), ("2012-01-12", "2013-01-12", "week", 1 + 2 / 365),
]


@pytest.mark.parametrize(("start", "end", "unit", "wanted"), INTERVALS)
def test_intervals_of_the_eu_guidelines(start: str, end: str, unit: str, wanted: float) -> None:
    assert float(eu_interval(date.fromisoformat(start), date.fromisoformat(end), unit)) == pytest.approx(wanted, abs=1e-12)


def test_xirr_of_a_spreadsheet() -> None:
    flows = [("2008-03-01", "2750"), ("2008-10-30", "4250"), ("2009-02-15", "3250"), ("2009-04-01", "2750")]
    assert rate("XIRR", [("2008-01-01", "10000")], flows) == pytest.approx(0.373362535, abs=1e-8)


@pytest.mark.parametrize(("flows", "wanted"), [
    ([-100, 39, 59, 55, 20], 0.2809484), ([-100, 0, 0, 74], -0.0954958), ([-100, 100, 0, -7], -0.0833), ([-100, 100, 0, 7], 0.0620584),
    ([-5, 10.5, 1, -8, 1], 0.0886), ([-150000, 15000, 25000, 35000, 45000, 60000], 0.0524328),
])
def test_irr_of_a_numeric_library(flows: list[float], wanted: float) -> None:
    asked = {"convention": "IRR_SIMPLE", "periods_per_year": 1, "flows": [{"amount": str(-flow)} for flow in flows]}
    assert float(annual_rate(asked)["apr"]) == pytest.approx(wanted, abs=5e-5)


def test_irr_of_even_months_simple_and_compound() -> None:
    paid = even(monthly("2025-02-15", 12), "8884.88")
    simple = rate("IRR_SIMPLE", [("2025-01-15", "100000")], paid)
    assert simple == pytest.approx(0.12, abs=1e-6)
    assert rate("IRR_COMPOUND", [("2025-01-15", "100000")], paid) == pytest.approx((1 + simple / 12) ** 12 - 1, abs=1e-9)
    ends = ["2025-02-28", "2025-03-31", "2025-04-30"]
    assert rate("IRR_SIMPLE", [("2025-01-31", "300")], even(ends, "102.01")) == pytest.approx(0.12, abs=1e-3)


# -- day counts

DAYS = [
    # the US rule at the end of February; spreadsheets' YEARFRAC basis 0
    ("30/360", "2007-02-28", "2007-03-31", 30), ("30/360", "2008-02-29", "2009-02-28", 360), ("30/360", "2007-02-28", "2008-02-29", 360),
    ("30/360", "2006-02-28", "2006-08-31", 180), ("30/360", "2007-01-31", "2007-02-28", 28), ("30/360", "2007-01-15", "2007-01-31", 16),
    ("30/360", "2007-01-30", "2007-03-31", 60), ("30/360", "2007-01-29", "2007-01-31", 2), ("30/360", "2008-02-28", "2008-03-31", 33),
    # 2006 ISDA Definitions: bond basis, Eurobond basis, 30E/360 ISDA
    ("30/360 ISDA", "2006-02-28", "2006-08-31", 183), ("30/360 ISDA", "2007-01-31", "2007-02-28", 28), ("30/360 ISDA", "2007-02-26", "2008-02-29", 363),
    ("30E/360", "2006-08-31", "2007-02-28", 178), ("30E/360", "2007-01-15", "2007-01-31", 15), ("30E/360", "2007-02-28", "2007-08-31", 182),
    ("30E/360 ISDA", "2006-02-28", "2006-08-31", 180), ("30E/360 ISDA", "2006-08-31", "2007-02-28", 180),
    ("ACT/360", "2008-02-01", "2009-05-31", 485), ("ACT/365", "2007-12-28", "2008-02-29", 63), ("ACT/ACT", "2003-11-01", "2004-05-01", 182),
]


@pytest.mark.parametrize(("convention", "start", "end", "wanted"), DAYS)
def test_days(convention: str, start: str, end: str, wanted: int) -> None:
    assert days({"convention": convention, "start": start, "end": end})["days"] == wanted


# ISDA, "EMU and market conventions" (1998) and what libraries test with it
FRACTIONS = [
    ("2003-11-01", "2004-05-01", 0.497724380567), ("1999-02-01", "1999-07-01", 0.410958904110), ("1999-07-01", "2000-07-01", 1.001377348604),
    ("2002-08-15", "2003-07-15", 0.915068493151), ("2003-07-15", "2004-01-15", 0.504004790778), ("1999-07-30", "2000-01-30", 0.503892506924),
    ("2000-01-30", "2000-06-30", 0.415300546448), ("1999-11-30", "2000-04-30", 0.415540085336), ("2000-01-01", "2001-01-01", 1.0),
]


@pytest.mark.parametrize(("start", "end", "wanted"), FRACTIONS)
def test_year_fractions_of_actual_actual_isda(start: str, end: str, wanted: float) -> None:
    assert float(days({"convention": "ACT/ACT", "start": start, "end": end})["year_fraction"]) == pytest.approx(wanted, abs=2e-12)


# -- schedules of other systems

BASE = {"principal": "100.00", "annual_rate": "0.07", "method": "EQUAL_INSTALMENT", "periods": 6, "start_date": "2024-01-01"}


def column(name: str, **changes: Any) -> list[str]:
    return [row[name] for row in quote({**BASE, **changes})["rows"]]


def test_level_schedule_of_100_at_7_per_cent() -> None:
    assert column("total") == ["17.01"] * 5 + ["17.00"]
    assert column("interest") == ["0.58", "0.49", "0.39", "0.29", "0.20", "0.10"]
    assert column("balance") == ["83.57", "67.05", "50.43", "33.71", "16.90", "0.00"]


def test_a_short_first_period_may_enter_the_level() -> None:
    """192.22 at 9.99 %, drawn 17 days before the first due date: every payment but the last is alike."""
    found = quote({**BASE, "principal": "192.22", "annual_rate": "0.0999", "start_date": "2024-01-15", "first_due_date": "2024-02-01", "first_period": "LEVEL"})
    assert found["level_payment"] == "32.86"
    assert [row["total"] for row in found["rows"]] == ["32.86"] * 5 + ["32.85"]


def test_the_closest_level_smooths_the_last_payment() -> None:
    big = {"principal": "1014632.00", "rounding": {"scale": 2}}
    assert quote({**BASE, **big})["level_payment"] == "172574.63"
    assert quote({**BASE, **big, "level": "closest"})["level_payment"] == "172574.64"
    long = {"principal": "127704.00", "annual_rate": "0.168", "periods": 36, "level": "closest"}
    assert quote({**BASE, **long})["totals"]["interest"] == "35746.56"


@pytest.mark.parametrize(("rate", "periods", "principal", "wanted"), [
    ("0.08", 10, "10000.00", "1037.03"), ("0.075", 180, "200000.00", "1854.02"), ("0.0435", 360, "1000000.00", "4978.12"), ("0.12", 12, "100000.00", "8884.88"),
])
def test_pmt_of_a_spreadsheet(rate: str, periods: int, principal: str, wanted: str) -> None:
    assert quote({**BASE, "annual_rate": rate, "periods": periods, "principal": principal})["level_payment"] == wanted


def test_periods_other_than_months() -> None:
    terms = {"principal": "5200.00", "annual_rate": "0.104", "method": "INTEREST_ONLY", "periods": 2, "interest_basis": "period"}
    for unit, length, interest in (("week", 1, "10.40"), ("week", 2, "20.80"), ("quarter", 1, "135.20"), ("year", 1, "540.80"), ("month", 3, "135.20")):
        assert column("interest", **terms, period_unit=unit, period_length=length) == [interest] * 2
    assert column("due_date", period_unit="quarter", periods=4, start_date="2024-11-30") == ["2025-02-28", "2025-05-30", "2025-08-30", "2025-11-30"]
    assert column("due_date", start_date="2025-01-31", month_end="first_of_next", periods=3) == ["2025-03-01", "2025-03-31", "2025-05-01"]


def test_grace_of_three_kinds() -> None:
    even = {"method": "EQUAL_PRINCIPAL", "principal": "1200.00", "annual_rate": "0.12", "periods": 4}
    assert column("principal", **even, grace={"principal_periods": 1}) == ["0.00", "400.00", "400.00", "400.00"]
    assert column("interest", **even, grace={"interest_payment_periods": 2}) == ["0.00", "0.00", "27.00", "3.00"]
    assert column("interest", **even, grace={"interest_free_periods": 2}) == ["0.00", "0.00", "6.00", "3.00"]


def test_rounding_and_multiples() -> None:
    terms = {"principal": "1000.50", "annual_rate": "0.10", "method": "INTEREST_ONLY", "periods": 1, "interest_basis": "period", "period_unit": "year"}
    wanted = {"HALF_UP": "100.05", "HALF_EVEN": "100.05", "UP": "100.05", "DOWN": "100.05"}
    for mode, interest in wanted.items():
        assert column("interest", **terms, rounding={"mode": mode}) == [interest]
    half = {**terms, "principal": "1000.25"}  # 100.025
    for mode, interest in {"HALF_UP": "100.03", "HALF_EVEN": "100.02", "HALF_DOWN": "100.02", "UP": "100.03", "DOWN": "100.02", "CEILING": "100.03"}.items():
        assert column("interest", **half, rounding={"mode": mode}) == [interest], mode
    assert column("total", principal="100000.00", annual_rate="0.12", periods=12, rounding={"instalment_multiple": "100"})[:2] == ["8900.00"] * 2
    yen = {"principal": "1000000", "annual_rate": "0.12", "periods": 12, "rounding": {"scale": 0}}
    assert column("total", **yen)[:2] == ["88849"] * 2


def test_tail_in_the_first_period() -> None:
    first = column("principal", method="EQUAL_PRINCIPAL", periods=3, tail_rule="first")
    assert first == ["33.34", "33.33", "33.33"]
    assert column("total", tail_rule="first") == ["17.00"] + ["17.01"] * 5


def test_fixed_percent_and_tranche_and_pause() -> None:
    assert column("principal", method="FIXED_PRINCIPAL_PERCENT", principal_percent="20", periods=5) == ["20.00"] * 5
    assert column("principal", method="FIXED_PRINCIPAL_PERCENT", principal_percent="10", periods=4) == ["10.00"] * 3 + ["70.00"]
    only = {"method": "INTEREST_ONLY", "principal": "1000.00", "annual_rate": "0.36", "day_count": "ACT/360", "periods": 2, "start_date": "2025-01-01"}
    assert column("interest", **only, events=[{"kind": "tranche", "date": "2025-01-11", "amount": "1000.00"}]) == ["52.00", "56.00"]
    assert column("interest", **only, events=[{"kind": "pause", "date": "2025-01-11", "until": "2025-02-11"}]) == ["10.00", "18.00"]


@pytest.mark.parametrize("flows", [
    [("2024-01-01", "200"), ("2024-02-01", "-1100"), ("2024-06-29", "-500"), ("2024-12-31", "200"), ("2024-12-31", "-1000000")],
    [("2024-01-01", "0.01"), ("2024-01-02", "-1000000")], [("2024-01-01", "1000"), ("2024-01-01", "-1000")], [("2024-01-01", "5"), ("2024-02-01", "0")],
])
@pytest.mark.parametrize("convention", ["EU", "US", "XIRR", "IRR_SIMPLE", "IRR_COMPOUND"])
def test_flows_without_a_sensible_rate_have_a_rate_or_a_refusal(convention: str, flows: list[tuple[str, str]]) -> None:
    try:
        assert float(annual_rate({"convention": convention, "flows": [{"date": day, "amount": amount} for day, amount in flows]})["apr"]) > -1
    except LoanMathError as refused:
        assert refused.key == "flows"


def test_what_shook_the_line_once() -> None:
    """Found by random requests: a tiny loan used up early, a tranche after an acceleration, a rate beyond all digits."""
    tiny = {"principal": "0.05", "annual_rate": "0.0005", "method": "EQUAL_PRINCIPAL", "start_date": "2024-01-01", "periods": 6}
    assert quote({**tiny, "paid_periods": 6, "settle": {"date": "2024-06-29"}})["settlement"]["total"] == "0.00"
    events = [{"kind": "tranche", "date": "2024-06-29", "amount": "100.00"}, {"kind": "accelerate", "date": "2024-01-31"}]
    with pytest.raises(LoanMathError):
        quote({**BASE, "events": events})
    steep = {"method": "BULLET", "period_unit": "day", "periods": 1, "fees": [{"code": "all", "when": "at_payout", "amount": "99.99"}]}
    assert quote({**BASE, **steep})["apr_compound"] is None


@pytest.mark.parametrize(("changes", "key"), [
    ({"principal": "0"}, "principal"), ({"principal": "-1"}, "principal"), ({"principal": "1.001"}, "principal"), ({"periods": 0}, "periods"),
    ({"periods": "six"}, "periods"), ({"annual_rate": "x"}, "annual_rate"), ({"start_date": "2024-02-30"}, "start_date"), ({"method": "MAGIC"}, "method"),
    ({"grace": {"principal_periods": 6}}, "grace.principal_periods"), ({"balloon_periods": 12}, "balloon_periods"),
    ({"due_day": 15, "period_unit": "week"}, "due_day"),
    ({"events": [{"kind": "rate", "date": "2024-03-01"}]}, "events[0].annual_rate"), ({"events": [{"kind": "boom", "date": "2024-03-01"}]}, "events[0].kind"),
    ({"events": [{"kind": "prepay", "date": "2024-03-01", "amount": "500"}]}, "events[0].amount"),
    ({"events": [{"kind": "prepay", "date": "2023-03-01", "amount": "5"}]}, "events[0].date"),
    ({"events": [{"kind": "rate", "date": "2034-03-01", "annual_rate": "0.1"}]}, "events[0].date"),
    ({"events": [{"kind": "payment", "date": "2024-03-01", "amount": "5", "to": "x"}]}, "events[0].to"),
    ({"penalty": {"rate": "0.1", "multiplier": "1.5"}}, "penalty.rate"), ({"fees": [{"code": "a", "when": "at_payout"}]}, "fees[0].amount"),
    ({"method": "CUSTOM"}, "custom_plan"), ({"allocation": "RANDOM"}, "allocation"), ({"first_due_date": "2024-01-01"}, "first_due_date"),
])
def test_nonsense_is_refused_by_key(changes: dict[str, Any], key: str) -> None:
    with pytest.raises(LoanMathError) as refused:
        quote({**BASE, **changes})
    assert refused.value.key == key
    assert refused.value.text("zh") != refused.value.text("en")
