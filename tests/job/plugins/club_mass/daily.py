"""Takes one fee a day from every member of a chunk."""

import os
import signal
import time

from metaloom.base.text import Text
from metaloom.plugin.mass import Outcome, Posting

UNLUCKY, POISON = 13, 99


def daily(chunk):
    if os.environ.get("CLUB_DEADLY") in map(str, chunk.ids):
        os.kill(os.getpid(), signal.SIGKILL)
    time.sleep(float(os.environ.get("CLUB_SLOW", "0")))
    columns = chunk.columns
    held = {id: Text("会员不吉利", "An unlucky member") for id, rating in zip(chunk.ids, columns["rating"], strict=True) if rating == UNLUCKY}
    if POISON in columns["rating"]:
        raise RuntimeError("poison")
    told = f"day {chunk.day}"
    earlier = chunk.rows("club.fee", "member", ["amount"], where={"memo": told})
    charged = set(earlier["member"])
    rows = [row for row in zip(chunk.ids, columns["fee"], columns["balance"], columns["joined_on"], strict=True) if row[0] not in charged | held.keys()]
    if not rows:
        return Outcome(held=held)
    ids, fees, balances, joined = map(list, zip(*rows, strict=True))
    return Outcome(
        change={"club.member": {"id": ids, "balance": [old + fee for old, fee in zip(balances, fees, strict=True)], "birthday": [one - 7 for one in joined]}},
        add={"club.fee": {"member": ids, "amount": fees, "memo": told}}, post=[Posting("fee_in", {"total": sum(fees), "fee": sum(fees)})],
        held=held, figures={"fees": len(ids)})


def wrong(chunk):
    return Outcome(change={"club.member": {"id": list(chunk.ids), chunk.settings.get("field", "yearly"): [100] * len(chunk.ids)}})


def catch_up(work, member, input):
    work.bring_up("daily", member["id"], work.business_date())
