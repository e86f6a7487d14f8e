"""Servicing of loans: frozen terms, payout, repayment, settlement, reversal (decision 23). Arithmetic is asked of the calculation door."""
