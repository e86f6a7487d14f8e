"""Alipay: single transfer, debit under an agreement, refund, query, notices and the daily bill."""
