"""What people are told: texts filled for one receiver, plain and within the limits of a channel; and the log of messages.

Nothing here reads a record: who may know what was decided by the caller, who hands over words that the receiver may read.
"""

import metaloom.message.words  # noqa: F401  (registers the sentences)
from metaloom.message.box import Box
from metaloom.message.reach import Reach, end_of_quiet, masked_address, same_address
from metaloom.message.texts import fill, one_line, plain, slots_in

__all__ = ["Box", "Reach", "end_of_quiet", "fill", "masked_address", "one_line", "plain", "same_address", "slots_in"]
