"""Why a person may, or may not, do something with an entity or a record: for administrators and the command line (S06)."""

from __future__ import annotations

from datetime import date

from metaloom import expression
from metaloom.access import Actor
from metaloom.command.context import Context
from metaloom.command.environment import business_date, role_names, user_values
from metaloom.command.run_command import refuse_unless_admin
from metaloom.command.unit import Unit
from metaloom.record.access_told import AccessTold, GrantTold, tell_access

__all__ = ["AccessTold", "GrantTold", "explain_access"]


def explain_access(ctx: Context, user: int, entity: str, action: str = "read", id: int | None = None) -> AccessTold:
    """The verdict with every grant that was asked. NotAllowed for whoever does not administer the whole tenant."""
    with ctx.tenant.read() as conn:
        unit = Unit(ctx, conn, "explain_access", ctx.clock.now())
        refuse_unless_admin(unit)

        def environment(actor: Actor) -> expression.Env:
            day: date = business_date(unit, actor.company_id)
            return expression.Env(business_date=day, now=unit.now, user_id=actor.user_id, roles=role_names(actor), user=user_values(actor))

        return tell_access(conn, ctx.revision, user, entity, action, id, environment)
