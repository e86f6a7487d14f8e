"""The heart of approvals: pure functions over a pinned chain and the log of a case. No clock, no session, no request.

    begin(chain, facts, initiator, at)   → the first events of a case
    decide(chain, state, move, facts)    → the events a move makes, or NotPossible / NotAllowed
    fold(state, event), replay(events)   → what the log says
    legal(chain, state, user, facts)     → what this account may do now
    path(chain, state)                   → the tree for the diagram
"""

from metaloom.approval.event import Event, Move
from metaloom.approval.facts import Candidates, Facts
from metaloom.approval.fold import fold, replay
from metaloom.approval.machine import begin, decide, legal
from metaloom.approval.offer import Offer
from metaloom.approval.path import Node, path
from metaloom.approval.state import CaseState, StepRun, Task

__all__ = [
    "Candidates", "CaseState", "Event", "Facts", "Move", "Node", "Offer", "StepRun", "Task", "begin", "decide", "fold", "legal", "path",
    "replay",
]
