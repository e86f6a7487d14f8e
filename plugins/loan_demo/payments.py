"""What the finance desk of one company does every morning: debits what is due, and reconciles the day before with the channel."""

from __future__ import annotations

from datetime import date
from decimal import Decimal

from metaloom.plugin.demo_data import Stage

from .organisation import Team

CHANNEL = "lending.payment_channel"
MONEY = "lending.other_money"
CAPITAL = Decimal(500_000_000)
BATCH, RUN, ORDER = "lending.debit_batch", "lending.recon_run", "lending.payment_order"


class Payments:
    """One person prepares, another one starts and confirms."""

    def __init__(self, stage: Stage, team: Team) -> None:
        self._finance, self._check = stage.as_user(team.finance), stage.as_user(team.finance_check)
        self.company, self._mark = team.company, f"pay{team.company}"
        self._way = self._finance.create(f"{self._mark}:channel", CHANNEL, {
            "code": f"SX{team.company:02d}", "name": "云帆代收付（沙箱）", "gateway": "sandbox", "capabilities": ["payout", "collect", "refund"],
            "amount_max": Decimal(20_000_000), "fee_fixed": Decimal("0.50")})
        self._check.do(f"{self._mark}:open", CHANNEL, self._way, "enable")

    def fund(self, today: date) -> None:
        """The shareholders pay in what is lent out afterwards, so that the bank account never stands below nothing."""
        made = self._finance.create(f"{self._mark}:capital", MONEY, {"kind": "capital", "amount": CAPITAL, "moved_on": today, "remark": "注册资本实缴"})
        self._finance.do(f"{self._mark}:capital:submit", MONEY, made, "submit_money")
        self._check.do(f"{self._mark}:capital:post", MONEY, made, "post_money")

    def debit(self, today: date, _: date) -> None:
        """A batch of what is due; somebody who agreed to debits owes something."""
        key = f"{self._mark}:{today}"
        batch = self._finance.create(f"{key}:batch", BATCH, {"due_until": today})
        self._finance.do(f"{key}:prepare", BATCH, batch, "prepare")
        self._check.do(f"{key}:start", BATCH, batch, "start")

    def reconcile(self, _: date, before: date) -> None:
        """Asks the channel for its statement of the working day before, where it had something to do."""
        if self._finance.find(ORDER, {"pay_channel": self._way, "success_on": before}, limit=1):
            run = self._finance.create(f"{self._mark}:{before}:recon", RUN, {"pay_channel": self._way, "day": before})
            self._finance.do(f"{self._mark}:{before}:fetch", RUN, run, "fetch")

    def confirm(self, _: date, before: date) -> None:
        """The second person, where everything agrees."""
        for run in self._finance.find(RUN, {"pay_channel": self._way, "day": before, "status": "compared", "open_count": 0}, limit=1):
            self._check.do(f"{self._mark}:{before}:close", RUN, int(run["id"]), "close")
