"""Who stands in for somebody between two dates (审批代理)."""

from __future__ import annotations

from datetime import date

from metaloom.base.errors import Invalid, NotAllowed, NotFound, NotPossible, Problem
from metaloom.base.messages import message
from metaloom.command import approval_rows, rows
from metaloom.command.approval_people import People
from metaloom.command.context import Context, Saved
from metaloom.command.reach import account_within_reach
from metaloom.command.unit import Unit, perform

SUBSTITUTE, USER = "platform.substitute", "platform.user"


def set_substitute(ctx: Context, user_id: int, substitute_id: int, from_date: date, to_date: date, *, entity: str | None = None,
                   chain: str | None = None, reason: str = "") -> Saved:
    """From ``from_date`` to ``to_date`` (both included) tasks of ``user_id`` open for ``substitute_id``, one hop; for all chains, those
    of an entity, or one. Everybody may do that for the own account, who may edit an account for that account. Tasks that are
    open already stay where they are; the substitute may decide them, too."""
    body = [user_id, substitute_id, from_date, to_date, entity, chain, reason]
    return perform(ctx, "set_substitute", body, lambda unit: set_in(unit, user_id, substitute_id, from_date, to_date, entity, chain, reason), reason=reason)


def set_in(unit: Unit, user_id: int, substitute_id: int, from_date: date, to_date: date, entity: str | None, chain: str | None, reason: str) -> Saved:
    """The same inside a running unit."""
    _refuse_unless_own(unit, user_id)
    problems = _problems(unit, user_id, substitute_id, from_date, to_date, entity, chain)
    if problems:
        raise Invalid(problems)
    values = {"user": user_id, "substitute": substitute_id, "from_date": from_date, "to_date": to_date, "entity": entity or None,
              "chain": chain or None, "reason": reason[:500] or None}
    made = rows.engine_insert(unit, SUBSTITUTE, values, {})
    _let_look(unit, user_id, substitute_id, entity)
    unit.log(unit.entity(SUBSTITUTE), made, None, {name: value for name, value in values.items() if value is not None})
    return Saved(SUBSTITUTE, made, 1, str(made), message("substitute.set", from_=from_date.isoformat(), to=to_date.isoformat()))


def _let_look(unit: Unit, user_id: int, substitute_id: int, entity: str | None) -> None:
    """What waits for the absent person already may be decided by the substitute, who must find it."""
    for case_id in approval_rows.open_tasks_of(unit, user_id):
        subject = approval_rows.subject_of(unit, case_id)
        if subject is not None and entity in (None, "", subject[0]):
            approval_rows.add_parties(unit, case_id, [substitute_id])


def _problems(unit: Unit, user_id: int, substitute_id: int, from_date: date, to_date: date, entity: str | None, chain: str | None) -> list[Problem]:
    people, found = People(unit, USER, {}, user_id), []
    if not people.active([substitute_id]):
        found.append(Problem("substitute", message("approval.unknown_person")))
    elif people.person(user_id) == people.person(substitute_id):
        found.append(Problem("substitute", message("substitute.same")))
    if to_date < from_date:
        found.append(Problem("to_date", message("substitute.dates")))
    if entity and not unit.catalog.chains_of(entity):
        found.append(Problem("entity", message("field.choice")))
    if chain and f"{entity or ''}/{chain}" not in unit.catalog.chains:
        found.append(Problem("chain", message("field.choice")))
    return found


def end_substitute(ctx: Context, id: int) -> Saved:
    """Ends a substitution now; tasks that the substitute has already stay with the substitute."""
    return perform(ctx, "end_substitute", [id], lambda unit: end_in(unit, id))


def end_in(unit: Unit, record_id: int) -> Saved:
    """The same inside a running unit."""
    stored = rows.fetch(unit, SUBSTITUTE, record_id, lock=True)
    if stored is None:
        raise NotFound
    _refuse_unless_own(unit, stored["user"])
    if stored["ended_at"] is not None:
        raise NotPossible(message("substitute.over"))
    version = rows.engine_update(unit, SUBSTITUTE, record_id, {"ended_at": unit.now}, {}, stored["row_version"])
    unit.log(unit.entity(SUBSTITUTE), record_id, {"ended_at": None}, {"ended_at": unit.now})
    return Saved(SUBSTITUTE, record_id, version, str(record_id), message("substitute.ended"))


def _refuse_unless_own(unit: Unit, user_id: int) -> None:
    if unit.ctx.system or user_id == unit.ctx.actor.user_id:
        return
    if not unit.ctx.plan.may(USER, "edit"):
        raise NotAllowed(message("substitute.own_only"))
    account_within_reach(unit, user_id)
