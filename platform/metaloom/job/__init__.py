"""Work that must still happen: outbox rows claimed under leases, run by handlers, finished exactly once.

The queue is a doorbell, the table is the truth (decision 8). A claim carries a fencing number; whoever finishes a row
must still hold it, so a process that slept through its lease changes nothing. A handler that wants its effect exactly
once calls ``row.settle(conn)`` inside the transaction of the effect.
"""

from metaloom.job.embedded import EmbeddedWorker
from metaloom.job.outbox import GiveUp, Handler, LeaseLost, Row, claim, due_tenants, release, retry_dead
from metaloom.job.run import run_due, worker_name

__all__ = [
    "EmbeddedWorker", "GiveUp", "Handler", "LeaseLost", "Row", "claim", "due_tenants", "release", "retry_dead", "run_due", "worker_name",
]
