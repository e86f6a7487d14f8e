"""Why a record does, or does not, raise a warning: every clause of the rule with its verdict and the values it read."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any

from metaloom import expression
from metaloom.base.errors import Invalid, NotFound, Problem
from metaloom.base.messages import message
from metaloom.command import rows
from metaloom.command.context import Context
from metaloom.command.evaluate import run
from metaloom.command.live import Live
from metaloom.command.run_command import refuse_unless_admin
from metaloom.command.unit import Unit
from metaloom.expression import BOOL, DATE, Checked, Env
from metaloom.model import Entity, WarningRule
from metaloom.model.warning import LEVELS
from metaloom.record.alert_query import ALERT, checked, owner_path
from metaloom.record.paths import UnknownPath, resolve
from metaloom.warning import Standing, Step, Verdict, level_of, next_step

SECRET = "***"


@dataclass(frozen=True)
class Clause:
    """One part of a rule: ``verdict`` is True, False or None (null: a value is missing); ``values`` by path, secrets starred."""

    what: str
    text: str
    verdict: bool | None
    values: Mapping[str, Any]


@dataclass(frozen=True)
class Explained:
    """``next``: what an evaluation by the job would do with the alert of this cause; ``alert``: the one that stands now."""

    rule: WarningRule
    record_id: int
    business_date: date
    clauses: tuple[Clause, ...]
    verdict: Verdict
    level: str
    alert: Mapping[str, Any] | None
    next: Step


def explain_warning(ctx: Context, rule: str, record_id: int) -> Explained:
    """Administrators and the command line. Invalid for an unknown rule, NotFound for an unknown record."""
    found = ctx.revision.catalog.warning_rules.get(rule)
    if found is None:
        raise Invalid([Problem("rule", message("warnings.unknown", rule=rule))])
    with ctx.tenant.read() as conn:
        unit = Unit(ctx, conn, "explain_warning", ctx.clock.now())
        refuse_unless_admin(unit)
        values = rows.fetch(unit, found.entity, record_id)
        if values is None:
            raise NotFound()
        return _explained(unit, found, values)


def _explained(unit: Unit, rule: WarningRule, values: Mapping[str, Any]) -> Explained:
    entity = unit.entity(rule.entity)
    live = Live(unit, entity, values)
    env = unit.env(_company(unit, entity, live))
    assert env.business_date is not None
    clauses = tuple(_clauses(unit, rule, live, env))
    verdict = verdict_of(unit, rule, values)
    alert = _standing_row(unit, rule, values["id"], verdict.cause)
    return Explained(rule, values["id"], env.business_date, clauses, verdict, LEVELS[verdict.severity], alert,
                     next_step(rule, _standing(alert), verdict, env.business_date))


def verdict_of(unit: Unit, rule: WarningRule, values: Mapping[str, Any]) -> Verdict:
    """What the rule says of a record, computed in Python: the job's verdict, found another way."""
    entity = unit.entity(rule.entity)
    live = Live(unit, entity, values)
    env = unit.env(_company(unit, entity, live))

    def ask(text: str, expect: Any = BOOL) -> Any:
        return run(checked(unit.catalog, rule.entity, text, expect), live, env)

    holds = rule.enabled and values.get("archived_at") is None and ask(rule.when) is True and not _present(unit, rule, live, env)
    due = ask(rule.due, DATE) if rule.due else None
    cause = ask(rule.told_apart_by, None) if rule.told_apart_by else None
    return Verdict(holds, level_of(rule, lambda text: ask(text) is True), due, _text(cause))


def _text(cause: Any) -> str:
    if cause is None:
        return ""
    return cause.isoformat() if isinstance(cause, date) else str(cause["id"] if isinstance(cause, Mapping) else cause)


def _present(unit: Unit, rule: WarningRule, live: Live, env: Env) -> bool:
    """Whether there is a row that makes the warning needless."""
    return rule.missing is not None and any(_counts(unit, rule, row, live, env) for row in _candidates(unit, rule, live))


def _candidates(unit: Unit, rule: WarningRule, live: Live) -> list[Any]:
    assert rule.missing is not None
    return rows.find(unit, rule.missing.entity, {rule.missing.field: live.raw["id"]}, live_only=True)


def _counts(unit: Unit, rule: WarningRule, row: Mapping[str, Any], live: Live, env: Env) -> bool:
    absence = rule.missing
    assert absence is not None
    other = unit.entity(absence.entity)
    if absence.where and run(checked(unit.catalog, other.address, absence.where, BOOL), Live(unit, other, row), env) is not True:
        return False
    if not absence.at:
        return True
    since = run(checked(unit.catalog, rule.entity, absence.since, None), live, env)
    return row[absence.at] is not None and since is not None and row[absence.at] >= since


def _company(unit: Unit, entity: Entity, live: Live) -> int | None:
    found: Any = live
    for name in owner_path(unit.catalog, entity, "company"):
        found = found[name] if found is not None else None
    company = found["id"] if isinstance(found, Mapping) and not isinstance(found, Live) else found
    return company if isinstance(company, int) else None


# -- clause by clause ----------------------------------------------------------------------------------------------------------


def _clauses(unit: Unit, rule: WarningRule, live: Live, env: Env) -> Iterator[Clause]:
    for text in conjuncts(rule.when):
        yield _clause(unit, rule, "when", text, live, env)
    if rule.missing is not None:
        found = [row for row in _candidates(unit, rule, live) if _counts(unit, rule, row, live, env)]
        dated = f"{rule.missing.at} >= {rule.missing.since}" if rule.missing.at else ""
        parts = [f"no {rule.missing.entity} by {rule.missing.field}", rule.missing.where, dated]
        yield Clause("missing", ", ".join(filter(None, parts)), not found, {rule.missing.entity: ", ".join(f"#{row['id']}" for row in found) or None})
    for level in rule.levels:
        yield _clause(unit, rule, level.level, level.when, live, env)


def _clause(unit: Unit, rule: WarningRule, what: str, text: str, live: Live, env: Env) -> Clause:
    condition = checked(unit.catalog, rule.entity, text, BOOL)
    return Clause(what, text, run(condition, live, env), {".".join(path): _value(unit, rule, condition, path, live) for path in sorted(condition.paths)})


def _value(unit: Unit, rule: WarningRule, condition: Checked, path: tuple[str, ...], live: Live) -> Any:
    """What the clause read at ``path``; a masked or encrypted field is not said, rows of children are not listed."""
    try:
        field = resolve(unit.catalog, unit.entity(rule.entity), ".".join(path)).field
    except UnknownPath:
        return "…"
    if field.mask or field.encrypted:
        return SECRET
    found: Any = live
    for name in path:
        found = found[name] if found is not None else None
    return f"#{found['id']}" if isinstance(found, Mapping) else found


def conjuncts(text: str) -> list[str]:
    """The parts of a condition that ``and`` joins at its top; the whole where it is no such chain."""
    if expression.parse(text).kind != "and":
        return [text]
    parts, depth, quote, start, index = [], 0, "", 0, 0
    while index < len(text):
        char = text[index]
        if quote:
            quote = "" if char == quote else quote
        elif char in "'\"":
            quote = char
        elif char in "([":
            depth += 1
        elif char in ")]":
            depth -= 1
        elif depth == 0 and text[index:index + 3] == "and" and (text[index - 1:index] + text[index + 3:index + 4]).strip("()[] \n\t") == "":
            parts.append(text[start:index].strip())
            start, index = index + 3, index + 2
        index += 1
    return [*parts, text[start:].strip()]


# -- the alert that stands -------------------------------------------------------------------------------------------------------


def _standing_row(unit: Unit, rule: WarningRule, record_id: int, cause: str) -> Mapping[str, Any] | None:
    found = rows.find(unit, ALERT, {"rule": rule.address, "record_id": record_id, "cleared_at": None}, order=["-id"])
    return next((row for row in found if row["cause"] == cause), found[0] if found else None)


def _standing(row: Mapping[str, Any] | None) -> Standing | None:
    if row is None:
        return None
    return Standing(row["status"], row["severity"], row["cause"], row["first_raised_on"], row["escalated"], row["handled_on"],
                    row["snoozed_until"], row["handler"])
