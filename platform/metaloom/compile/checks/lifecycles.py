"""Lifecycles: every state can be reached and left, every transition is fired by somebody."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from metaloom.compile.checks.look import say, spot
from metaloom.compile.context import Context
from metaloom.compile.schema import _did_you_mean
from metaloom.model import Catalog, FieldType, Lifecycle, Step

BY_THE_ENGINE = frozenset({"platform.alert/wake", "platform.alert/close"})  # moved in one statement for many alerts at once


def state_fields_and_lifecycles_pair(catalog: Catalog, context: Context) -> None:
    """A lifecycle moves one field of type state; a field of type state is moved by a lifecycle."""
    for entity in catalog.entities.values():
        lifecycle = catalog.lifecycles.get(entity.address)
        states = [f for f in entity.fields.values() if f.type is FieldType.STATE]
        if lifecycle is not None and lifecycle.field not in [f.name for f in states]:
            where = spot(context, entity.address, "lifecycle", "field")
            say(context, "ML-LIFE-001", where, entity.address, field=lifecycle.field, hint=_did_you_mean(lifecycle.field, [f.name for f in states]))
        for field in states:
            if lifecycle is None or len(states) > 1 and field.name != lifecycle.field:
                say(context, "ML-LIFE-002", field.position, field.address, field=field.name)


def states_are_reachable(catalog: Catalog, context: Context) -> None:
    """``initial``, ``from`` and ``to`` are states; each state is reached from the initial one."""
    for lifecycle in catalog.lifecycles.values():
        _known(context, lifecycle, lifecycle.initial, ("initial",))
        for transition in lifecycle.transitions.values():
            _known(context, lifecycle, transition.to_state, ("transitions", transition.name, "to"))
            for state in transition.from_states:
                _known(context, lifecycle, state, ("transitions", transition.name, "from", state))
        reached = _reached(lifecycle)
        for state in lifecycle.states:
            if lifecycle.initial in lifecycle.states and state not in reached:
                say(context, "ML-LIFE-004", spot(context, lifecycle.entity, "lifecycle", "states", state), lifecycle.entity, state=state)


def _known(context: Context, lifecycle: Lifecycle, state: str, path: tuple[str, ...]) -> None:
    if state not in lifecycle.states:
        where = spot(context, lifecycle.entity, "lifecycle", *path)
        say(context, "ML-LIFE-003", where, lifecycle.entity, state=state, hint=_did_you_mean(state, lifecycle.states))


def _reached(lifecycle: Lifecycle) -> set[str]:
    reached, new = set[str](), {lifecycle.initial}
    while new:
        reached |= new
        new = {t.to_state for t in lifecycle.transitions.values() if reached & set(t.from_states)} - reached
    return reached


def final_means_final(catalog: Catalog, context: Context) -> None:
    """No transition leaves a final state; a state that nothing leaves says that it is final."""
    for lifecycle in catalog.lifecycles.values():
        left = {state: t.name for t in lifecycle.transitions.values() for state in t.from_states}
        for state in lifecycle.states.values():
            where = spot(context, lifecycle.entity, "lifecycle", "states", state.name)
            if state.final and state.name in left:
                say(context, "ML-LIFE-005", where, lifecycle.entity, state=state.name, transition=left[state.name])
            elif not state.final and state.name not in left:
                say(context, "ML-LIFE-006", where, lifecycle.entity, state=state.name)


def transitions_are_fired(catalog: Catalog, context: Context) -> None:
    """A transition that no action and no plugin command fires is dead; without the plugins nothing can be said."""
    if not context.plugins.complete:
        return
    fired = {f for action in catalog.actions.values() for f in _fired(action.entity, action.steps)}
    fired |= {f for chain in catalog.chains.values() for steps in chain.effects.values() for f in _fired(chain.entity, steps)}
    fired |= {f for process in catalog.processes.values() for steps in process.every_steps() for f in _fired(process.entity, steps)}
    fired |= {t for command in context.plugins.commands.values() for t in command.transitions}
    for lifecycle in catalog.lifecycles.values():
        for transition in lifecycle.transitions.values():
            if f"{lifecycle.entity}/{transition.name}" in BY_THE_ENGINE:
                continue
            if f"{lifecycle.entity}/{transition.name}" not in fired and f"*/{transition.name}" not in fired:
                say(context, "ML-LIFE-007", transition.position, lifecycle.entity, transition=transition.name)


def _fired(entity: str, steps: Iterable[Step]) -> Iterator[str]:
    """``<entity>/<transition>`` of every step; a step ``of:`` another record counts for every entity (``*``)."""
    for step in steps:
        if step.verb == "transition":
            yield f"*/{step.name}" if step.target else f"{entity}/{step.name}"
        yield from _fired(entity, (*step.steps, *step.otherwise))
