"""The state machine. Whether a transition's own condition holds is found out by the caller and handed in."""

from __future__ import annotations

from metaloom.base.errors import NotPossible
from metaloom.base.messages import message, register, words
from metaloom.base.text import Text
from metaloom.model import Lifecycle, State, Transition

register({
    "lifecycle.unknown_transition": ("没有名为“{name}”的流转。", "There is no transition called “{name}”."),
    "lifecycle.wrong_state": ("当前状态是“{state}”，不能{transition}。", "In the state “{state}” it is not possible to {transition}."),
    "lifecycle.condition": ("条件不满足，不能{transition}。", "The condition for “{transition}” is not met."),
    "lifecycle.not_editable": ("状态为“{state}”的记录不能修改。", "A record in the state “{state}” cannot be changed."),
})


def initial_state(lifecycle: Lifecycle) -> str:
    """The state of a new record."""
    return lifecycle.initial


def fire(lifecycle: Lifecycle, state: str | None, name: str, *, holds: bool = True) -> str:
    """The state after the transition ``name`` from ``state``.

    ``holds``: what the transition's ``when`` gave for the record. Raises NotPossible for an unknown transition, a wrong or
    unknown state, and a condition that does not hold; nothing is ever skipped in silence.
    """
    transition = lifecycle.transitions.get(name)
    if transition is None:
        raise NotPossible(message("lifecycle.unknown_transition", name=name))
    if state not in transition.from_states:
        raise NotPossible(message("lifecycle.wrong_state", state=_label(lifecycle, state), transition=transition.label))
    if not holds:
        raise NotPossible(words(transition.message) if transition.message
                          else message("lifecycle.condition", transition=transition.label))
    return transition.to_state


def possible_transitions(lifecycle: Lifecycle, state: str | None) -> tuple[Transition, ...]:
    """The transitions that leave ``state``, in the order of the metadata."""
    return tuple(t for t in lifecycle.transitions.values() if state in t.from_states)


def editable(lifecycle: Lifecycle | None, state: str | None) -> None:
    """Raises NotPossible, naming the state, when a record in ``state`` must not be changed by a form."""
    if lifecycle is None:
        return
    known = lifecycle.states.get(state or "")
    if known is None or not known.editable:
        raise NotPossible(message("lifecycle.not_editable", state=_label(lifecycle, state)))


def _label(lifecycle: Lifecycle, state: str | None) -> Text:
    known: State | None = lifecycle.states.get(state or "")
    return known.label if known else Text(state or "—", state or "—")
