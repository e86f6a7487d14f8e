"""The ledger: business events become balanced entries by the accounting rules of the metadata; nothing is ever changed.

An entry is written as draft, then its legs, then its header is flipped to ``posted``: there the database adds the legs
up and refuses what does not balance or falls into a closed month. Nothing reads drafts. Corrections are reversals (红字),
one per entry.
"""

from metaloom.ledger.balance import AccountBalance, account_balance, entries_of, trial_balance
from metaloom.ledger.chain import head, seal, verify
from metaloom.ledger.period import Closed, Month, close, lock_books, next_to_close, open_from
from metaloom.ledger.post import Cause, Entry, Leg, legs_of, post, rule_for
from metaloom.ledger.vouchers import Line, Voucher, vouchers

__all__ = ["AccountBalance", "Cause", "Closed", "Entry", "Leg", "Line", "Month", "Voucher", "account_balance", "close", "entries_of", "head", "legs_of",
           "lock_books", "next_to_close", "open_from", "post", "rule_for", "seal", "trial_balance", "verify", "vouchers"]
