"""The history itself: every customer's life is told from top to bottom, and all lives run side by side, day by day."""

from __future__ import annotations

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from datetime import date, timedelta
from decimal import Decimal
from random import Random

from metaloom.base.errors import Invalid, NotAllowed, NotPossible
from metaloom.plugin.demo_data import Person, Size, Stage

from . import people, products
from .organisation import Team
from .payments import Payments
from .plan import BEHAVIOURS, LOANS, Case, cases
from .products import Product

CUSTOMER, ACCOUNT, APPLICATION = "lending.customer", "lending.bank_account", "lending.credit_application"
LIMIT, DRAWDOWN, LOAN, REPAYMENT = "lending.credit_limit", "lending.drawdown", "lending.loan", "lending.repayment"
CHANGE = "lending.loan_change"
AFTER_THE_WORKER = -1
"""Yielded by a life that waits for the outside to answer; any other number is the working day on which it goes on."""
Life = Iterator[int]

SPAN_DAYS = 362
ASKED = 10
"""Every tenth person's credit report is asked for."""
OPINIONS = ("收入稳定，还款来源清楚，建议通过。", "经营流水正常，负债率适中，同意。", "资料齐全，实地走访属实，建议按申请金额授信。", "信用记录良好，同意。")
REASONS = {"returned": "请补充近六个月银行流水。", "resubmitted": "请补充收入证明。", "check_rejected": "负债过高，还款来源不足。",
           "review_rejected": "用途证明不充分。", "cancelled": "客户改变计划。", "withdrawn": "申请金额填写有误。", "voted": "行业周期下行，建议降低额度。",
           "draw_rejected": "用途发生变化，需重新申请。", "draw_returned": "请更换收款账户资料。",
           "draw_cancelled": "客户暂不用款。", "draw_void": "客户放弃用款。", "reversed": "入账金额登记错误。",
           "settles": "客户资金回笼，申请提前结清。"}
PURPOSES = {"personal": ("consumption", "decoration", "education", "medical"), "sole": ("working_capital", "equipment"),
            "farmer": ("farming", "equipment"), "corporate": ("working_capital", "equipment")}
LARGE = {"signing": (300, 900), "voting": (1100, 1900), "voted": (1100, 1900)}
"""Fates that need an amount above the reviewer's or the approver's authority, in thousands."""
SOURCES = ("transfer", "transfer", "transfer", "debit", "debit", "guarantor", "cash")


class History:
    """Plays every case over the working days of a year. The last working day is the real one."""

    def __init__(self, stage: Stage, size: Size) -> None:
        self.stage, self.size = stage, size
        self.days = working_days(stage.last_day, size.days)
        self.last = len(self.days) - 1
        self.customers = self.loans = self.refused = 0
        self._payments: list[Payments] = []
        self._debits: dict[int, set[int]] = defaultdict(set)
        self._agenda: dict[int, list[Life]] = defaultdict(list)

    def play(self, teams: list[Team], on_sale: tuple[Product, ...]) -> None:
        self._by_type = {kind: [p for p in on_sale if p.customer_type == kind] for kind in PURPOSES}
        self._payments = [Payments(self.stage, team) for team in teams]
        desks = [(team, officer) for team in teams for officer in team.officers]
        for case in cases(self.size, self.last):
            self._agenda[case.day].append(self._life(case, *desks[case.number % len(desks)]))
        self._agenda[self.last // 2].append(self._products_move_on(on_sale))
        for today, day in enumerate(self.days):
            self.stage.next_day(day)
            self._play_day(today)
            if today == min(3, self.last):
                self.stage.ready()

    def _play_day(self, today: int) -> None:
        for payments in self._payments if not today else ():
            payments.fund(self.days[today])
        for begun in ("debit", "reconcile", "confirm"):
            for payments in self._payments:
                if begun == "debit" and payments.company not in self._debits[today]:
                    continue
                self._try(lambda payments=payments, begun=begun: getattr(payments, begun)(self.days[today], self.days[max(0, today - 1)]))
            self.stage.drain()
        ready = self._agenda.pop(today, [])
        while ready:
            waiting = []
            for life in ready:
                on = self._go_on(life)
                if on == AFTER_THE_WORKER:
                    waiting.append(life)
                elif on is not None and on <= self.last:
                    (ready if on <= today else self._agenda[on]).append(life)
            self.stage.drain()
            self._tell(today)
            ready = waiting

    def _go_on(self, life: Life) -> int | None:
        """A refusal ends this life only: people who work at the same time may have changed what it stands on."""
        return self._try(lambda: next(life, None))

    def _try(self, work: Callable[[], int | None]) -> int | None:
        try:
            return work()
        except (Invalid, NotAllowed, NotPossible):
            self.refused += 1
            return None

    def _tell(self, today: int) -> None:
        done = self.customers + self.loans
        self.stage.progress(done, self.size.customers + self.size.cases,
                            f"{self.days[today]:%Y-%m-%d} 客户 {self.customers} 贷款 {self.loans}" + (f" 被拒 {self.refused}" if self.refused else ""))

    def _products_move_on(self, on_sale: tuple[Product, ...]) -> Life:
        """Mid-year: dearer versions for two products; two more are being prepared; one goes off sale."""
        products.next_version(self.stage, on_sale[0], 2)
        products.next_version(self.stage, on_sale[6], 2)
        products.draft_version(self.stage, on_sale[1], 2, submit=False)
        yield self.last
        products.draft_version(self.stage, on_sale[2], 2, submit=True)

    # -- a customer --------------------------------------------------------------------------------------------------

    def _life(self, case: Case, team: Team, officer_name: str) -> Life:
        rng, key, today = case.rng, f"c{case.number}", case.day
        officer, check = self.stage.as_user(officer_name), self.stage.as_user(team.check)
        kind = "personal" if case.id_no else "corporate" if case.fate in LARGE else rng.choices(tuple(PURPOSES), (60, 18, 14, 8))[0]
        who = people.corporate(rng) if kind == "corporate" else people.personal(
            rng, kind, self.days[0], id_no=case.id_no, mobile_ending="0000" if case.slow_bureau else "")
        customer = officer.create(key, CUSTOMER, who.values)
        self.customers += 1
        card = people.card(rng, case.card_ending)
        account = officer.create(f"{key}:card", ACCOUNT, {
            "customer": customer, "account_name": who.name, "bank_code": card.bank, "card_no": card.number, "usage": ["payout", "repay"]})
        if case.fate == "visit":
            return
        if case.fate in ("listed_by_us", "forgiven"):
            yield today + 1
            yield from self._black_list(case, check, customer, team)
            return
        product = rng.choice([p for p in self._by_type[kind] if p.amount[1] >= LARGE.get(case.fate, (0, 0))[1]])
        terms = _terms(rng, product, case)
        application = officer.create(f"{key}:app", APPLICATION, {
            "customer": customer, "product": product.id, "apply_amount": terms["amount"], "apply_term": terms["term"],
            "repay_method": terms["method"], "guarantee_mode": product.guarantee[0], "purpose": rng.choice(PURPOSES[kind]),
            "channel": "counter", "consent": case.fate != "draft", "investigation": "已实地走访，核对身份、收入与用途证明。"})
        if case.fate == "draft":
            return
        officer.do(f"{key}:submit", APPLICATION, application, "submit")
        yield AFTER_THE_WORKER
        if case.fate == "on_list":
            return
        yield today + 1
        if kind == "personal" and case.number % ASKED == 0 and not case.slow_bureau:
            check.do(f"{key}:bureau", CUSTOMER, customer, "query_data", {"kind": "bureau"})
        limit = self._judged(case, team, officer, application, terms)
        if limit:
            yield from self._draws(case, team, officer, limit, account, terms, today + 1)

    def _black_list(self, case: Case, check: Person, customer: int, team: Team) -> Life:
        key = f"c{case.number}"
        check.do(f"{key}:list", CUSTOMER, customer, "blacklist", {"reason_code": "fraud"}, "提供虚假收入证明。")
        if case.fate == "forgiven":
            yield min(case.day + 4, self.last)
            self.stage.as_user(team.review).do(f"{key}:unlist", CUSTOMER, customer, "whitelist", {}, "经核实系同名误报。")

    def _judged(self, case: Case, team: Team, officer: Person, application: int, terms: dict[str, object]) -> int:
        """Through the chain of its amount; returns the limit, or 0."""
        key, fate, amount = f"c{case.number}", case.fate, Decimal(str(terms["amount"]))
        if fate == "checking":
            return 0
        if fate in ("withdrawn", "cancelled"):
            officer.move(f"{key}:withdraw", APPLICATION, application, "withdraw", REASONS[fate])
            if fate == "cancelled":
                officer.do(f"{key}:cancel", APPLICATION, application, "cancel", {}, REASONS[fate])
            return 0
        if not self._checked(case, team, officer, application, amount) or fate == "reviewing":
            return 0
        first, *others = team.signers(amount)
        if fate == "review_rejected":
            self.stage.as_user(first).decide(f"{key}:review", APPLICATION, application, "reject", REASONS[fate])
            return 0
        self.stage.as_user(first).decide(f"{key}:review", APPLICATION, application, "pass", case.rng.choice(OPINIONS),
                                         {"approved_amount": amount, "annual_rate": terms["rate"]})
        if fate == "signing" or not self._signed(key, APPLICATION, application, others[:1] if fate == "voting" else others, amount):
            return 0
        review = self.stage.as_user(team.review)
        limit = int(review.find(LIMIT, {"application": application}, limit=1)[0]["id"])
        if fate in ("limit_frozen", "limit_ended"):
            review.do(f"{key}:{fate}", LIMIT, limit, "freeze" if fate == "limit_frozen" else "end", {}, "客户申请暂停用信。")
        return limit if fate == LOANS or fate.startswith(("draw_", "pay_")) else 0

    def _checked(self, case: Case, team: Team, officer: Person, application: int, amount: Decimal) -> bool:
        """The risk check, perhaps after papers were asked for; whether it passed."""
        key, fate, check = f"c{case.number}", case.fate, self.stage.as_user(team.check)
        if fate in ("returned", "resubmitted"):
            check.decide(f"{key}:back", APPLICATION, application, "return", REASONS[fate])
            if fate == "returned":
                return False
            officer.move(f"{key}:again", APPLICATION, application, "resubmit", "已补充收入证明。")
        if fate == "check_rejected":
            check.decide(f"{key}:check", APPLICATION, application, "reject", REASONS[fate])
            return False
        check.decide(f"{key}:check", APPLICATION, application, "pass", case.rng.choice(OPINIONS), {"suggest_amount": amount})
        return True

    def _signed(self, key: str, entity: str, record: int, signers: Sequence[str], amount: Decimal) -> bool:
        """The last words; of the three members of a committee the second is against. Whether nobody is waited for."""
        for number, who in enumerate(signers):
            against = number == 1
            self.stage.as_user(who).decide(f"{key}:sign{number}", entity, record, "reject" if against else "pass",
                                           REASONS["voted"] if against else "同意。")
        return amount <= 1_000_000 or len(signers) == 3

    def _draws(self, case: Case, team: Team, officer: Person, limit: int, account: int, terms: dict[str, object], today: int) -> Life:
        if case.fate != LOANS:
            day = self.last if case.card_ending else today
            yield day
            yield from self._draw(case, 0, team, officer, limit, account, terms, day)
            return
        rng = Random(f"{case.rng.random()} draws")
        later = sorted(rng.randrange(today, max(self.last - 1, today + 1)) for _ in range(case.loans - 1))
        for number, day in enumerate([today, *later]):
            life = self._draw(case, number, team, officer, limit, account, terms, day)
            self._agenda[min(day + 1, self.last) if day <= today else day].append(life)

    # -- a loan ------------------------------------------------------------------------------------------------------

    def _draw(self, case: Case, number: int, team: Team, officer: Person, limit: int, account: int, terms: dict[str, object],
              today: int) -> Life:
        rng, key, fate = Random(f"{case.rng.random()} loan {number}"), f"c{case.number}d{number}", case.fate
        options = [term for term in (1, 3, 6, 9, 12, 18, 24, 36) if terms["shortest"] <= term <= terms["term"]] or [terms["term"]]
        drawdown = officer.create(key, DRAWDOWN, {
            "limit": limit, "amount": terms["each"], "term_months": rng.choice(options[-3:]), "repay_method": terms["method"],
            "payout_account": account, "purpose": "working_capital"})
        if fate == "draw_draft":
            return
        if fate == "draw_cancelled":
            officer.do(f"{key}:cancel", DRAWDOWN, drawdown, "cancel", {}, REASONS[fate])
            return
        officer.do(f"{key}:submit", DRAWDOWN, drawdown, "submit")
        if fate == "draw_reviewing":
            return
        first, *others = team.signers(Decimal(str(terms["each"])))
        if fate in ("draw_returned", "draw_rejected"):
            self.stage.as_user(first).decide(f"{key}:no", DRAWDOWN, drawdown, "return" if fate == "draw_returned" else "reject", REASONS[fate])
            return
        self.stage.as_user(first).decide(f"{key}:yes", DRAWDOWN, drawdown, "pass", "同意放款。")
        self._signed(key, DRAWDOWN, drawdown, others, Decimal(str(terms["each"])))
        finance = self.stage.as_user(team.finance)
        if fate == "draw_void":
            finance.do(f"{key}:void", DRAWDOWN, drawdown, "void", {}, REASONS[fate])
        if fate in ("draw_approved", "draw_void"):
            return
        contract = finance.read(DRAWDOWN, drawdown)["contract"]
        if contract:  # it is signed with the service before the money goes
            yield AFTER_THE_WORKER
            if finance.read("lending.contract", int(contract))["status"] == "sent":
                finance.do(f"{key}:ask", "lending.contract", int(contract), "noticed")
                yield AFTER_THE_WORKER
        finance.do(f"{key}:pay", DRAWDOWN, drawdown, "payout")
        yield AFTER_THE_WORKER
        loan = finance.read(DRAWDOWN, drawdown)["loan"]
        if loan:
            self.loans += 1
            yield from self._repayments(key, rng, team, int(loan), officer, account)

    def _repayments(self, key: str, rng: Random, team: Team, loan: int, officer: Person, account: int) -> Life:
        """Pays what is due on the first working day after it is due, in the manner of this borrower."""
        manner = rng.choices(tuple(BEHAVIOURS), tuple(BEHAVIOURS.values()))[0]
        turn, source = rng.randrange(1, 4), rng.choice(SOURCES)
        finance = self.stage.as_user(team.finance)
        debited = source == "debit" and manner in ("regular", "late", "settles")
        if debited:
            officer.create(f"{key}:agree", "lending.debit_agreement", {
                "customer": finance.read(LOAN, loan)["customer"], "account": account, "gateway": "sandbox", "protocol_no": f"XY{loan:08d}"})
        source = "transfer" if source == "debit" else source    # where the debit fails, or nobody agreed to one
        tried: dict[date, int] = defaultdict(int)
        while True:
            row = finance.read(LOAN, loan)
            if row["status"] == "settled":
                return
            due, owed = row["next_due_on"], row["next_due_amount"]
            day = bisect_left(self.days, due) + (2 if manner == "late" else 0)
            if day > self.last:
                return
            if debited:
                self._debits[day].add(team.company)
            yield day
            if finance.read(LOAN, loan)["next_due_on"] != due:    # the day's debit has paid it
                continue
            now = row["paid_periods"] == turn and not tried[due]
            mark = f"{key}:{due}" + (f":{tried[due]}" if tried[due] else "")  # a late receipt leaves the penalty for another one
            tried[due] += 1
            if now and manner in ("stops", "part_and_stops"):
                if manner == "part_and_stops":
                    self._pay(finance, f"{mark}:part", loan, _half(owed), due, source)
                return
            if now and manner == "settles" and self._settle(officer, team, f"{mark}:all", loan, self.days[day], source):
                continue
            if now and manner == "part_then_rest":
                self._pay(finance, f"{mark}:part", loan, _half(owed), due, source)
                yield day + 1
                owed = finance.read(LOAN, loan)["next_due_amount"]
                if finance.read(LOAN, loan)["next_due_on"] != due:
                    continue
                self._pay(finance, f"{mark}:rest", loan, owed, self.days[min(day + 1, self.last)], source)
                continue
            extra = Decimal(rng.randrange(1, 6) * 100) if now and manner == "overpays" else Decimal(0)
            value = self.days[day] if manner in ("late", "part_then_rest") else due
            self._pay(finance, mark, loan, owed + extra, value, source)
            if now and manner == "reversed":
                yield day + 1
                yield from self._reverse(finance, team, mark, loan, owed, due, source)

    def _pay(self, finance: Person, key: str, loan: int, amount: Decimal, value_date: date, source: str) -> None:
        finance.do(key, LOAN, loan, "repay", {"kind": "due", "amount": amount, "value_date": value_date, "source": source,
                                              "bank_serial_no": f"LS-{key}"})

    def _settle(self, officer: Person, team: Team, key: str, loan: int, day: date, source: str) -> bool:
        """Pays everything, where the terms allow it; before its time it is applied for and agreed to first."""
        finance = self.stage.as_user(team.finance)
        row = finance.read(LOAN, loan)
        if finance.read("lending.term_snapshot", row["snapshot"])["prepay_allowed"] not in ("full", "both"):
            return False
        quote = finance.ask(LOAN, loan, "settle_quote", {"value_date": day})
        if row["matures_on"] > day:
            officer.do(f"{key}:apply", LOAN, loan, "propose_settlement", {"valid_until": day, "reason": REASONS["settles"]})
            change = int(officer.find(CHANGE, {"loan": loan, "kind": "settle", "status": "reviewing"}, limit=1)[0]["id"])
            for who in (team.check, team.review, team.approver):
                self.stage.as_user(who).decide(f"{key}:{who}", CHANGE, change, "pass", "同意提前结清。")
        finance.do(key, LOAN, loan, "repay", {"kind": "settle", "amount": quote["total"], "value_date": day, "source": source,
                                              "bank_serial_no": f"LS-{key}"})
        return True

    def _reverse(self, finance: Person, team: Team, key: str, loan: int, owed: Decimal, due: date, source: str) -> Life:
        """The last receipt was booked wrongly: a second person takes it back, and it is booked again."""
        booked = finance.find(REPAYMENT, {"loan": loan, "status": "posted"}, limit=1)
        if booked and booked[0]["bank_serial_no"] == f"LS-{key}":
            self.stage.as_user(team.finance_check).do(f"{key}:back", REPAYMENT, int(booked[0]["id"]), "reverse", {}, REASONS["reversed"])
            self._pay(finance, f"{key}:again", loan, owed, due, source)
        return
        yield  # a generator, though it never waits


def working_days(last: date, count: int) -> list[date]:
    """``count`` days up to ``last``, evenly over a year, none of them a Sunday but perhaps the last."""
    step = max(1, SPAN_DAYS // count)
    found = [last - timedelta(days=step * back) for back in range(count, 0, -1)]
    return sorted({day - timedelta(days=1) if day.weekday() == 6 else day for day in found} - {last}) + [last]


def _terms(rng: Random, product: Product, case: Case) -> dict[str, object]:
    """What is asked for: round amounts that fit the product, shared evenly by the draws."""
    low, high = product.amounts
    draws = max(1, case.loans)
    least, most = LARGE.get(case.fate, (int(low) // 1000, max(int(low) // 1000 + 1, int(min(high, low * 20)) // 1000)))
    amount = Decimal(rng.randrange(least, most) * 1000)
    each = max(Decimal(100), (amount / draws / 100).to_integral_value(rounding="ROUND_FLOOR") * 100)
    options = [term for term in (1, 3, 6, 9, 12, 18, 24, 36) if product.term[0] <= term <= product.term[1]]
    steps = int((product.rates[1] - product.rates[0]) * 1000)
    rate = product.rates[0] + Decimal(rng.randrange(0, steps + 1)) / 1000
    return {"amount": amount, "each": each, "shortest": product.term[0], "term": rng.choices(options, [4 if term in (6, 12) else 1 for term in options])[0],
            "method": rng.choice(product.methods), "rate": rate}


def _half(amount: Decimal) -> Decimal:
    return max(Decimal("0.01"), (amount / 2).quantize(Decimal("0.01")))
