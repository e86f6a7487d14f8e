"""A contract's term snapshot as values: what every later sum is computed from. Read from a request of the quote."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from fractions import Fraction
from typing import Any, Final

from .errors import LoanMathError, raise_all
from .matrix import Matrices, Matrix, read_matrices, read_matrix
from .money import Rounding
from .reading import day, number, rate

MONTHS: Final = {"month": 1, "quarter": 3, "year": 12}
DAYS: Final = {"day": 1, "week": 7}
PER_YEAR: Final = {"day": 365, "week": 52, "month": 12, "quarter": 4, "year": 1}
BY_NOMINAL_PERIOD: Final = frozenset({"30/360", "30/360 ISDA", "30E/360", "30E/360 ISDA"})
PERIODS_MAX: Final = 600


@dataclass(frozen=True, slots=True)
class Holidays:
    """How due dates avoid days off. ``rule`` none | next_workday | prev_workday; ``adjust_interest``: the shifted date ends the period too."""

    rule: str = "none"
    calendar: str = "CN"
    dates: frozenset[date] = frozenset()
    workdays: frozenset[date] = frozenset()
    adjust_interest: bool = False


@dataclass(frozen=True, slots=True)
class Fee:
    """``when`` at_payout | per_period | on_event. Either ``amount`` (minor units) or ``rate`` of ``basis``."""

    code: str
    when: str
    amount: int | None
    rate: Fraction | None
    basis: str
    in_apr: bool


@dataclass(frozen=True, slots=True)
class Coupon:
    """What is taken off the interest of one period (domain specification §4.7)."""

    kind: str
    period: int
    days: int
    rate: Fraction
    amount: int


@dataclass(frozen=True, slots=True)
class Penalty:
    """``rate`` per ``rate_per`` (year or day); None: no penalty. ``base`` principal | principal_interest."""

    rate: Fraction | None = None
    rate_per: str = "year"
    base: str = "principal"
    grace_days: int = 0
    retroactive: bool = True
    compound: bool = False


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happens on a day. ``given`` holds the other keys of the request, ``key`` where it stands in it."""

    key: str
    kind: str
    date: date
    given: Mapping[str, Any]
    place: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Contract:
    """The frozen terms. Amounts are minor units, rates exact fractions; keys as in ``schema/quote.schema.json``.

    ``interest_basis``: period (a whole period is its nominal share of a year), daily (days as the convention counts them), or actual
    (calendar days on the convention's base), which no request names.
    """

    principal: int
    annual_rate: Fraction
    method: str
    periods: int
    start_date: date
    period_unit: str = "month"
    period_length: int = 1
    first_due_date: date | None = None
    due_day: int | None = None
    due_dates: tuple[date, ...] = ()
    custom_plan: tuple[int, ...] = ()
    day_count: str = "30/360"
    interest_basis: str = "period"
    month_end: str = "clamp"
    first_period: str = "STUB_ACTUAL"
    min_first_days: int = 0
    holidays: Holidays = Holidays()
    rounding: Rounding = Rounding()
    tail_rule: str = "last"
    level: str = "formula"
    balloon_periods: int = 0
    principal_percent: Fraction | None = None
    revolving_interest: str = "all_accrued"
    principal_grace: int = 0
    interest_grace: int = 0
    interest_free: int = 0
    fees: tuple[Fee, ...] = ()
    coupons: tuple[Coupon, ...] = ()
    events: tuple[Event, ...] = ()
    paid_periods: int = 0
    as_of: date | None = None
    settle_on: date | None = None
    settle_fee_rate: Fraction = Fraction(0)
    penalty: Penalty = Penalty()
    allocation: Matrix = field(default_factory=Matrix)
    matrices: Matrices = field(default_factory=Matrices)

    @property
    def months(self) -> int:
        """Months in a period; 0 where periods are days or weeks."""
        return MONTHS.get(self.period_unit, 0) * self.period_length


def read_contract(given: Mapping[str, Any]) -> Contract:
    """The contract of a request that passed the schema. LoanMathError names every key that has no meaning, else every one that contradicts another."""
    scale = given.get("rounding", {}).get("scale", 2)
    reader = _Reader(given, scale)
    method, day_count = given["method"], given.get("day_count", "30/360")
    unit = given.get("period_unit", "month")
    dates, plan = reader.dates(), reader.plan()
    basis = given.get("interest_basis") or _usual_basis(method, day_count, unit, given=bool(dates or plan))
    contract = Contract(
        principal=reader.amount("principal", zero_allowed=False),
        annual_rate=reader.rate("annual_rate", given["annual_rate"]),
        method=method,
        periods=reader.periods(dates or tuple(due for due, _ in plan)),
        start_date=reader.day("start_date"),
        period_unit=unit,
        period_length=given.get("period_length", 1),
        first_due_date=reader.day("first_due_date") if "first_due_date" in given else None,
        due_day=given.get("due_day"),
        due_dates=dates or tuple(due for due, _ in plan),
        custom_plan=tuple(part for _, part in plan),
        day_count=day_count,
        interest_basis=basis,
        month_end=given.get("month_end", "clamp"),
        first_period=given.get("first_period", "STUB_ACTUAL"),
        min_first_days=given.get("min_first_days", 0),
        holidays=reader.holidays(),
        rounding=reader.rounding(scale),
        tail_rule=given.get("tail_rule", "last"),
        level=given.get("level") or ("formula" if basis == "period" or day_count in BY_NOMINAL_PERIOD else "closest"),
        balloon_periods=given.get("balloon_periods", 0),
        principal_percent=reader.rate("principal_percent", given["principal_percent"]) if "principal_percent" in given else None,
        revolving_interest=given.get("revolving_interest", "all_accrued"),
        fees=tuple(reader.fee(f"fees[{place}]", one) for place, one in enumerate(given.get("fees", ()))),
        coupons=tuple(reader.coupon(f"coupons[{place}]", one) for place, one in enumerate(given.get("coupons", ()))),
        events=reader.events(),
        paid_periods=given.get("paid_periods", 0),
        as_of=reader.day("as_of") if "as_of" in given else None,
        penalty=reader.penalty(),
        allocation=read_matrix(given.get("allocation", "BY_PERIOD")),
        matrices=reader.matrices(),
        **reader.grace(),
        **reader.settlement(),
    )
    raise_all(reader.wrong)
    raise_all(_contradictions(contract, given))
    return contract


def _usual_basis(method: str, day_count: str, unit: str, *, given: bool) -> str:
    """年利率/12 for a month under 30/360 and for flat interest; actual days on 360 for its weeks, days and given dates; else days
    (domain specification §4.1)."""
    if method == "FLAT":
        return "period"
    if day_count in BY_NOMINAL_PERIOD:
        return "period" if unit in MONTHS and not given else "actual"
    return "daily"


class _Reader:
    """The parts of a request as values. What has no meaning is noted in ``wrong`` and read as zero, so that all of it is found."""

    def __init__(self, given: Mapping[str, Any], scale: int) -> None:
        self.given, self.scale = given, scale
        self.wrong: list[LoanMathError] = []

    def day(self, key: str) -> date:
        return day(key, self.given[key])

    def rate(self, key: str, given: object) -> Fraction:
        try:
            return rate(key, given)
        except LoanMathError as refusal:
            self.wrong.append(refusal)
            return Fraction(0)

    def amount(self, key: str, given: object = None, *, zero_allowed: bool = True) -> int:
        try:
            return self._amount(key, self.given[key] if given is None else given, zero_allowed)
        except LoanMathError as refusal:
            self.wrong.append(refusal)
            return 0

    def _amount(self, key: str, given: object, zero_allowed: bool) -> int:
        found = number(key, given)
        minor = found.scaleb(self.scale)
        if minor != minor.to_integral_value():
            raise LoanMathError(key, "too_many_places", found=str(found), limit=self.scale)
        if found < 0 or found > Decimal(10) ** 12 or (found == 0 and not zero_allowed):
            raise LoanMathError(key, "out_of_range", found=str(found), limit=f"{'0' if zero_allowed else '> 0'} – {10**12}")
        return int(minor)

    def matrices(self) -> Matrices:
        try:
            return read_matrices(self.given.get("allocation_matrices", ()))
        except LoanMathError as refusal:
            self.wrong.append(refusal)
            return Matrices()

    def dates(self) -> tuple[date, ...]:
        return tuple(day(f"due_dates[{place}]", text) for place, text in enumerate(self.given.get("due_dates", ())))

    def plan(self) -> tuple[tuple[date, int], ...]:
        rows = self.given.get("custom_plan", ())
        return tuple((day(f"custom_plan[{place}].due_date", row["due_date"]), self.amount(f"custom_plan[{place}].principal", row["principal"]))
                     for place, row in enumerate(rows))

    def periods(self, dates: tuple[date, ...]) -> int:
        given = self.given.get("periods")
        if given is None and not dates:
            self.wrong.append(LoanMathError("periods", "required"))
        if given is not None and dates and given != len(dates):
            self.wrong.append(LoanMathError("periods", "conflict", found=given, limit=f"{len(dates)} × due_date"))
        return int(given) if given is not None else len(dates)

    def holidays(self) -> Holidays:
        found = self.given.get("holidays", {})
        return Holidays(found.get("rule", "none"), found.get("calendar", "CN"), _days("holidays.dates", found.get("dates", ())),
                        _days("holidays.workdays", found.get("workdays", ())), found.get("adjust_interest", False))

    def rounding(self, scale: int) -> Rounding:
        found = self.given.get("rounding", {})
        multiple = self.amount("rounding.instalment_multiple", found["instalment_multiple"]) if "instalment_multiple" in found else 1
        if multiple < 1:
            self.wrong.append(LoanMathError("rounding.instalment_multiple", "out_of_range", found=multiple, limit="> 0"))
        return Rounding(found.get("mode", "HALF_UP"), scale, max(multiple, 1))

    def grace(self) -> dict[str, int]:
        found = self.given.get("grace", {})
        return {"principal_grace": found.get("principal_periods", 0), "interest_grace": found.get("interest_payment_periods", 0),
                "interest_free": found.get("interest_free_periods", 0)}

    def settlement(self) -> dict[str, Any]:
        found = self.given.get("settle")
        if found is None:
            return {}
        return {"settle_on": day("settle.date", found["date"]), "settle_fee_rate": self.rate("settle.fee_rate", found.get("fee_rate", "0"))}

    def fee(self, key: str, given: Mapping[str, Any]) -> Fee:
        if ("amount" in given) == ("rate" in given):
            self.wrong.append(LoanMathError(f"{key}.amount", "needs" if "amount" not in given else "not_with", limit="rate"))
        amount = self.amount(f"{key}.amount", given["amount"]) if "amount" in given else None
        return Fee(given["code"], given["when"], amount, self.rate(f"{key}.rate", given["rate"]) if "rate" in given else None,
                   given.get("basis", "principal"), given.get("in_apr", True))

    def coupon(self, key: str, given: Mapping[str, Any]) -> Coupon:
        wanted = {"interest_free_days": "days", "interest_discount": "rate", "rate_cut": "rate", "cash_off": "amount"}[given["kind"]]
        if wanted not in given:
            self.wrong.append(LoanMathError(f"{key}.{wanted}", "required"))
        other = next((name for name in ("days", "rate", "amount") if name in given and name != wanted), None)
        if other is not None:
            self.wrong.append(LoanMathError(f"{key}.{other}", "not_with", limit=f"kind={given['kind']}"))
        amount = self.amount(f"{key}.amount", given["amount"]) if "amount" in given else 0
        found = Coupon(given["kind"], given.get("period", 1), given.get("days", 0), self.rate(f"{key}.rate", given.get("rate", "0")), amount)
        if found.kind == "interest_discount" and found.rate > 1:
            self.wrong.append(LoanMathError(f"{key}.rate", "out_of_range", found=str(given["rate"]), limit="0 – 1"))
        return found

    def penalty(self) -> Penalty:
        found = self.given.get("penalty")
        if found is None:
            return Penalty()
        if ("rate" in found) == ("multiplier" in found):
            self.wrong.append(LoanMathError("penalty.rate", "needs" if "rate" not in found else "not_with", limit="multiplier"))
            return Penalty()
        per_year = self.rate("annual_rate", self.given["annual_rate"])
        charged = self.rate("penalty.rate", found["rate"]) if "rate" in found else per_year * self.rate("penalty.multiplier", found["multiplier"])
        if "multiplier" in found and found.get("rate_per") == "day":
            self.wrong.append(LoanMathError("penalty.rate_per", "not_with", limit="multiplier"))
        return Penalty(charged, found.get("rate_per", "year"), found.get("base", "principal"), found.get("grace_days", 0),
                       found.get("grace_retroactive", True), found.get("compound", False))

    def events(self) -> tuple[Event, ...]:
        made = []
        for place, one in enumerate(self.given.get("events", ())):
            key = f"events[{place}]"
            rest = {name: self._event_value(f"{key}.{name}", name, value) for name, value in one.items() if name not in ("kind", "date")}
            made.append(Event(key, one["kind"], day(f"{key}.date", one["date"]), rest, place))
        return tuple(sorted(made, key=lambda event: (event.date, event.place)))

    def _event_value(self, key: str, name: str, value: Any) -> Any:
        if name in ("amount", "principal", "fee"):
            return self.amount(key, value)
        if name in ("annual_rate", "fee_rate", "rate"):
            return self.rate(key, value)
        if name == "allocation":
            return read_matrix(value)
        return day(key, value) if name == "until" else value


def _days(key: str, given: Any) -> frozenset[date]:
    return frozenset(day(f"{key}[{place}]", text) for place, text in enumerate(given))


def _contradictions(contract: Contract, given: Mapping[str, Any]) -> Iterator[LoanMathError]:
    """What the schema cannot say: keys that only mean something together."""
    own = {"balloon_periods": "BALLOON", "principal_percent": "FIXED_PRINCIPAL_PERCENT", "custom_plan": "CUSTOM",
           "revolving_interest": "DAILY_REVOLVING"}
    for key, method in own.items():
        if key in given and contract.method != method:
            yield LoanMathError(key, "not_with", limit=f"method={contract.method}")
        if key not in given and contract.method == method and key != "revolving_interest":
            yield LoanMathError(key, "required")
    if contract.method == "BALLOON" and 0 < contract.balloon_periods < contract.periods:
        yield LoanMathError("balloon_periods", "wrong_order", found=contract.balloon_periods, limit=f"periods={contract.periods}")
    if contract.principal_percent is not None and not 0 < contract.principal_percent <= 100:
        yield LoanMathError("principal_percent", "out_of_range", found=str(given["principal_percent"]), limit="> 0 – 100")
    if contract.custom_plan and sum(contract.custom_plan) != contract.principal:
        total = contract.rounding.text(sum(contract.custom_plan))
        yield LoanMathError("custom_plan", "conflict", found=f"Σ {total}", limit=f"principal={given['principal']}")
    for key in ("due_day", "first_due_date", "min_first_days", "due_dates"):
        if contract.due_dates and key in given and (key != "due_dates" or contract.custom_plan):
            yield LoanMathError(key, "not_with", limit="custom_plan" if contract.custom_plan else "due_dates")
    if contract.due_day is not None and contract.period_unit not in MONTHS:
        yield LoanMathError("due_day", "conflict", found=contract.due_day, limit=f"period_unit={contract.period_unit}")
    for key, periods in (("principal_periods", contract.principal_grace), ("interest_payment_periods", contract.interest_grace),
                         ("interest_free_periods", contract.interest_free)):
        if periods and periods >= contract.periods and key != "interest_free_periods":
            yield LoanMathError(f"grace.{key}", "out_of_range", found=periods, limit=f"0 – {contract.periods - 1}")
    for place, coupon in enumerate(contract.coupons):
        if coupon.period > contract.periods:
            yield LoanMathError(f"coupons[{place}].period", "out_of_range", found=coupon.period, limit=f"1 – {contract.periods}")
