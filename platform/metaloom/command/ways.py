"""Which actions lead a record from one state to another: what moving its card on a board runs."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from datetime import date
from typing import Any

import sqlalchemy as sa

from metaloom.command.available_actions import available_actions
from metaloom.command.context import Context, Offered
from metaloom.model import Action, Catalog, Lifecycle
from metaloom.model.action import Step
from metaloom.record import Row

Ways = Mapping[str, Mapping[str, tuple[str, ...]]]


def ways_between(catalog: Catalog, entity: str) -> Ways:
    """State → state → names of the entity's actions on a record that lead there, in the order of the metadata.

    An action leads where its own transitions lead that hang on no condition, and where an approval puts the record that it starts.
    Nothing for an action that leads back to where it began.
    """
    lifecycle = catalog.lifecycles.get(entity)
    if lifecycle is None:
        return {}
    found: dict[str, dict[str, tuple[str, ...]]] = {}
    for action in catalog.actions_of(entity):
        if action.on == "record":
            for begin, end in _ways_of(catalog, lifecycle, action):
                there = found.setdefault(begin, {})
                there[end] = (*there.get(end, ()), action.name)
    return found


def moves_of(ctx: Context, entity: str, row: Row, conn: sa.Connection, *, day: date | None = None) -> Mapping[str, tuple[Offered, ...]]:
    """State → the buttons that lead the record there from where it is; grey ones with their reason. Only what the person has the right to."""
    lifecycle = ctx.revision.catalog.lifecycles.get(entity)
    ways = ways_between(ctx.revision.catalog, entity).get(row.values.get(lifecycle.field) or "", {}) if lifecycle is not None else {}
    if not ways:
        return {}
    offered = {one.name: one for one in available_actions(ctx, entity, row, conn, day=day)}
    found = {state: tuple(offered[name] for name in names if name in offered) for state, names in ways.items()}
    return {state: moves for state, moves in found.items() if moves}


def _ways_of(catalog: Catalog, lifecycle: Lifecycle, action: Action) -> Iterator[tuple[str, str]]:
    fired = [*_fired(catalog, action.entity, action.steps)]
    first = lifecycle.transitions.get(fired[0]) if fired else None
    for begin in first.from_states if first is not None else ():
        end = _end(lifecycle, begin, fired)
        if end and end != begin:
            yield begin, end


def _fired(catalog: Catalog, entity: str, steps: Iterable[Step]) -> Iterator[str]:
    """The transitions of the record itself, in order."""
    for step in steps:
        if step.target or step.when:
            continue
        if step.verb == "transition":
            yield step.name
        chain: Any = catalog.chains.get(f"{entity}/{step.name}") if step.verb == "start_approval" else None
        if chain is not None:
            begin = next(iter(chain.steps.values()), None)
            yield from _fired(catalog, entity, chain.results.get("started", ()))
            yield from _fired(catalog, entity, begin.entered if begin is not None and not begin.when else ())


def _end(lifecycle: Lifecycle, state: str, fired: Iterable[str]) -> str:
    """Where the transitions lead one after the other; '' where one of them is impossible on the way."""
    for name in fired:
        transition = lifecycle.transitions.get(name)
        if transition is None or state not in transition.from_states:
            return ""
        state = transition.to_state
    return state
