"""A gateway with a memory of its own in a file: the oracle of the tests."""

import json
import time
from dataclasses import asdict
from decimal import Decimal

from metaloom.plugin.payment_gateway import PayReply


class Till:
    faults: list[str] = []

    def __init__(self, environment):
        self.file = environment.folder / "till.json"

    def book(self):
        return json.loads(self.file.read_text()) if self.file.exists() else {}

    def pay(self, request):
        fault = Till.faults.pop(0) if Till.faults else ""
        if fault == "lost_before":
            raise ConnectionResetError("gone")
        book = self.book()
        book.setdefault(request.reference, str(request.amount))
        self.file.write_text(json.dumps(book))
        if fault == "lost_after":
            raise TimeoutError("no reply")
        if fault == "nonsense":
            return "<html>"
        if fault == "slow":
            time.sleep(2)
        if fault == "refused":
            return PayReply(outcome="failed", reference=request.reference, code="no_money")
        return PayReply(outcome="succeeded", gateway_no="T1", reference=request.reference, amount=request.amount)

    def query(self, reference):
        book = self.book()
        if reference in book:
            return PayReply(outcome="succeeded", gateway_no="T1", reference=reference, amount=Decimal(book[reference]))
        return PayReply(outcome="unknown", code="not_found", reference=reference)

    def statement(self, day):
        return ()


assert asdict
