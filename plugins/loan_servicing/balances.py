"""What the books hold of a loan: wanted by its history, standing in the ledger, and the entries that lead from one to the other.

Each amount is the balance of one account for one loan (domain specification §6). Booking never looks at what happened last: it takes the
difference between what is wanted and what stands. Replaying a history that is booked already therefore posts nothing, and a month that is
closed is never touched: what turned out differently is booked today.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from datetime import date
from typing import Final

from .holding import NAMES, RECEIVABLE, TAXED, Books, books_of, vat_in
from .life import Life, Part, Receipt, regained

OURS: Final = (*RECEIVABLE, "coupon", "asset")
THEIRS: Final = ("suspense", "allowance", "gain")
"""Balances that a replay may have to correct, by the side on which they grow."""


class Uneven(ValueError):
    """What stands in the books of a loan cannot have come of its transactions."""


Entry = tuple[str, dict[str, int]]
"""An accounting event and its amounts, all above zero."""

# -- from what stands to what is wanted


def entries(before: Books, after: Books) -> list[Entry]:
    """What to post without any money moving: accrual, penalty, fees due, the transfer of what became late, and corrections of a replay."""
    now, found = dict(asdict(before)), list[Entry]()
    want = asdict(after)
    for step in (_flip, _accrual, _penalty, _fee, _off_book, _overdue, _provision, _vat, _rest):
        posting = step(now, want)
        if posting is not None and any(posting[1].values()):
            found.append((posting[0], {name: amount for name, amount in posting[1].items() if amount}))
    assert now == want, (now, want)
    return found


def _both(name: str, amount: int) -> dict[str, int]:
    """An amount on the way up, or the same taken back."""
    return {name: amount} if amount >= 0 else {f"{name}_back": -amount}


def _flip(now: dict[str, int], want: dict[str, int]) -> Entry | None:
    """转非应计 and back: principal moves, what was earned and not received leaves income for the memorandum account, or returns."""
    stopped, resumed = want["non_accrual"] and not now["non_accrual"], now["non_accrual"] and not want["non_accrual"]
    if stopped and now["normal"] + now["overdue"]:
        amounts = {"principal": now["normal"], "principal_overdue": now["overdue"], "interest": now["interest"],
                   "interest_overdue": now["interest_overdue"]}
        amounts |= _share(now, want, now["interest"] + now["interest_overdue"])
        amounts["off_interest"] = amounts["interest"] + amounts["interest_overdue"]
        now["non_accrual"] += now["normal"] + now["overdue"]
        now["off_interest"] += amounts["off_interest"]
        for name in ("interest", "penalty", "compound"):
            now[f"income_{name}"] -= amounts[f"income_{name}"]
        now["normal"] = now["overdue"] = now["interest"] = now["interest_overdue"] = 0
        return "non_accrual", amounts
    if resumed and (want["normal"] or want["overdue"]) and not now["normal"] + now["overdue"]:
        back = min(now["non_accrual"], want["normal"] + want["overdue"])
        late = min(back, want["overdue"])
        amounts = {"principal": back - late, "principal_overdue": late}
        now["non_accrual"] -= back
        now["normal"] += back - late
        now["overdue"] += late
        return "accrual_resumed", amounts
    return None


def _share(now: dict[str, int], want: dict[str, int], owed: int) -> dict[str, int]:
    """Which income the unpaid part came from: as the wanted books say, the rest from interest."""
    shares = {}
    for name in ("compound", "penalty"):
        shares[f"income_{name}"] = min(owed, max(0, now[f"income_{name}"] - want[f"income_{name}"]))
        owed -= shares[f"income_{name}"]
    return {**shares, "income_interest": owed}


def _accrual(now: dict[str, int], want: dict[str, int]) -> Entry | None:
    amount = want["income_interest"] - now["income_interest"]
    now["income_interest"] += amount
    now["interest"] += amount
    return "accrual", _both("interest", amount)


def _penalty(now: dict[str, int], want: dict[str, int]) -> Entry | None:
    amounts: dict[str, int] = {}
    for name in ("penalty", "compound"):
        amount = want[f"income_{name}"] - now[f"income_{name}"]
        now[f"income_{name}"] += amount
        now["interest_overdue"] += amount
        amounts |= _both(name, amount)
    return "penalty", amounts


def _fee(now: dict[str, int], want: dict[str, int]) -> Entry | None:
    amount = want["income_fee"] - now["income_fee"]
    now["income_fee"] += amount
    now["fee"] += amount
    return "fee", _both("fee", amount)


def _off_book(now: dict[str, int], want: dict[str, int]) -> Entry | None:
    amounts: dict[str, int] = {}
    for name in ("off_interest", "written_off"):
        amount = want[name] - now[name]
        now[name] += amount
        amounts |= _both(name, amount)
    return "memorandum", amounts


def _overdue(now: dict[str, int], want: dict[str, int]) -> Entry | None:
    """Between normal and overdue, as far as the two together stay what they are."""
    amounts: dict[str, int] = {}
    for name, normal, late in (("principal", "normal", "overdue"), ("interest", "interest", "interest_overdue")):
        amount = want[late] - now[late]
        amount = min(amount, max(now[normal], 0)) if amount > 0 else max(amount, min(-now[late], 0))
        now[late] += amount
        now[normal] -= amount
        amounts |= _both(name, amount)
    return "overdue", amounts


def _provision(now: dict[str, int], want: dict[str, int]) -> Entry | None:
    amount = want["impairment"] - now["impairment"]
    now["impairment"] += amount
    now["allowance"] += amount
    return "provision", _both("provision", amount)


def _vat(now: dict[str, int], want: dict[str, int]) -> Entry | None:
    """价税分离: income gives its tax up to what is owed to the state, or takes it back."""
    amounts: dict[str, int] = {}
    for name in TAXED:
        amount = want[f"vat_{name}"] - now[f"vat_{name}"]
        now[f"vat_{name}"] += amount
        amounts |= _both(name, amount)
    return "vat", amounts


def _rest(now: dict[str, int], want: dict[str, int]) -> Entry | None:
    """调整: a replay spread receipts otherwise. Each account to its balance; the whole is even because no money moved."""
    amounts: dict[str, int] = {}
    for name in (*OURS, *THEIRS):
        amount = want[name] - now[name]
        amounts |= {f"{name}_up" if amount > 0 else f"{name}_down": abs(amount)}
        now[name] = want[name]
    up = sum(amounts.get(f"{name}_up", 0) - amounts.get(f"{name}_down", 0) for name in OURS)
    down = sum(amounts.get(f"{name}_up", 0) - amounts.get(f"{name}_down", 0) for name in THEIRS)
    if up != down:
        raise Uneven(f"{up} more is owed to us, {down} more by us")
    return "adjustment", amounts


def receipt_entry(books: Books, receipt: Receipt, before: Life, on: date) -> tuple[Entry, Books]:
    """The entry of a receipt on books that stand as ``books``, and what stands after it. ``before``: the loan without the receipt."""
    now = dict(asdict(books))
    if before.written_off is not None:
        return _recovery(books, receipt, before)
    amounts = dict.fromkeys(("principal", "principal_overdue", "principal_non_accrual", "interest_accrued", "interest_overdue", "fee_due", "interest",
                             "penalty", "compound", "fee", "off_interest"), 0)
    late = {(line.no, line.seq) for line in before.lines if before.late(line, on)}
    for part in receipt.parts:
        _take(now, amounts, part.component, part.amount, late=(part.no, part.line_seq) in late)
    amounts |= {"received": receipt.amount, "from_suspense": receipt.from_suspense, "surplus": amounts.get("surplus", 0) + receipt.surplus}
    now["suspense"] += receipt.surplus - receipt.from_suspense
    return ("repayment", _above_zero(amounts)), Books(**now)


def _recovery(books: Books, receipt: Receipt, before: Life) -> tuple[Entry, Books]:
    """核销后收回: the claim comes back against the allowance and is paid at once; what comes beyond the amount written off is income."""
    paid = receipt.amount + receipt.from_suspense - receipt.surplus
    had, has = regained(before), regained(before, receipt.parts)
    late = {name: has[name] - had[name] for name in TAXED}
    recovered = paid - sum(late.values())
    memo = min(recovered, books.written_off)
    off = min(paid - memo, books.off_interest)
    amounts = {"received": receipt.amount, "from_suspense": receipt.from_suspense, "recovered": recovered, **late, "surplus": receipt.surplus,
               "written_off": memo, "off_interest": off}
    after = replace(books, allowance=books.allowance + recovered, suspense=books.suspense + receipt.surplus - receipt.from_suspense,
                    written_off=books.written_off - memo, off_interest=books.off_interest - off,
                    **{f"income_{name}": getattr(books, f"income_{name}") + amount for name, amount in late.items()})
    return ("recovery", _above_zero(amounts)), after


def _above_zero(amounts: Mapping[str, int]) -> dict[str, int]:
    return {name: amount for name, amount in amounts.items() if amount}


def _take(now: dict[str, int], amounts: dict[str, int], component: str, amount: int, *, late: bool) -> None:
    """From the receivables that stand, the late ones first for what is late; what was not accrued yet is income now."""
    if component == "principal":
        names = (("non_accrual", "principal_non_accrual"), *((("overdue", "principal_overdue"), ("normal", "principal")) if late else
                                                            (("normal", "principal"), ("overdue", "principal_overdue"))))
    elif component == "fee":
        names = (("fee", "fee_due"),)
    elif component == "interest" and not late:
        names = (("interest", "interest_accrued"),)
    else:
        names = (("interest_overdue", "interest_overdue"), *((("interest", "interest_accrued"),) if component == "interest" else ()))
    for account, name in names:
        taken = min(amount, now[account])
        now[account] -= taken
        amounts[name] += taken
        amount -= taken
    if not amount:
        return
    if component == "principal":  # later receipts had repaid it already: it is theirs that is too much now
        now["suspense"] += amount
        amounts["surplus"] = amounts.get("surplus", 0) + amount
        return
    now[f"income_{component}"] += amount
    amounts[component] += amount
    off = min(amount, now["off_interest"]) if component != "fee" else 0
    now["off_interest"] -= off
    amounts["off_interest"] += off


def waiver_entry(before: Books, after: Books) -> Entry | None:
    """减免 as one entry, where it changed nothing but what is owed and what was earned; else the steps of :func:`entries` say it."""
    names = {"interest": "interest_accrued", "interest_overdue": "interest_overdue", "fee": "fee_due", "income_interest": "interest",
             "income_penalty": "penalty", "income_compound": "compound", "income_fee": "fee", "off_interest": "off_interest"}
    changed = {name: amount for name, amount in difference(before, after).items() if not name.startswith("vat_")}
    if not changed or not set(changed) <= set(names) or max(changed.values()) > 0:
        return None
    return "waiver", {names[name]: -amount for name, amount in changed.items()}


def write_off_entry(books: Books, needed: int) -> tuple[list[Entry], Books]:
    """核销: the allowance topped up to what is on the books, then everything against it. ``needed``: what the top-up has to be."""
    amounts = {name: getattr(books, name) for name in RECEIVABLE}
    gross = sum(amounts.values())
    found: list[Entry] = [("provision", {"provision": needed})] if needed else []
    found.append(("write_off", _above_zero({**amounts, "written_off": gross})))
    return found, replace(books, **dict.fromkeys(RECEIVABLE, 0), allowance=books.allowance + needed - gross, impairment=books.impairment + needed,
                          written_off=books.written_off + gross)


def coupon_entry(books: Books, parts: Sequence[Part], life: Life, on: date) -> tuple[Entry, Books]:
    """抵用优惠券: what it pays of the interest is a cost of marketing, not less income."""
    now, amounts = dict(asdict(books)), dict.fromkeys(("interest_accrued", "interest_overdue", "interest", "off_interest"), 0)
    late = {(line.no, line.seq) for line in life.lines if life.late(line, on)}
    for part in parts:
        _take(now, amounts, part.component, part.amount, late=(part.no, part.line_seq) in late)
    paid = sum(part.amount for part in parts)
    now["coupon"] += paid
    return ("coupon", _above_zero({**amounts, "coupon": paid})), Books(**now)


def disposal_entry(books: Books, worth: int, kind: str) -> tuple[Entry, Books]:
    """抵债, 转让: what is on the books leaves them against what was got for it. What is missing goes against the allowance, then it is a loss;
    what is too much is a gain."""
    amounts = {name: getattr(books, name) for name in RECEIVABLE}
    short = sum(amounts.values()) - worth
    used = max(0, min(books.allowance, short))
    amounts |= {"worth": worth, "allowance": used, "impairment": max(0, short - used), "gain": max(0, -short)}
    after = replace(books, **dict.fromkeys(RECEIVABLE, 0), allowance=books.allowance - used, impairment=books.impairment + amounts["impairment"],
                    gain=books.gain + amounts["gain"], asset=books.asset + (worth if kind == "repossess" else 0))
    return (kind, _above_zero(amounts)), after


def difference(before: Books, after: Books) -> Mapping[str, int]:
    """What changed, by account."""
    return {name: getattr(after, name) - getattr(before, name) for name in NAMES if getattr(after, name) != getattr(before, name)}


__all__ = ["NAMES", "RECEIVABLE", "TAXED", "Books", "Entry", "Uneven", "books_of", "coupon_entry", "difference", "disposal_entry", "entries",
           "receipt_entry", "vat_in", "waiver_entry", "write_off_entry"]
