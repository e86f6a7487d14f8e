"""The ledger: business events become balanced entries by the accounting rules of the metadata; nothing is ever changed.

An entry is written as draft, then its legs, then its header is flipped to ``posted``: there the database adds the legs
up and refuses what does not balance. Nothing reads drafts. Corrections are reversals (红字), one per entry.
"""

from metaloom.ledger.balance import AccountBalance, account_balance, entries_of, trial_balance
from metaloom.ledger.chain import head, seal, verify
from metaloom.ledger.post import Cause, Entry, Leg, legs_of, post, rule_for

__all__ = ["AccountBalance", "Cause", "Entry", "Leg", "account_balance", "entries_of", "head", "legs_of", "post", "rule_for", "seal",
           "trial_balance", "verify"]
