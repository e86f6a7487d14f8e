"""What must hold of a lender's rows whatever happened; ``metaloom doctor --invariants`` looks (codes: reliability paper §5)."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import date, timedelta
from decimal import Decimal
from itertools import islice
from typing import Any

from metaloom.base.text import Text
from metaloom.plugin import Breach, Survey

from .balances import NAMES, TAXED
from .cases import ACCOUNTS, CHANGE, CREDIT, LOAN_DAY, PROVISION
from .day import DAY_COLUMNS
from .limits import LIMIT, TXN
from .payout import DRAWDOWN
from .repayment import BY_CHANNEL
from .replan import ALLOCATION, INSTALMENT, LOAN, PLAN, REPAYMENT, ZERO

ENTRY, LEG, RUN, COMPANY = "platform.ledger_entry", "platform.ledger_leg", "platform.scheduled_run", "platform.company"
CARRIED = "close_month"
"""The event of entries that hand income and expense over when a month is closed; they take nothing from what a loan earned."""
ORDER = "lending.payment_order"
CASE, TASK = "platform.approval_case", "platform.approval_task"
NUMBERS = {name: account for account, name in ACCOUNTS.items()}
"""The account that holds each balance of a loan."""
CLAIM = ("principal_balance", "accrued_interest", "penalty_balance", "compound_balance", "fee_balance")
"""What a borrower owes on a day, interest as far as it ran."""
COMPONENTS = ("principal", "interest", "penalty", "compound", "fee")
PERIOD = "platform.ledger_period"
OF_A_LOAN = (LOAN, REPAYMENT, CHANGE)
CAUSES = frozenset({*OF_A_LOAN, RUN})
"""What the entries of loans are posted because of."""
SHARED = frozenset({"fee", "income_fee", "impairment", "coupon", "asset", "vat", "gain"})
"""Accounts that other business of a company moves too: the tax is paid, an asset is sold. Only what loans did there is compared."""
SAID = ("accrued_through", "status", "principal_balance", "suspense")
MOVED = tuple(f"moved_{name}" for name in DAY_COLUMNS)
PRINCIPAL = tuple(NUMBERS[name] for name in ("normal", "overdue", "non_accrual"))
PAGE = 1_000
"""Loans, or records, that are looked at together."""


def sub_ledger(survey: Survey) -> Iterator[Breach]:
    """Account by account, what a loan says stands in the books is what the general ledger has of it; and what it owes is in them, of a
    loan that is written off beside them."""
    yield from _strangers(survey)
    yield from _of_a_company(survey)
    yield from _runs(survey)
    yield from _loans(survey)


def totals(survey: Survey) -> Iterator[Breach]:
    """Account by account and company by company, the loans together hold what the general ledger has of them: a few sums, for every day end.
    Where they do not, the accounts and the differences, then, unless a month is about to be closed, the runs of open months and the loans that
    they come from."""
    held: dict[tuple[int, str], Decimal] = defaultdict(lambda: ZERO)
    for (company, account, side, entity), sums in survey.sums(LEG, ("company", "account", "side", "entity"), ("amount",),
                                                               {"account": tuple(ACCOUNTS)}).items():
        name = ACCOUNTS[account]
        if entity in CAUSES or (entity != COMPANY and name not in SHARED):
            held[company, name] += _signed(name, side, sums["amount"])
    for page in _pages(survey.rows(LOAN, (*SAID, "company"), {"accrued_through": None})):   # from before the books were kept by loan
        books = _booked(survey, [row["id"] for row in page])
        yield from _unlike(page, books)
        for row in page:
            for name, amount in books[row["id"]].items():
                held[row["company"], name] -= amount
    for company, sums in survey.sums(LOAN, ("company",), tuple(f"book_{name}" for name in NAMES)).items():
        for name, amount in in_accounts({one: sums[f"book_{one}"] for one in NAMES}).items():
            held[company, name] -= amount
            held[company, f"{name}/loans"] = amount
    off = [(company, name, amount) for (company, name), amount in sorted(held.items()) if "/" not in name and amount]
    for company, name, amount in off:
        account, loans = NUMBERS[name], held[company, f"{name}/loans"]
        yield _off(COMPANY, company, account, loans, loans + amount)
    if off and survey.until is None:    # before a closing nobody posts: the accounts are enough, the day end names the loans
        yield from _strangers(survey)
        yield from _of_a_company(survey)
        yield from _runs(survey, open_only=True)
        yield from _loans(survey)


def month_done(survey: Survey) -> Iterator[Breach]:
    """Before a month is closed every loan that runs has had the day end of the month's last day and is provided for through it: what is missing
    would be booked into the next month. A loan from before its days were kept has neither."""
    end = survey.until
    assert end is not None, "asked before a month is closed, alone"
    by = ("status", "disbursed_on", "accrued_through", "provisioned_through")    # a sum, rows of what fails alone: nobody posts meanwhile
    for group in sorted(survey.sums(LOAN, by, ("principal_amount",), {"status": ("normal", "written_off")}), key=str):
        _, paid_out, through, provided = group
        if through is None or paid_out > end or (through > end and provided is not None and provided >= end):
            continue
        for row in survey.rows(LOAN, ("loan_no",), dict(zip(by, group, strict=True))):
            yield _not_ended(row, through, end) if through <= end else _not_provided(row, provided, end)
    yield from _settled_since(survey, end)


def _settled_since(survey: Survey, end: date) -> Iterator[Breach]:
    """Loans that were there at the month's end and are settled since then: they are provided for as they stood then."""
    by = ("settled_on", "provisioned_through")
    for group in sorted(survey.sums(LOAN, by, ("principal_amount",), {"status": "settled"}), key=str):
        settled, provided = group
        if settled is None or settled <= end or (provided is not None and provided >= end):
            continue
        for row in survey.rows(LOAN, ("loan_no", "disbursed_on", "accrued_through"), {"status": "settled", **dict(zip(by, group, strict=True))}):
            if row["accrued_through"] is not None and row["disbursed_on"] <= end:
                yield _not_provided(row, provided, end)


def _not_ended(row: Mapping[str, Any], through: date, end: date) -> Breach:
    return Breach(LOAN, row["id"], f"accrued through {through}, the day end of {end} is missing",
                  Text(f"贷款 {row['loan_no']} 只计提到 {through}，{end} 的日终未完成",
                       f"Loan {row['loan_no']} is accrued through {through}; {end} has not ended for it"))


def _not_provided(row: Mapping[str, Any], provided: date | None, end: date) -> Breach:
    return Breach(LOAN, row["id"], f"provided for through {provided}, not through {end}",
                  Text(f"贷款 {row['loan_no']} 未计提 {end} 的准备金", f"Loan {row['loan_no']} is not provided for through {end}"))


def in_accounts(books: Mapping[str, Decimal]) -> dict[str, Decimal]:
    """The balances of a loan as the accounts have them: income without its tax, the tax together (``vat``)."""
    found: dict[str, Decimal] = defaultdict(lambda: ZERO, {name: amount for name, amount in books.items() if not name.startswith("vat_")})
    for name in TAXED:
        if tax := books.get(f"vat_{name}", ZERO):
            found[f"income_{name}"] -= tax
            found["vat"] += tax
    return found


def _signed(name: str, side: str, amount: Decimal) -> Decimal:
    """An amount on the side on which the account grows."""
    return amount if (side == "credit") == (name in CREDIT) else -amount


def _off(entity: str, id: int, account: str, ours: Decimal, ledger: Decimal) -> Breach:
    """A loan, or all of a company's, against an account."""
    whose, many = ("贷款明细合计", "loans") if entity == COMPANY else ("该贷款", "loan")
    return Breach(entity, id, f"{ours} by the {many}, {ledger} by account {account}",
                  Text(f"科目 {account}：{whose} {ours:,.2f}，总账 {ledger:,.2f}，差额 {ledger - ours:,.2f}",
                       f"Account {account}: {ours:,.2f} by the {many}, {ledger:,.2f} in the ledger, difference {ledger - ours:,.2f}"))


def _strangers(survey: Survey) -> Iterator[Breach]:
    """Accounts that only loans move hold nothing of any other record."""
    for account, entity in sorted(survey.sums(LEG, ("account", "entity"), ("amount",), {"account": tuple(ACCOUNTS)}), key=str):
        if entity in CAUSES or entity == COMPANY or ACCOUNTS[account] in SHARED:
            continue
        for record, sums in survey.sums(LEG, ("record_id",), ("amount",), {"account": account, "entity": entity}).items():
            yield Breach(entity or ENTRY, record, f"account {account} has {sums['amount']} of no loan")


def _of_a_company(survey: Survey) -> Iterator[Breach]:
    """What is booked in the name of a company alone hands balances over; anything else on the accounts of loans would be of a loan."""
    own = tuple(account for account, name in ACCOUNTS.items() if name not in SHARED)
    carried = {row["id"] for row in survey.rows(ENTRY, (), {"event": CARRIED})}
    for (account, entry), sums in survey.sums(LEG, ("account", "entry"), ("amount",), {"entity": COMPANY, "account": own}).items():
        if entry not in carried:
            yield Breach(ENTRY, entry, f"account {account} has {sums['amount']} of no loan")


def _runs(survey: Survey, *, open_only: bool = False) -> Iterator[Breach]:
    """What a day end booked for many loans at once is what its rows say of each. ``open_only``: those of months that are not closed."""
    if survey.company is None and not open_only:
        yield from _some_runs(survey, {})
        return
    closed: dict[int, str] = defaultdict(str)
    for row in survey.rows(PERIOD, ("company", "month")):
        closed[row["company"]] = max(closed[row["company"]], row["month"])
    ours = {} if survey.company is None else {"company": survey.company}
    for page in _pages(survey.rows(RUN, ("company", "business_date"), ours)):
        if ids := [row["id"] for row in page if not open_only or f"{row['business_date'] or date.max}"[:7] > closed[row["company"]]]:
            yield from _some_runs(survey, {"run": ids})


def _some_runs(survey: Survey, where: Mapping[str, Any]) -> Iterator[Breach]:
    told: dict[int, dict[str, Decimal]] = defaultdict(lambda: defaultdict(lambda: ZERO))
    ran: dict[int, dict[str, Decimal]] = defaultdict(lambda: defaultdict(lambda: ZERO))
    for run, sums in survey.sums(LOAN_DAY, ("run",), MOVED, where).items():
        if run is not None:
            told[run].update({name: sums[f"moved_{name}"] or ZERO for name in DAY_COLUMNS})
    for run, sums in survey.sums(PROVISION, ("run",), ("moved",), where).items():
        if run is not None:
            told[run].update(dict.fromkeys(("allowance", "impairment"), sums["moved"]))
    booked = {"entity": RUN, "account": tuple(ACCOUNTS), **({"record_id": where["run"]} if where else {})}
    for (run, account, side), sums in survey.sums(LEG, ("record_id", "account", "side"), ("amount",), booked).items():
        ran[run][ACCOUNTS[account]] += _signed(ACCOUNTS[account], side, sums["amount"])
    for run in sorted({*told, *ran}):
        wanted = in_accounts(told[run])
        for name in NUMBERS:
            if wanted[name] != ran[run][name]:
                yield Breach(RUN, run, f"{wanted[name]} by the days of the loans, {ran[run][name]} by account {NUMBERS[name]}")


def _loans(survey: Survey) -> Iterator[Breach]:
    """Loan by loan, in pages: whoever looks only for the first reads no further."""
    seen: dict[tuple[str, str], Decimal] = defaultdict(lambda: ZERO)
    for page in _pages(survey.rows(LOAN, (*SAID, *CLAIM[1:], *(f"book_{name}" for name in NAMES)))):
        yield from _unlike(page, _booked(survey, [row["id"] for row in page], seen))
    for (entity, account, side), sums in survey.sums(LEG, ("entity", "account", "side"), ("amount",),
                                                     {"entity": OF_A_LOAN, "account": tuple(ACCOUNTS)}).items():
        seen[entity, account] -= _signed(ACCOUNTS[account], side, sums["amount"])
    for (entity, account), amount in sorted(seen.items()):
        if amount:
            yield Breach(ENTRY, None, f"account {account} has {-amount} of no loan, by entries of {entity}")


def _booked(survey: Survey, loans: Sequence[int], seen: dict[tuple[str, str], Decimal] | None = None) -> Mapping[int, Mapping[str, Decimal]]:
    """What the ledger has of each loan, account by account: its own entries, those of its receipts and changes, and its part of the runs.
    ``seen`` gets what entries were met, by (entity, account)."""
    books: dict[int, dict[str, Decimal]] = defaultdict(lambda: defaultdict(lambda: ZERO))
    for entity in OF_A_LOAN:
        loan_of = {id: id for id in loans} if entity == LOAN else {row["id"]: row["loan"] for row in survey.rows(entity, ("loan",), {"loan": loans})}
        ids = list(loan_of)
        for begin in range(0, len(ids), PAGE):
            where = {"entity": entity, "record_id": ids[begin:begin + PAGE], "account": tuple(ACCOUNTS)}
            for (record, account, side), sums in survey.sums(LEG, ("record_id", "account", "side"), ("amount",), where).items():
                amount = _signed(ACCOUNTS[account], side, sums["amount"])
                books[loan_of[record]][ACCOUNTS[account]] += amount
                if seen is not None:
                    seen[entity, account] += amount
    for sign, where in ((1, {"loan": loans}), (-1, {"loan": loans, "run": None})):   # days without a run stand in the loan's own entries
        for loan, sums in survey.sums(LOAN_DAY, ("loan",), MOVED, where).items():
            for account, part in in_accounts({name: sums[f"moved_{name}"] or ZERO for name in DAY_COLUMNS}).items():
                books[loan][account] += sign * part
        for loan, sums in survey.sums(PROVISION, ("loan",), ("moved",), where).items():
            for name in ("allowance", "impairment"):
                books[loan][name] += sign * sums["moved"]
    return books


def _unlike(loans: Iterable[Mapping[str, Any]], books: Mapping[int, Mapping[str, Decimal]]) -> Iterator[Breach]:
    """What a loan says of itself, against what the ledger has of it."""
    for row in loans:
        found = books[row["id"]]
        if row["accrued_through"] is not None:
            told = in_accounts({one: row[f"book_{one}"] or ZERO for one in NAMES})
            for name in NUMBERS:
                stands = told[name]
                if stands != found[name]:
                    yield _off(LOAN, row["id"], NUMBERS[name], stands, found[name])
        principal = sum((found[name] for name in ("normal", "overdue", "non_accrual")), ZERO)
        for ours, theirs, what in ((row["principal_balance"], principal, "the principal accounts"), (row["suspense"], found["suspense"], NUMBERS["suspense"])):
            claimed = row["status"] == "written_off" and what != NUMBERS["suspense"]  # owed still, and off the books
            if ours != theirs and not claimed:
                yield Breach(LOAN, row["id"], f"{ours} by the loan, {theirs} by account {what}")
        if row["status"] == "written_off" and row["accrued_through"] is not None:
            claim, beside = (sum((row[name] or ZERO for name in names), ZERO) for names in (CLAIM, ("book_off_interest", "book_written_off")))
            if claim != beside:
                yield Breach(LOAN, row["id"], f"{claim} is claimed still, {beside} by accounts {NUMBERS['off_interest']} and {NUMBERS['written_off']}")


def _pages(rows: Iterable[Mapping[str, Any]]) -> Iterator[list[Mapping[str, Any]]]:
    rows = iter(rows)
    while page := list(islice(rows, PAGE)):
        yield page


def days(survey: Survey) -> Iterator[Breach]:
    """One row for each day of a loan, from the day after its payout, in order and without a gap, up to the day that the loan says. A loan
    from before its days were kept (no ``accrued_through``) has them from the day after the first transaction since then."""
    last: dict[int, date] = {}
    first: dict[int, tuple[int, date]] = {}
    for row in survey.rows(LOAN_DAY, ("loan", "business_date")):
        before, day = last.get(row["loan"]), row["business_date"]
        if before is not None and day != before + timedelta(days=1):
            yield Breach(LOAN_DAY, row["id"], f"{day} follows {before}")
        last[row["loan"]] = day
        first.setdefault(row["loan"], (row["id"], day))
    booked: dict[int, set[date | None]] = defaultdict(set)
    for entity, name in ((REPAYMENT, "booking_date"), (CHANGE, "booked_on")):
        for row in survey.rows(entity, ("loan", name, "reversed_on")):
            booked[row["loan"]] |= {row[name], row["reversed_on"]}
    for loan in survey.rows(LOAN, ("accrued_through", "disbursed_on")):
        through, found = loan["accrued_through"], last.get(loan["id"])
        since = first[loan["id"]][1] - timedelta(days=1) if found is not None else through
        if found is not None and found != through:
            yield Breach(LOAN, loan["id"], f"accrued through {through}, its last day is {found}")
        elif since is not None and since not in {loan["disbursed_on"], *booked[loan["id"]]}:
            what = f"its first day is {first[loan['id']][1]}" if found is not None else f"accrued through {through} without a day"
            yield Breach(LOAN, loan["id"], f"paid out on {loan['disbursed_on']}, {what}")


def lent(survey: Survey) -> Iterator[Breach]:
    """What was lent is what came back and what is owed still."""
    repaid = survey.sums(ALLOCATION, ("loan",), ("amount",), {"component": "principal"})
    for loan in survey.rows(LOAN, ("principal_amount", "principal_balance")):
        back = repaid.get(loan["id"], {"amount": ZERO})["amount"]
        if loan["principal_amount"] != back + loan["principal_balance"]:
            yield Breach(LOAN, loan["id"], f"{loan['principal_amount']} was lent; {back} came back and {loan['principal_balance']} is owed")


def plans(survey: Survey) -> Iterator[Breach]:
    """The lines of a plan add up to it, and the first plan of a loan to the loan; the last line leaves nothing."""
    amounts = {row["id"]: row["principal_amount"] for row in survey.rows(LOAN, ("principal_amount",))}
    sums = survey.sums(INSTALMENT, ("plan",), ("principal", "interest"))
    numbers = survey.sums(INSTALMENT, ("plan",), ("period_no",), {"balance": ZERO})
    for plan in survey.rows(PLAN, ("loan", "version", "total_principal", "total_interest")):
        lines = sums.get(plan["id"], {"principal": ZERO, "interest": ZERO})
        for name in ("principal", "interest"):
            if lines[name] != plan[f"total_{name}"]:
                yield Breach(PLAN, plan["id"], f"the lines hold {lines[name]} of {name}, the plan {plan[f'total_{name}']}")
        if plan["version"] == 1 and plan["total_principal"] != amounts[plan["loan"]]:
            yield Breach(PLAN, plan["id"], f"the plan repays {plan['total_principal']}, the loan is {amounts[plan['loan']]}")
        if plan["id"] not in numbers:
            yield Breach(PLAN, plan["id"], "no line of the plan leaves a balance of zero")


def balances(survey: Survey) -> Iterator[Breach]:
    """What the standing lines have open is what the loan owes; no line is paid beyond its due; settled means nothing open."""
    owed: dict[int, dict[str, Decimal]] = defaultdict(lambda: dict.fromkeys(COMPONENTS, ZERO))
    for row in survey.rows(INSTALMENT, ("loan", "status", "waived_interest", *COMPONENTS, *(f"paid_{name}" for name in COMPONENTS))):
        left = {name: (row[name] or ZERO) - (row[f"paid_{name}"] or ZERO) for name in COMPONENTS}
        left["interest"] -= row["waived_interest"] or ZERO
        told = ", ".join(f"{amount} {name}" for name, amount in left.items() if amount) or "nothing"
        if min(left.values()) < 0:
            yield Breach(INSTALMENT, row["id"], f"paid beyond what was due: {told} left")
        if row["status"] != "cancelled" and (row["status"] == "paid") != (not any(left.values())):
            yield Breach(INSTALMENT, row["id"], f"is {row['status']} with {told} left")
        for name, amount in left.items():
            owed[row["loan"]][name] += ZERO if row["status"] == "cancelled" else amount
    for loan in survey.rows(LOAN, ("status", "suspense", *(f"{name}_balance" for name in COMPONENTS))):
        for name, amount in owed[loan["id"]].items():
            if (loan[f"{name}_balance"] or ZERO) != amount:
                yield Breach(LOAN, loan["id"], f"owes {loan[f'{name}_balance']} of {name}, its plan says {amount}")
        if (loan["status"] == "settled") != (not any(owed[loan["id"]].values())):
            yield Breach(LOAN, loan["id"], f"is {loan['status']} with {sum(owed[loan['id']].values())} open")
        if min(loan["suspense"], *(loan[f"{name}_balance"] or ZERO for name in COMPONENTS)) < 0:
            yield Breach(LOAN, loan["id"], "a balance is negative")


def allocations(survey: Survey) -> Iterator[Breach]:
    """A receipt is spread to the cent, a reversed one to nothing; what a line has been paid is what was allocated to it."""
    spread: dict[int, dict[str, Decimal]] = defaultdict(lambda: defaultdict(lambda: ZERO))
    for (repayment, component), sums in survey.sums(ALLOCATION, ("repayment", "component"), ("amount",)).items():
        spread[repayment][component] = sums["amount"]
    for row in survey.rows(REPAYMENT, ("status", "amount", *COMPONENTS, "from_suspense", "surplus")):
        went = sum((row[name] or ZERO for name in COMPONENTS), row["surplus"])
        if row["amount"] + row["from_suspense"] != went:
            yield Breach(REPAYMENT, row["id"], f"{row['amount']} and {row['from_suspense']} came, {went} is accounted for")
        standing = row["status"] != "reversed"
        for component, wanted in (*((name, row[name] or ZERO) for name in COMPONENTS), ("suspense", row["surplus"] - row["from_suspense"])):
            found = spread[row["id"]][component]
            if found != (wanted if standing else ZERO):
                yield Breach(REPAYMENT, row["id"], f"is {row['status']} with {wanted} of {component}, {found} is allocated")
    yield from _lines_paid(survey)


def money_in(survey: Survey) -> Iterator[Breach]:
    """What came through a channel is on 1012 and what came to the bank on 1002, to the cent; a reversed receipt is on neither."""
    held: dict[tuple[int, str], Decimal] = defaultdict(lambda: ZERO)
    for (record, account, side), sums in survey.sums(LEG, ("record_id", "account", "side"), ("amount",), {"entity": REPAYMENT}).items():
        held[record, account] += sums["amount"] if side == "debit" else -sums["amount"]
    for row in survey.rows(REPAYMENT, ("status", "source", "amount")):
        wanted = {"1012" if row["source"] in BY_CHANNEL else "1002": ZERO if row["status"] == "reversed" else row["amount"]}
        for account in ("1002", "1012"):
            if held[row["id"], account] != wanted.get(account, ZERO):
                yield Breach(REPAYMENT, row["id"], f"is {row['status']} from {row['source']} with {held[row['id'], account]} on account {account}")


def _lines_paid(survey: Survey) -> Iterator[Breach]:
    paid = {name: survey.sums(ALLOCATION, ("instalment",), ("amount",), {"component": name}) for name in COMPONENTS}
    for row in survey.rows(INSTALMENT, tuple(f"paid_{name}" for name in COMPONENTS)):
        for name, sums in paid.items():
            found = sums.get(row["id"], {"amount": ZERO})["amount"]
            if found != (row[f"paid_{name}"] or ZERO):
                yield Breach(INSTALMENT, row["id"], f"{row[f'paid_{name}']} of {name} is paid, {found} is allocated")


def limits(survey: Survey) -> Iterator[Breach]:
    """Every amount of a limit is what its movements say, nothing is available that is not there, and what is used is what its loans took."""
    yield from _unlike_loans(survey)
    moved: dict[int, dict[str, Decimal]] = defaultdict(lambda: defaultdict(lambda: ZERO))
    for (limit, kind), sums in survey.sums(TXN, ("limit", "type"), ("amount",)).items():
        moved[limit][kind] = sums["amount"]
    for row in survey.rows(TXN, ("limit", "amount", "txn_key"), {"type": "use"}):
        if str(row["txn_key"]).startswith("use:"):  # a reversed repayment uses the limit without a reservation
            moved[row["limit"]]["reserved use"] += row["amount"]
    for row in survey.rows(LIMIT, ("total", "used", "reserved", "frozen", "available")):
        kinds = moved[row["id"]]
        for name, wanted in (("total", kinds["grant"] + kinds["adjust"]),
                             ("used", kinds["use"] - kinds["restore"]), ("frozen", kinds["freeze"] - kinds["unfreeze"]),
                             ("reserved", kinds["reserve"] - kinds["release"] - kinds["reserved use"]),
                             ("available", row["total"] - row["used"] - row["reserved"] - row["frozen"])):
            if row[name] != wanted or row[name] < 0:
                yield Breach(LIMIT, row["id"], f"{row[name]} is {name}, its movements say {wanted}")


def _unlike_loans(survey: Survey) -> Iterator[Breach]:
    """Used of a limit that revolves is the principal that its loans owe, and what left with loans that were sold or taken an asset for: nobody
    repaid that. Used of any other limit is what was paid out."""
    before = _left_by_vouchers(survey)
    lent: dict[int, Decimal] = defaultdict(lambda: ZERO)
    owed: dict[int, Decimal] = defaultdict(lambda: ZERO)
    for loan in survey.rows(LOAN, ("limit", "principal_amount", "principal_balance", "principal_gone")):
        gone = before.get(loan["id"], ZERO) if loan["principal_gone"] is None else loan["principal_gone"]
        lent[loan["limit"]] += loan["principal_amount"]
        owed[loan["limit"]] += loan["principal_balance"] + gone
    for row in survey.rows(LIMIT, ("mode", "used")):
        wanted = owed[row["id"]] if row["mode"] == "revolving" else lent[row["id"]]
        if row["used"] != wanted:
            yield Breach(LIMIT, row["id"], f"{row['used']} is used, its loans say {wanted}")


def _left_by_vouchers(survey: Survey) -> dict[int, Decimal]:
    """The principal that loans took along which were sold or given up for an asset before the loan itself said so, by the entries of the changes."""
    found: dict[int, Decimal] = defaultdict(lambda: ZERO)
    silent = {row["id"] for row in survey.rows(LOAN, (), {"settled_by": ("repossess", "transfer"), "principal_gone": None})}
    changes = survey.rows(CHANGE, ("loan", "voucher"), {"kind": ("repossess", "transfer"), "status": "applied"}) if silent else ()
    for page in _pages(row for row in changes if row["loan"] in silent):
        loan_of = {row["voucher"]: row["loan"] for row in page}
        for (entry, side), sums in survey.sums(LEG, ("entry", "side"), ("amount",), {"entry": list(loan_of), "account": PRINCIPAL}).items():
            found[loan_of[entry]] += sums["amount"] if side == "credit" else -sums["amount"]
    return found


def payouts(survey: Survey) -> Iterator[Breach]:
    """A paid drawdown has one successful order, one loan of its amount and one payout entry; another one has none of them."""
    orders: dict[int, list[Mapping[str, Any]]] = defaultdict(list)
    for order in survey.rows(ORDER, ("drawdown", "status", "amount")):
        orders[order["drawdown"]].append(order)
    loans: dict[int, list[Mapping[str, Any]]] = defaultdict(list)
    for loan in survey.rows(LOAN, ("drawdown", "principal_amount")):
        loans[loan["drawdown"]].append(loan)
    posted: dict[int, int] = defaultdict(int)
    for entry in survey.rows(ENTRY, ("record_id",), {"event": "payout", "entity": LOAN, "state": "posted"}):
        posted[entry["record_id"]] += 1
    for drawdown in survey.rows(DRAWDOWN, ("status", "amount")):
        mine, tries = loans[drawdown["id"]], orders[drawdown["id"]]
        wanted = 1 if drawdown["status"] == "paid" else 0
        found = {"successful orders": sum(order["status"] == "succeeded" for order in tries), "loans": len(mine),
                 "payout entries": sum(posted[loan["id"]] for loan in mine)}
        yield from (Breach(DRAWDOWN, drawdown["id"], f"is {drawdown['status']} with {number} {what}")
                    for what, number in found.items() if number != wanted)
        live = sum(order["status"] != "failed" for order in tries)
        if live > 1:
            yield Breach(DRAWDOWN, drawdown["id"], f"has {live} payment orders that have not failed")
        for amount in (*(loan["principal_amount"] for loan in mine), *(order["amount"] for order in tries)):
            if amount != drawdown["amount"]:
                yield Breach(DRAWDOWN, drawdown["id"], f"is of {drawdown['amount']}; {amount} was paid or lent")


def four_eyes(survey: Survey) -> Iterator[Breach]:
    """Who wrote a drawdown or handed it in decided nothing about it, and nobody of those or of the deciders paid it."""
    makers: dict[int, set[int]] = defaultdict(set)
    deciders: dict[int, set[int]] = defaultdict(set)
    for row in survey.rows(DRAWDOWN, ("created_by", "approved_by")):
        makers[row["id"]].add(row["created_by"])
        deciders[row["id"]].add(row["approved_by"])
    about = {}
    for case in survey.rows(CASE, ("record_id", "initiator"), {"entity": DRAWDOWN}):
        about[case["id"]] = case["record_id"]
        makers[case["record_id"]].add(case["initiator"])
    for task in survey.rows(TASK, ("case", "decision", "closed_by")):
        if task["case"] in about and task["decision"] is not None:
            deciders[about[task["case"]]].add(task["closed_by"])
    for drawdown, made in makers.items():
        yield from (Breach(DRAWDOWN, drawdown, f"user {user} wrote it and decided about it") for user in sorted(made & deciders[drawdown] - {None}))
    for order in survey.rows(ORDER, ("drawdown", "created_by")):
        if order["created_by"] in (makers[order["drawdown"]] | deciders[order["drawdown"]]) - {None}:
            yield Breach(ORDER, order["id"], f"user {order['created_by']} wrote or approved the drawdown and paid it")


def reversals(survey: Survey) -> Iterator[Breach]:
    """A repayment is reversed exactly when its ledger entry is."""
    taken_back = {entry["reversal_of"] for entry in survey.rows(ENTRY, ("reversal_of",)) if entry["reversal_of"] is not None}
    for row in survey.rows(REPAYMENT, ("status", "voucher")):
        if row["voucher"] is None:
            yield Breach(REPAYMENT, row["id"], "has no ledger entry")
        elif (row["status"] == "reversed") != (row["voucher"] in taken_back):
            yield Breach(REPAYMENT, row["id"], f"is {row['status']}; its entry {row['voucher']} is {'' if row['voucher'] in taken_back else 'not '}reversed")
