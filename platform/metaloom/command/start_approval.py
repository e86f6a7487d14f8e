"""Starting an approval case by hand; actions start one with the step ``start_approval``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from metaloom.approval.event import SYSTEM
from metaloom.base.errors import Invalid, NotAllowed, NotFound, NotPossible, Problem
from metaloom.base.messages import message, words
from metaloom.command import rows
from metaloom.command.approval_case import begin_case, done
from metaloom.command.approval_people import People
from metaloom.command.context import ActionDone, Context
from metaloom.command.evaluate import holds
from metaloom.command.live import Live
from metaloom.command.store import check_version, locked_for
from metaloom.command.unit import Unit, perform
from metaloom.model import ApprovalChain

CHOSEN_MAX = 50


def start_approval(ctx: Context, entity: str, id: int, chain: str, chosen: Mapping[str, Sequence[int]] | None = None,
                   row_version: int | None = None) -> ActionDone:
    """Starts a case of the chain about a record. ``chosen``: step → accounts that the initiator picks (发起人自选).

    NotFound for an unknown chain or a record that may not be read; NotAllowed without the role that the chain names;
    NotPossible while the same chain runs already, when its condition is not met, or when nobody could decide.
    """
    body = [entity, id, chain, chosen or {}, row_version]
    return perform(ctx, "start_approval", body, lambda unit: start_in(unit, entity, id, chain, chosen or {}, row_version))


def start_in(unit: Unit, entity: str, record_id: int, name: str, chosen: Mapping[str, Any], row_version: int | None = None) -> ActionDone:
    """The same inside a running unit."""
    chain = unit.catalog.chains.get(f"{entity}/{name}")
    if chain is None:
        raise NotFound
    record = locked_for(unit, entity, record_id, "read")
    if row_version is not None:
        check_version(unit, entity, record, row_version)
    _refuse_unless_startable(unit, chain, record)
    case = begin_case(unit, chain, record, unit.ctx.actor.user_id or SYSTEM, _read_chosen(chosen))
    return done(case, message("approval.started", chain=chain.label))


def _refuse_unless_startable(unit: Unit, chain: ApprovalChain, record: Mapping[str, Any]) -> None:
    rule, user = chain.start, unit.ctx.actor.user_id
    if rule is None:
        raise NotPossible(message("approval.not_by_hand", chain=chain.label))
    if not unit.ctx.system:
        named = user is not None and user in People(unit, chain.entity, record, user).holders(rule.roles) if rule.roles else (
            "edit" in rows.standing_or_none(unit, chain.entity, record["id"]))
        if not named:
            raise NotAllowed(message("approval.may_not_start", chain=chain.label))
    company = record.get("company")
    env = unit.env(company if isinstance(company, int) else None)
    entity = unit.entity(chain.entity)
    if rule.when and not holds(unit, entity, rule.when, Live(unit, entity, record), env):
        raise NotPossible(words(rule.message) if rule.message else message("command.condition", action=chain.label))


def _read_chosen(chosen: Mapping[str, Any]) -> dict[str, tuple[int, ...]]:
    found: dict[str, tuple[int, ...]] = {}
    for step, people in chosen.items():
        if not isinstance(people, (list, tuple)) or len(people) > CHOSEN_MAX or not all(
                isinstance(p, int) and not isinstance(p, bool) and 0 < p < 2**63 for p in people):
            raise Invalid([Problem(f"chosen.{step}", message("field.type"))])
        found[step] = tuple(dict.fromkeys(people))
    return found
