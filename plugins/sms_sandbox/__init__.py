"""Short messages that go nowhere: kept in a log of the sandbox's own, with receipts, answers and faults on demand."""
