"""Which channel carries a payment (S1-46): by what it can do, bank, amount, hours, limits of the day, then priority and fee.

A route is chosen once, before the order is sent. After that the order stays with its channel whatever becomes of it: trying
another one while the first may have paid is how money leaves twice.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, time
from decimal import ROUND_HALF_UP, Decimal
from zoneinfo import ZoneInfo

from metaloom.plugin.command import Values

BEIJING = ZoneInfo("Asia/Shanghai")
CENT = Decimal("0.01")


@dataclass(frozen=True)
class Wish:
    """What is to be carried: ``kind`` payout | collect | refund. ``gateway``: only this provider will do, '' for any."""

    kind: str
    amount: Decimal
    bank: str
    at: datetime
    gateway: str = ""


@dataclass(frozen=True)
class Load:
    """What a channel carried today."""

    amount: Decimal = Decimal(0)
    count: int = 0


def choose(channels: Sequence[Values], loads: dict[int, Load], wish: Wish) -> tuple[Values | None, list[tuple[str, str]]]:
    """The best channel, or None with the reason (zh, en) against each."""
    fit, against = [], []
    for channel in channels:
        why = refusal(channel, loads.get(channel["id"], Load()), wish)
        if why is None:
            fit.append(channel)
        else:
            against.append((f"{channel['name']}：{why[0]}", f"{channel['name']}: {why[1]}"))
    best = min(fit, key=lambda c: (c["priority"], fee_of(c, wish.amount), c["id"]), default=None)
    return best, against


def refusal(channel: Values, load: Load, wish: Wish) -> tuple[str, str] | None:
    """Why a channel cannot carry it; None if it can."""
    if wish.gateway and channel["gateway"] != wish.gateway:
        return "不是该业务的服务商", "another provider is needed"
    if channel["gateway"] == "wechat_pay" and wish.kind != "refund":
        return "微信支付不承接放款与代扣", "WeChat Pay carries neither payouts nor debits"
    if wish.kind not in channel["capabilities"]:
        return "不支持该业务", "does not do this"
    if channel["banks"] and wish.bank not in channel["banks"]:
        return "不支持该银行", "does not serve this bank"
    if wish.amount < channel["amount_min"] or wish.amount > channel["amount_max"]:
        return f"单笔限额 {channel['amount_min']:.2f}–{channel['amount_max']:.2f} 元", f"takes {channel['amount_min']:.2f} to {channel['amount_max']:.2f}"
    if not is_open(channel["opens_at"], channel["closes_at"], wish.at):
        return "不在营业时间", "is closed now"
    if channel["day_amount_max"] is not None and load.amount + wish.amount > channel["day_amount_max"]:
        return "超过日累计限额", "its amount of the day is used up"
    if channel["day_count_max"] is not None and load.count + 1 > channel["day_count_max"]:
        return "超过日累计笔数", "its number of the day is used up"
    return None


def is_open(opens: time | None, closes: time | None, at: datetime) -> bool:
    """Hours of Beijing; from 22:00 to 06:00 goes over midnight. The closing minute is closed."""
    if opens is None or closes is None or opens == closes:
        return True
    now = at.astimezone(BEIJING).time()
    return opens <= now < closes if opens < closes else now >= opens or now < closes


def day_of(at: datetime) -> date:
    """The channels' day, in Beijing."""
    return at.astimezone(BEIJING).date()


def fee_of(channel: Values, amount: Decimal) -> Decimal:
    """What the channel costs, to the cent, half up."""
    fee: Decimal = (channel["fee_fixed"] + amount * channel["fee_rate"]).quantize(CENT, ROUND_HALF_UP)
    return fee
