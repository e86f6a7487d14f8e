"""Steps of a job about a company's books: that they are right (``hold``), that months which are over are closed (``close_months``), and that they
are at the day it is (``move_business_date``)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from decimal import Decimal
from itertools import islice
from typing import Any

from metaloom import ledger
from metaloom.base.errors import NotPossible
from metaloom.base.messages import Message, message, register
from metaloom.command import evaluate, rows
from metaloom.command.close_month import PERIOD, close_in, keep_month, undone
from metaloom.command.environment import COMPANY, business_date
from metaloom.command.findings import SHOWN, DoesNotHold, Finding, finding
from metaloom.command.going import Going, unit_of
from metaloom.command.live import Live
from metaloom.command.move_business_date import move_in
from metaloom.command.notify import notify
from metaloom.command.unit import Unit
from metaloom.model import JobStep
from metaloom.plugin.invariant import checked
from metaloom.record import Survey

MESSAGE = "platform.message"
TRIAL_BALANCE = "trial_balance"
"""The engine's own among the names of a step ``hold``."""

register({
    "job.hold": ("账务核对不符（{number} 项），请先查明原因，再重跑。", "The books do not agree ({number} findings); find out why, then run it again."),
    "job.hold_more": ("核对不符的超过 {number} 项，其余未列出。", "More than {number} things do not agree; the rest is not listed."),
    "job.no_invariant": ("没有名为“{name}”的核对项。", "There is nothing called {name} that could be held."),
    "day.far": ("{company}的营业日期是 {day}，而今天是 {today}，相差超过 {most} 天，未自动推进；请核对服务器时间后由管理员推进营业日期。",
                "The business date of {company} is {day} and today is {today}, more than {most} days ahead: it did not move by itself. "
                "Check the server's clock; an administrator moves the date."),
    "ledger.off": ("试算不平衡：{currency} 借方合计 {debit}，贷方合计 {credit}，差额 {off}。",
                   "The trial balance is off: {debit} debit, {credit} credit in {currency}, difference {off}."),
    "ledger.offered": ("{company} {month} 可以月结：该月各项均已完成，试算平衡，明细与总账一致。",
                       "{month} of {company} can be closed: everything of it is done, the trial balance is zero, the sub-ledger agrees."),
    "ledger.withdrawn": ("{company} {month} 暂不能月结：{first}等 {number} 项未完成，完成后再次提示。",
                         "{month} of {company} cannot be closed now: {number} things are open, the first: {first}; it is offered again once they are done."),
    "ledger.waits": ("{company} {month} 尚未自动月结：{first}等 {number} 项未完成，完成后的下一次日终将自动月结。",
                     "{month} of {company} is not closed yet: {number} things are open, the first: {first}; the day end after they are done closes it."),
})


def hold(going: Going, step: JobStep) -> None:
    """Looks, in one picture that only reads, at the rows of the run's company; DoesNotHold with the account and the difference. What is told of
    another company is for the run of that company."""
    ctx, company = going.ctx, going.run.company_id
    found: list[Finding] = []
    with ctx.tenant.read() as conn:
        for name in step.names:
            for breach in _looked(going, conn, name):
                if not (breach[0] == COMPANY and company is not None and breach[1] != company):
                    found.append(breach)
                if len(found) > SHOWN:
                    raise DoesNotHold(message("job.hold", number=SHOWN + 1), [*found[:SHOWN], (COMPANY, company, message("job.hold_more", number=SHOWN))])
    if found:
        raise DoesNotHold(message("job.hold", number=len(found)), found)


def _looked(going: Going, conn: Any, name: str) -> Iterator[Finding]:
    if name == TRIAL_BALANCE:
        yield from _trial_balance(going, conn)
        return
    found = next(((said, invariant) for said, invariant in going.ctx.plugins.invariants() if f"{said.plugin}.{said.name}" == name), None)
    if found is None:
        raise NotPossible(message("job.no_invariant", name=name))
    said, invariant = found
    survey = Survey(conn, going.ctx.revision, going.run.company_id)
    yield from (finding(breach) for breach in islice(checked(invariant(survey), said.plugin), 10 * SHOWN))


def _trial_balance(going: Going, conn: Any) -> Iterator[Finding]:
    company, unit = going.run.company_id, unit_of(going, conn)
    for one in [company] if company is not None else [row["id"] for row in rows.find(unit, COMPANY, {})]:
        sums: dict[str, tuple[Decimal, Decimal]] = {}
        for account in ledger.trial_balance(conn, unit.tables, company_id=one):
            debit, credit = sums.get(account.currency, (Decimal(0), Decimal(0)))
            sums[account.currency] = debit + account.debit, credit + account.credit
        yield from ((COMPANY, one, message("ledger.off", currency=currency, debit=f"{debit:,.2f}", credit=f"{credit:,.2f}", off=f"{debit - credit:,.2f}"))
                    for currency, (debit, credit) in sums.items() if debit != credit)


def close_months(going: Going, unit: Unit, step: JobStep, people: Sequence[int]) -> None:
    """Closes every month that is over and done where the company wants it so, and says once what keeps one open; else offers the next one to whoever
    may close it on the first day on which it is done, and the company keeps it as its month to close. What was offered is looked at again each day:
    it is taken back when something came up, and offered anew. A run that held something back does neither: what belongs into the month may still be
    missing."""
    run = going.run
    if run.failed:
        return
    stored = [row for row in rows.find(unit, COMPANY, {"active": True}, live_only=True) if run.company_id in (None, row["id"])]
    for company in sorted(stored, key=lambda row: row["id"]):
        today, entity = business_date(unit, company["id"]), unit.entity(COMPANY)
        automatic = bool(step.where) and evaluate.value(unit, entity, step.where, Live(unit, entity, company), unit.env(company["id"]))
        while (month := ledger.next_to_close(unit.conn, unit.tables, company["id"])) is not None and month.last < today:
            if automatic is not True:
                _offer(unit, company, month, people)
                break
            if found := undone(unit, company["id"], month):
                _waits(unit, company, month, people, found)
                break
            close_in(unit, str(month), company["id"])


def move_on(going: Going, unit: Unit, step: JobStep) -> Message | None:
    """Moves the date of the run's company to the day it is in the client's zone, never back. A clock that is further ahead than the step allows is
    believed by nobody but a person: DoesNotHold (F24)."""
    company = rows.fetch(unit, COMPANY, going.run.company_id or 0, lock=True)
    today = unit.now.astimezone(going.ctx.tenant.zone).date()
    if company is None or company["business_date"] is None or company["business_date"] >= today:
        return None
    if (today - company["business_date"]).days > step.most:
        said = message("day.far", company=company["name"], today=today.isoformat(), day=company["business_date"].isoformat(), most=step.most)
        raise DoesNotHold(said, [])
    return move_in(unit, company["id"], today).message


def _offer(unit: Unit, company: Any, month: ledger.Month, people: Sequence[int]) -> None:
    """That the month can be closed, where it is done; that it cannot any more, where it was offered."""
    found = undone(unit, company["id"], month)
    if not found:
        keep_month(unit, company["id"], str(month))
        _tell(unit, company, message("ledger.offered", company=company["name"], month=str(month)), people, month, "")
    elif company["month_to_close"] is not None:
        keep_month(unit, company["id"], None)
        _tell(unit, company, _open("ledger.withdrawn", company, month, found), people, month, "#open")


def _waits(unit: Unit, company: Any, month: ledger.Month, people: Sequence[int], found: Sequence[Finding]) -> None:
    """What keeps a month open that closes by itself, also when it could have been closed before."""
    keep_month(unit, company["id"], None)
    _tell(unit, company, _open("ledger.waits", company, month, found), people, month, "#waits")


def _open(code: str, company: Any, month: ledger.Month, found: Sequence[Finding]) -> Message:
    return message(code, company=company["name"], month=str(month), number=f"{SHOWN}+" if len(found) > SHOWN else len(found), first=found[0][2])


WORDS = ("", "#waits", "#open")
"""What stands behind the link of what is told of a month: an offer, what keeps it open, what took an offer back."""


def _tell(unit: Unit, company: Any, said: Message, people: Sequence[int], month: ledger.Month, word: str) -> None:
    """To each who was not told so last of the month."""
    about = {"entity": COMPANY, "record_id": company["id"]}
    form = f"/e/{PERIOD}/new?month={month}&company={company['id']}"
    before = rows.find(unit, MESSAGE, {**about, "kind": PERIOD, "link": [form + other for other in WORDS]}, order=("id",))
    last = {row["receiver"]: row["link"] for row in before}
    notify(unit, [person for person in people if last.get(person) != form + word], kind=PERIOD, subject=said, link=form + word, **about)


__all__ = ["TRIAL_BALANCE", "close_months", "hold", "move_on"]
