"""Warning rules → alerts: what an evaluation does with one alert, as pure functions.

The set-based evaluation (``command.evaluate_warnings``) does in a few statements for all records what ``next_step`` says for one;
a property test holds the two together, and ``explain`` tells people in these words.
"""

from metaloom.warning.alert import (
    DONE,
    LIVE,
    WAITING,
    Standing,
    Step,
    Verdict,
    days_left,
    escalation_reached,
    floor,
    level_of,
    next_step,
    severity_of,
)

__all__ = ["DONE", "LIVE", "WAITING", "Standing", "Step", "Verdict", "days_left", "escalation_reached", "floor", "level_of", "next_step",
           "severity_of"]
