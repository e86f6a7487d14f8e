"""Warning rules held against the records: by the job for all of them, and for a saved record inside its own transaction.

Both ways run the same statements (``record.alert_rows``), so that a record has one verdict however it is asked.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date
from typing import Any

from metaloom.base.errors import Invalid, Problem
from metaloom.base.messages import message, register
from metaloom.command import rows
from metaloom.command.context import ActionDone, Context
from metaloom.command.environment import COMPANY
from metaloom.command.eyes import reading_as
from metaloom.command.handle_call import system_context
from metaloom.command.notify import Telling, of_template, tell
from metaloom.command.run_command import refuse_unless_admin
from metaloom.command.unit import ENDINGS, Unit, perform
from metaloom.expression import Env
from metaloom.model import Catalog, Receiver, WarningRule
from metaloom.record.alert_query import ALERT, owner_path
from metaloom.record.alert_rows import AlertRows, Ids, Tally, close_orphans, id_range

KIND = "warnings.evaluate"             # of outbox rows that ask for an evaluation
MESSAGE_KIND = "alert"                 # what a person's preferences call messages of this sort
ROWS_AT_ONCE = {"postgresql": 2_000_000, "sqlite": 20_000}
IDS_AT_ONCE = 500
_END = 2**62

register({
    "warnings.unknown": ("没有预警规则 {rule}。", "There is no warning rule {rule}."),
    "warnings.done": ("预警检查完成：新增 {raised}，解除 {closed}。", "Warnings evaluated: {raised} raised, {closed} closed."),
    "warnings.many": ("{label}：新增 {count} 条预警", "{label}: {count} new alerts"),
    "warnings.risen": ("{label}：{count} 条预警级别上升", "{label}: {count} alerts have risen"),
    "warnings.escalated": ("{label}：{count} 条预警逾期未处理", "{label}: {count} alerts are still not handled"),
})


@dataclass
class Summary:
    """What an evaluation did, per rule. ``run`` marks its alerts and its audit rows; ``orphans``: closed because their rule is gone."""

    run: str
    dry_run: bool = False
    rules: dict[str, Tally] = field(default_factory=dict)
    orphans: int = 0
    told: int = 0

    @property
    def total(self) -> Tally:
        found = Tally()
        for tally in self.rules.values():
            found += tally
        return found


class _Undone(Exception):
    """Ends a dry run: everything is counted, nothing is kept."""

    def __init__(self, done: ActionDone) -> None:
        super().__init__()
        self.done = done


def evaluate_warnings(ctx: Context, rules: Sequence[str] | None = None, *, dry_run: bool = False,
                      go_on: Callable[[], None] = lambda: None) -> Summary:
    """Evaluates ``rules`` (addresses; None: all that run by job) over all records. Administrators and jobs.

    Each range of ids is a transaction of its own, with one audit row where it changed something, and may be repeated at any time:
    the same state of the records gives the same alerts. ``dry_run`` counts what would happen; ``go_on`` is called before each range, and what
    it raises ends the evaluation there. Invalid names an unknown rule.
    """
    known = ctx.revision.catalog.warning_rules
    unknown = [rule for rule in rules or () if rule not in known]
    if unknown:
        raise Invalid([Problem("rules", message("warnings.unknown", rule=rule)) for rule in unknown])
    summary = Summary(uuid.uuid4().hex, dry_run)
    chosen = [known[address] for address in rules] if rules is not None else [r for r in known.values() if "job" in r.on or not r.enabled]
    perform(ctx.with_key(None), "evaluate_warnings", None, lambda unit: _begin(unit, summary, everything=rules is None))
    for rule in chosen:
        tally = summary.rules[rule.address] = Tally()
        for ids in _ranges(ctx, rule):
            go_on()
            part = _one_range(ctx, rule, ids, summary)
            tally += Tally(**{name: part[name] for name in Tally().counts()})
            summary.told += part["told"]
    return summary


def _begin(unit: Unit, summary: Summary, *, everything: bool) -> ActionDone:
    """Permission, and an end to alerts of rules that are gone."""
    refuse_unless_admin(unit)
    if everything and not summary.dry_run and ALERT in unit.catalog.entities:
        summary.orphans = close_orphans(unit.conn, unit.revision, now=unit.now)
        if summary.orphans:
            unit.log(unit.entity(ALERT), None, None, {"run": summary.run, "orphans": summary.orphans})
    return ActionDone(ALERT, None, None, message("warnings.done", raised=0, closed=summary.orphans))


def _ranges(ctx: Context, rule: WarningRule) -> Iterator[range]:
    """Id ranges that cover every record, also those to come and those that are gone."""
    with ctx.tenant.read() as conn:
        found = id_range(conn, ctx.revision, rule.entity)
    size = ROWS_AT_ONCE[ctx.revision.dialect]
    low, high = found or (0, 0)
    starts = [0, *range(low + size, high + 1, size)]
    yield from (range(start, stop) for start, stop in zip(starts, [*starts[1:], _END], strict=True))


def _one_range(ctx: Context, rule: WarningRule, ids: range, summary: Summary) -> Mapping[str, int]:
    def work(unit: Unit) -> ActionDone:
        refuse_unless_admin(unit)
        tally, told = _evaluated(unit, rule, ids, summary.run, time_passes=True, quiet=summary.dry_run)
        done = ActionDone(ALERT, None, None, message("warnings.done", raised=tally.raised, closed=tally.closed), {**tally.counts(), "told": told})
        if summary.dry_run:
            raise _Undone(done)
        return done

    try:
        return perform(ctx.with_key(None), "evaluate_warnings", [rule.address, ids.start], work).results
    except _Undone as undone:
        return undone.done.results


def _evaluated(unit: Unit, rule: WarningRule, ids: Ids, run: str, *, time_passes: bool, quiet: bool = False) -> tuple[Tally, int]:
    tally, told = Tally(), 0
    for env, companies in _days(unit, rule):
        alerts = AlertRows(unit.conn, unit.revision, rule, env, now=unit.now, run=run, user_id=unit.ctx.actor.user_id, companies=companies)
        part = alerts.evaluate(ids, time_passes=time_passes)
        if not quiet:
            told += _tell(unit, alerts, env, part)
        tally += part
    if tally.changed:
        unit.log(unit.entity(ALERT), None, None, {"rule": rule.address, "run": run, **{k: n for k, n in tally.counts().items() if n}})
    return tally, told


def _days(unit: Unit, rule: WarningRule) -> Iterator[tuple[Env, list[int | None] | None]]:
    """The business dates of the companies, each with the companies that are at it; one without companies where all agree."""
    if not owner_path(unit.catalog, unit.entity(rule.entity), "company"):
        yield unit.env(), None
        return
    by_day: dict[date | None, list[int | None]] = {}
    for company in [*(row["id"] for row in rows.find(unit, COMPANY, {})), None]:
        by_day.setdefault(unit.env(company).business_date, []).append(company)
    own = {day: companies for day, companies in by_day.items() if companies != [None]}
    if len(own) <= 1:
        yield unit.env(next((companies[0] for companies in own.values()), None)), None
        return
    for companies in by_day.values():
        yield unit.env(companies[0]), companies


# -- telling people ----------------------------------------------------------------------------------------------------------


def _tell(unit: Unit, alerts: AlertRows, env: Env, done: Tally) -> int:
    """One message per person and rule: about the alert itself, or how many there are."""
    told = 0
    if done.raised or done.woken:
        told += _tell_of(unit, alerts, env, alerts.rule.receivers, alerts.run, "warnings.many")
    if done.risen:
        told += _tell_of(unit, alerts, env, [r for r in alerts.rule.receivers if r.level], alerts.rise_run, "warnings.risen")
    for number, step in enumerate(alerts.rule.escalate, 1):
        if done.escalated and step.to:
            told += _tell_of(unit, alerts, env, step.to, alerts.escalation_run(number), "warnings.escalated")
    return told


def _tell_of(unit: Unit, alerts: AlertRows, env: Env, receivers: Sequence[Receiver], run: str, many: str) -> int:
    told, rule = 0, alerts.rule
    for person in dict.fromkeys(alerts.people(receivers, run)):
        reading = reading_as(unit, person)
        if reading is None:
            continue
        own = replace(reading.env(), business_date=env.business_date)       # a right that speaks of the reader means this one
        count, last = alerts.meant_for(reading.ctx.plan, receivers, run, own)
        if count == 0:
            continue
        voice = _voice(alerts, reading, receivers, run, own)
        said = _about(unit, rule, voice, last) if count == 1 and last is not None else Telling(
            kind=_kind(voice), subject=message(many, label=rule.label, count=count), link=_list_of(unit.catalog, rule))
        told += tell(unit, [person], replace(said, channels=voice.channels))
    return told


def _voice(alerts: AlertRows, reading: Unit, receivers: Sequence[Receiver], run: str, env: Env) -> Receiver:
    """How this person is told: as the first of the receivers says that means the person."""
    if len({(r.template, r.channels) for r in receivers}) == 1:
        return receivers[0]
    return next((r for r in receivers if alerts.meant_for(reading.ctx.plan, [r], run, env)[0]), receivers[0])


def _about(unit: Unit, rule: WarningRule, voice: Receiver, alert: int) -> Telling:
    """One alert: in the words of the template, or of the rule."""
    stored = rows.fetch(unit, ALERT, alert) or {}
    template = unit.catalog.messages.get(voice.template)
    said = of_template(template) if template is not None else Telling(kind=MESSAGE_KIND, subject=rule.subject, body=rule.label)
    return replace(said, entity=rule.entity, record_id=stored.get("record_id"), link=f"/e/{ALERT}/{alert}")


def _kind(voice: Receiver) -> str:
    """What preferences call it: the template where there is one, so that a person can choose about each sort of alert."""
    return voice.template or MESSAGE_KIND


def _list_of(catalog: Catalog, rule: WarningRule) -> str:
    """The list that shows the alerts of this rule alone, where a pack has one."""
    own = next((view for view in catalog.lists.values() if view.entity == ALERT and f"'{rule.address}'" in view.filter), None)
    return f"/e/{ALERT}/{own.name}" if own is not None else f"/e/{ALERT}"


# -- a saved record ----------------------------------------------------------------------------------------------------------


def alerts_of_touched(unit: Unit) -> None:
    """After a command wrote records: the rules that watch them, for these records only, in the same transaction."""
    watched = _watched(unit.catalog)
    if not watched:
        return
    touched: dict[str, set[int]] = {}
    for entry in unit.entries:
        if entry.record_id is None:
            continue
        for rule, link in watched.get(entry.entity, ()):
            found = touched.setdefault(rule, set())
            found.update(_pointed_at(unit, entry, link) if link else [entry.record_id])
    for address, ids in touched.items():
        ordered, run = sorted(ids), uuid.uuid4().hex
        for start in range(0, len(ordered), IDS_AT_ONCE):
            _evaluated(unit, unit.catalog.warning_rules[address], ordered[start:start + IDS_AT_ONCE], run, time_passes=False)


def _watched(catalog: Catalog) -> Mapping[str, tuple[tuple[str, str], ...]]:
    """Entity → (rule, link by which its rows point to the record; '' when they are the records)."""
    found: dict[str, tuple[tuple[str, str], ...]] | None = catalog.__dict__.get("_watched_by_warnings")
    if found is None:
        found = {}
        for rule in catalog.warning_rules.values():
            if "save" in rule.on and rule.enabled:
                found[rule.entity] = (*found.get(rule.entity, ()), (rule.address, ""))
                if rule.missing is not None:
                    found[rule.missing.entity] = (*found.get(rule.missing.entity, ()), (rule.address, rule.missing.field))
        catalog.__dict__["_watched_by_warnings"] = found
    return found


def _pointed_at(unit: Unit, entry: Any, link: str) -> Iterator[int]:
    """The records that a row points to now, and pointed to before it was changed."""
    now = rows.fetch(unit, entry.entity, entry.record_id)
    for values in (now, entry.before):
        value = (values or {}).get(link)
        if isinstance(value, int):
            yield value


ENDINGS.append(alerts_of_touched)


# -- the worker --------------------------------------------------------------------------------------------------------------


def handle_evaluation(tenant: Any, row: Any, *, plugins: Any, clock: Any) -> Summary:
    """Carries out one outbox row of kind ``warnings.evaluate``; its payload may name ``rules``."""
    payload = row["payload"] if isinstance(row, Mapping) else row.payload
    row_id = row["id"] if isinstance(row, Mapping) else row.id
    ctx = system_context(tenant, plugins=plugins, clock=clock, request_id=f"{KIND}-{row_id}", run_as="warnings")
    return evaluate_warnings(ctx, (payload or {}).get("rules"))
