"""Payments: routes, orders with *unknown*, debits in batches, receipts to claim, reconciliation, refunds (S1-16, S1-19, S1-20, S1-46)."""
