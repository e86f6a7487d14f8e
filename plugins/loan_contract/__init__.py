"""Contracts: made of a drawdown's frozen terms, signed on paper or with a service, kept with their digests."""
