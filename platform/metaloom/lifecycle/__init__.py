"""States and transitions of records: pure functions over a :class:`metaloom.model.Lifecycle`."""

from metaloom.lifecycle.machine import editable, fire, initial_state, possible_transitions

__all__ = ["editable", "fire", "initial_state", "possible_transitions"]
