"""Queue in, command out: which command answers which kind of outbox row, and the processes that run them."""

from metaloom.worker.handlers import handlers
from metaloom.worker.process import chores, scheduler, start_embedded, work

__all__ = ["chores", "handlers", "scheduler", "start_embedded", "work"]
