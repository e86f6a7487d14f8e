"""One path for everything that happens to a loan: read its history, bring the books to today, add or take away a transaction, replay, book
the difference, store. The ordinary receipt is a replay with nothing to correct (reliability paper F27, F28)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import date, timedelta

from metaloom.plugin.command import Values, Work

from . import books as ledger
from .balances import NAMES, Books, Entry, Uneven, books_of, difference, entries
from .day import DAY_COLUMNS, class_of, snapshot_of, worse
from .fold import Agreement, Life, Txn, fold
from .limits import restore, take_back
from .replan import ALLOCATION, INSTALMENT, LOAN, REPAYMENT, ZERO, store
from .standing import agreement_of, book_columns, books_standing, cents, money, txns_of

SNAPSHOT, CHANGE, LOAN_DAY, MONEY = "lending.term_snapshot", "lending.loan_change", "lending.loan_day", "lending.other_money"
PROVISION, GRADE = "lending.loan_provision", "lending.risk_classification"
LAPSED = "贷款已另行结清，自动撤回。"
LEG = "platform.ledger_leg"
ACCOUNTS = {"1303.01": "normal", "1303.02": "overdue", "1303.03": "non_accrual", "1132.01": "interest", "1132.02": "interest_overdue", "1221": "fee",
            "2241.01": "suspense", "6011.01": "income_interest", "6011.02": "income_penalty", "6011.03": "income_compound", "6021": "income_fee",
            "1304": "allowance", "6701": "impairment", "6601": "coupon", "1441": "asset",
            "2221": "vat", "6111": "gain", "9001": "off_interest", "9002": "written_off"}
"""The balance of a loan that each account holds (metadata/lending/ledger.yaml)."""
CREDIT = frozenset({"suspense", "income_interest", "income_penalty", "income_compound", "income_fee", "allowance", "gain", "vat"})


@dataclass(frozen=True, slots=True)
class Case:
    """A loan with its history, as it is stored. ``repayments``: the stored receipt of each transaction."""

    loan: Values
    agreement: Agreement
    txns: Sequence[Txn]
    repayments: dict[int, int]
    today: date

    @property
    def next_seq(self) -> int:
        return max([self.loan["txn_count"] or 0, *(txn.seq for txn in self.txns)]) + 1

    @property
    def last_on(self) -> date:
        """The day of the last receipt or change; what was set aside for the loan stands in nobody's way."""
        return max((txn.on for txn in self.txns if txn.kind != "provision"), default=self.loan["disbursed_on"])

    def on(self, day: date, txns: Iterable[Txn] | None = None) -> Life:
        return fold(self.agreement, self.txns if txns is None else txns, day)


def open_case(work: Work, loan: Values) -> Case:
    """Reads a loan's terms and transactions."""
    snapshot = work.get(SNAPSHOT, loan["snapshot"])
    repayments = work.find(REPAYMENT, {"loan": loan["id"], "status": "posted"}, order=("id",))
    changes = work.find(CHANGE, {"loan": loan["id"], "status": "applied"}, order=("id",))
    provisions = work.find(PROVISION, {"loan": loan["id"]}, order=("id",))
    return Case(loan, agreement_of(snapshot, loan["disbursed_on"]), txns_of(repayments, changes, provisions),
                {row["seq"] or row["id"]: row["id"] for row in repayments}, work.business_date(loan["company"]))


def standing_books(work: Work, loan: Values) -> Books:
    """What stands in the books; of a loan from before the books were kept by loan, what its rows say."""
    if loan["accrued_through"] is not None:
        return books_standing(loan)
    paid = {name: sum((cents(row["amount"]) for row in work.find(ALLOCATION, {"loan": loan["id"], "component": name})), 0) for name in ("interest", "fee")}
    return Books(normal=cents(loan["principal_balance"]), suspense=cents(loan["suspense"]), income_interest=paid["interest"], income_fee=paid["fee"])


def catch_up(work: Work, case: Case) -> tuple[Life, Books]:
    """The loan and its books today, before anything new happens to it: days that no day end did are made up for first, one by one.
    A loan to which something happened today already is at the day's end, where 溢缴款 has paid what fell due."""
    loan = bring_to(work, case.loan["id"], case.today)
    stands = standing_books(work, loan)
    life = fold(case.agreement, case.txns, case.today, closing=False)
    if loan["accrued_through"] == case.today and life.suspense != stands.suspense:
        life = fold(case.agreement, case.txns, case.today)
    wanted = books_of(life, case.today)
    book(work, case, _steps(work, stands, wanted), case.today)
    return life, wanted


def bring_to(work: Work, loan_id: int, day: date) -> Values:
    """The loan on the morning of ``day``, with a row for every day on the way; days on which an overpayment pays a bill are done one by one."""
    while True:
        loan = work.get(LOAN, loan_id)
        through = loan["accrued_through"]
        if through is None or through >= day:
            return loan
        pays = loan["next_due_on"] if loan["suspense"] > 0 else None
        if pays is None or pays >= day:
            work.bring_up("day_end", loan_id, day)
        elif through < pays:
            work.bring_up("day_end", loan_id, pays)
        else:
            _roll(work, loan, through + timedelta(days=1))


def provide_first(work: Work, loan: Values) -> Values:
    """The loan provided for through the last month that is over, before something happens to its allowance; its row as it is then. A loan
    from before its days were kept has no months yet."""
    today = work.business_date(loan["company"])
    over, through = today.replace(day=1) - timedelta(days=1), loan["provisioned_through"]
    if loan["accrued_through"] is None or loan["disbursed_on"] > over or (through is not None and through >= over):
        return loan
    bring_to(work, loan["id"], today)
    work.bring_up("provision", loan["id"], today)
    return work.get(LOAN, loan["id"])


def _roll(work: Work, loan: Values, morning: date) -> None:
    """账单结转: the overpayment pays what fell due the day before; booked in the morning, or on the first day after what is closed."""
    closed = [date.fromisoformat(f"{row['month']}-01") for row in work.find("platform.ledger_period", {"company": loan["company"]}, order=("-month",), limit=1)]
    opened = [(month + timedelta(days=31)).replace(day=1) for month in closed]
    case = replace(open_case(work, loan), today=max([morning, *opened]))
    books, life = books_standing(loan), fold(case.agreement, case.txns, morning, closing=False)
    wanted = books_of(life, morning)
    book(work, case, _steps(work, books, wanted), morning)
    store(work, loan, life, morning, case.repayments, "replay")
    _lapse(work, loan["id"])
    told, moved = snapshot_of(life, morning), difference(books, wanted)
    risk = worse(loan["risk_class"], class_of(told["dpd"], work.settings["class_days"]))
    work.change(LOAN, loan["id"], {**book_columns(wanted), **({"risk_class": risk, "classified_on": morning} if risk != loan["risk_class"] else {})})
    work.insert_many(LOAN_DAY, [{
        "loan": loan["id"], "business_date": morning, "dpd": told["dpd"], "dpd_bucket": told["dpd_bucket"], "risk_class": risk,
        **{name: money(told[name]) for name in ("principal_balance", "accrued_interest", "penalty_balance")},
        **{f"moved_{name}": money(moved[name]) for name in DAY_COLUMNS if name in moved}}])
    repaid = loan["principal_balance"] - money(told["principal_balance"])
    if repaid:
        restore(work, loan, repaid, case.today, key=f"restore:roll:{loan['id']}:{morning}")


def _steps(work: Work, stands: Books, wanted: Books) -> list[Entry]:
    """The entries from what stands to what is wanted; refused where the books of the loan were not made by its transactions."""
    try:
        return entries(stands, wanted)
    except Uneven:
        work.refuse("该贷款的账面余额与交易记录不符，请先核对账务。", "The books of this loan do not agree with its transactions; look into them first.")
        raise


def book(work: Work, case: Case, found: Iterable[Entry], value: date, cause: tuple[str, int] | None = None) -> int:
    """Posts entries today; returns the last one's id, 0 where there was nothing to post."""
    posted = 0
    for event, amounts in found:
        posted = ledger.post(work, event, {name: money(amount) for name, amount in amounts.items()}, case.loan["company"], booking=case.today,
                             value=value, cause=cause or (LOAN, case.loan["id"]), loan=case.loan)
    return posted


def finish(work: Work, case: Case, txns: Sequence[Txn], stands: Books, before: Life, reason: str, key: str,
           cause: tuple[str, int]) -> Life:
    """Replays the history as it is now, books what still differs from ``stands``, stores the state, moves the limit."""
    life = case.on(case.today, txns)
    work.require(life.shortfall <= before.shortfall, ("已退还的溢缴款不足以覆盖，请先冲正退款。", "Overpayment that was refunded would no longer be covered; "
                                                      "reverse the refund first."))
    if life.asset < before.asset:
        _asset_unsold(work, case)
    wanted = books_of(life, case.today)
    book(work, case, _steps(work, stands, wanted), case.today, cause)
    loan = work.get(LOAN, case.loan["id"])
    principal = loan["principal_balance"]
    store(work, loan, life, case.today, case.repayments, reason)
    _lapse(work, loan["id"])
    last = max((txn.seq for txn in txns), default=0)
    work.change(LOAN, loan["id"], {**book_columns(wanted), "txn_count": max(loan["txn_count"] or 0, last)})
    sold = money(life.left - before.left)    # left with the loan, and nobody repaid it
    repaid = principal - work.get(LOAN, loan["id"])["principal_balance"] - sold
    if repaid > 0:
        restore(work, loan, repaid, case.today, key=f"restore:{key}")
    elif repaid < 0:
        take_back(work, loan, -repaid, case.today, key=f"reverse:{key}")
    return life


def _lapse(work: Work, loan: int) -> None:
    """What is applied for, or was agreed to and waits for its money, has no object any more once the loan is settled: it is withdrawn with the
    reason. A refund is not: what was overpaid is the customer's. Nor is an inspection: it was made, and tells what was found."""
    if work.get(LOAN, loan)["status"] != "settled":
        return
    for asked in work.find(CHANGE, {"loan": loan, "status": ["submitted", "reviewing", "agreed"]}, lock=True):
        if asked["kind"] == "refund":
            continue
        if not work.withdraw(CHANGE, asked["id"], LAPSED):    # a case takes its application along
            work.transition(CHANGE, asked["id"], "withdraw")
        work.change(CHANGE, asked["id"], {"opinion": LAPSED})
    for graded in work.find(GRADE, {"loan": loan, "status": ["draft", "checking", "reviewing", "signing", "returned"]}, lock=True):
        work.withdraw(GRADE, graded["id"], LAPSED)
        if work.get(GRADE, graded["id"])["status"] != "withdrawn":    # a draft, or what became one by the text its case began under
            work.transition(GRADE, graded["id"], "lapse")


def _asset_unsold(work: Work, case: Case) -> None:
    """Refused where an asset that the loan is about to give back is sold, or its sale waits. The repossession is locked first: so does a sale."""
    taken = work.find(CHANGE, {"loan": case.loan["id"], "kind": "repossess"}, lock=True)
    sold = work.find(MONEY, {"asset": [row["id"] for row in taken], "status": ["submitted", "posted"]}, limit=1)
    work.require(not sold, ("这样处理后该贷款的以物抵债不再成立，而抵债资产已登记处置；请先冲正或退回处置。",
                            "The loan would no longer hold the asset taken in payment, whose sale is entered; reverse the sale or send it back first."))


def mirrored(work: Work, books: Books, voucher: int) -> Books:
    """What stands after the mirror of an entry: each of its legs taken back."""
    amounts = {name: getattr(books, name) for name in NAMES}
    for leg in work.find(LEG, {"entry": voucher}):
        name = ACCOUNTS.get(leg["account"])
        if name in amounts:
            grows = (leg["side"] == "credit") == (name in CREDIT)
            amounts[name] -= cents(leg["amount"]) if grows else -cents(leg["amount"])
    return Books(**amounts)


__all__ = ["CHANGE", "INSTALMENT", "LOAN", "LOAN_DAY", "MONEY", "PROVISION", "REPAYMENT", "SNAPSHOT", "ZERO", "Case", "book", "bring_to", "catch_up", "finish",
           "mirrored", "open_case", "provide_first", "standing_books"]
