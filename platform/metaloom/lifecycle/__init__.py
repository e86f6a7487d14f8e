"""States and transitions of records, and runs of processes: pure functions over what metadata says."""

from metaloom.lifecycle.machine import editable, fire, initial_state, possible_transitions
from metaloom.lifecycle.process import Happening, begin, happen
from metaloom.lifecycle.run import ENDED, OPEN, RunEvent, RunState, fold, replay

__all__ = ["ENDED", "OPEN", "Happening", "RunEvent", "RunState", "begin", "editable", "fire", "fold", "happen", "initial_state", "possible_transitions",
           "replay"]
