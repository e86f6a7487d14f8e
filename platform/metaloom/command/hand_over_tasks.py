"""Everything that waits for somebody who leaves goes to somebody else (离职转办), case by case."""

from __future__ import annotations

from metaloom.base.errors import MetaloomError, NotFound, NotPossible
from metaloom.base.messages import message
from metaloom.command import approval_rows
from metaloom.command.approval_case import done, locked_case, make_move
from metaloom.command.bulk import Outcome
from metaloom.command.context import ActionDone, Context
from metaloom.command.decide_task import said
from metaloom.command.reach import account_within_reach
from metaloom.command.unit import Unit, perform


def hand_over_tasks(ctx: Context, from_user: int, to_user: int, reason: str = "") -> tuple[Outcome, ...]:
    """Moves every open task of ``from_user`` to ``to_user``; the outcome of each case, by the case's id.

    The right is to edit both accounts. A case in which the new person may not act (four eyes, may not read the record) stays as it
    is, and its outcome says why.
    """
    if from_user == to_user:
        raise NotPossible(message("approval.hand_over_same"))
    with ctx.tenant.read() as conn:
        unit = Unit(ctx, conn, "look", ctx.clock.now())
        cases = approval_rows.open_tasks_of(unit, from_user)
    perform(ctx.with_key(None), "hand_over_tasks", [from_user, to_user, reason], lambda unit: _noted(unit, from_user, to_user, len(cases)), reason=reason)
    return tuple(_one(ctx, case_id, from_user, to_user, reason) for case_id in cases)


def _noted(unit: Unit, from_user: int, to_user: int, cases: int) -> ActionDone:
    """That it was asked for, and by whom, with the rights looked at under lock."""
    for user in sorted((from_user, to_user)):
        account_within_reach(unit, user)
    unit.log(unit.entity("platform.user"), from_user, None, {"tasks_handed_to": to_user, "cases": cases})
    return ActionDone("platform.user", from_user, None, message("approval.handed_over", count=cases))


def _one(ctx: Context, case_id: int, from_user: int, to_user: int, reason: str) -> Outcome:
    own = ctx.with_key(f"{ctx.idempotency_key}/{case_id}") if ctx.idempotency_key else ctx
    try:
        return Outcome(case_id, perform(own, "approval.hand_over", [case_id, from_user, to_user], lambda unit: _moved(unit, case_id, from_user, to_user),
                                        reason=reason).message)
    except MetaloomError as error:
        return Outcome(case_id, error.message, error)


def _moved(unit: Unit, case_id: int, from_user: int, to_user: int) -> ActionDone:
    case = locked_case(unit, case_id)
    if not case.facts.people.active([to_user]):
        raise NotFound
    make_move(case, "hand_over", unit.ctx.actor.user_id or 0, None, {"from": from_user, "to": to_user})
    return done(case, said("hand_over"))
