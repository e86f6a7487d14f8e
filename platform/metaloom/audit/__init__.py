"""Who changed what, when, from what to what, through which door, under which metadata revision.

Rows are written in the transaction of the change and are never changed (a database trigger refuses it). A job seals them
afterwards into a hash chain; ``verify`` names the first row that no longer fits.
"""

from metaloom.audit.chain import seal, verify
from metaloom.audit.entry import Entry, masked_values, typed, untyped, write
from metaloom.audit.once import earlier_answer, keep_answer

__all__ = ["Entry", "earlier_answer", "keep_answer", "masked_values", "seal", "typed", "untyped", "verify", "write"]
