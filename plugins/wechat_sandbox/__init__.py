"""WeChat template messages that go nowhere: kept in a log of the sandbox's own, with receipts and faults on demand."""
