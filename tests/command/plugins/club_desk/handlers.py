"""Commands of a test plugin, honest ones and one that breaks every promise there is."""

from contextlib import suppress
from decimal import Decimal

from metaloom.base.errors import MetaloomError


def refund(work, member, given):
    work.require(given["amount"] <= member["balance"], ("余额不足", "The balance is too small"))
    entry = work.post("fee_out", {"fee": given["amount"]}, {}, member["company"], work.business_date(), work.business_date(),
                      ("club.member", member["id"]))
    return {"amount": given["amount"], "entry": entry}


def pay_back(work, member, given):
    payout = work.create("club.payout", {"member": member["id"], "amount": given["amount"], "company": member["company"]})
    row = work.get("club.payout", payout)
    work.send("payment_gateway", "till", "pay", {
        "reference": row["payout_no"], "amount": given["amount"], "account_no": member["id_no"], "account_name": member["name"]},
        key=f"pay:{row['payout_no']}", on_result="club_desk.pay_result", subject=("club.payout", payout))
    return {"payout": payout}


def pay_result(work, payout, given):
    work.change("club.payout", payout["id"], {"answers": payout["answers"] + 1})
    if given["outcome"] == "succeeded":
        work.transition("club.payout", payout["id"], "pay")
        day = work.business_date()
        member = work.lock("club.member", payout["member"])
        entry = work.post("fee_out", {"fee": payout["amount"]}, {}, member["company"], day, day, ("club.payout", payout["id"]))
        work.change("club.payout", payout["id"], {"entry": entry})
    elif given["outcome"] == "failed":
        work.transition("club.payout", payout["id"], "refuse")
    elif payout["status"] == "sent":
        work.transition("club.payout", payout["id"], "lose")
        work.send("payment_gateway", "till", "query", {"reference": payout["payout_no"]}, key=f"ask:{payout['payout_no']}",
                  on_result="club_desk.pay_result")


def sweep(work, record, given):
    return {"found": len(work.find("club.member", "balance >= 0"))}


def mischief(work, member, given):
    good = {"amount": Decimal("1.00")}
    day = work.business_date()
    cause = ("club.member", member["id"])
    kind = given["kind"]
    if kind == "raises":
        raise KeyError("oh no")
    if kind == "value_error":
        raise ValueError("the amount has no meaning")
    if kind == "nothing":
        return None
    if kind == "float":
        return {"amount": 1.0}
    if kind == "three_places":
        return {"amount": Decimal("1.001")}
    if kind == "nan":
        return {"amount": Decimal("NaN")}
    if kind == "more":
        return {**good, "more": 1}
    if kind == "list":
        return [1]
    if kind == "commit":
        work.commit()
    if kind == "connection":
        work.conn.commit()
    if kind == "state":
        work.change("club.member", member["id"], {"status": "gone"})
    if kind == "unbalanced":
        work.post("fee_in", {"total": Decimal("3.00"), "fee": Decimal("2.00")}, {}, member["company"], day, day, cause)
    if kind == "negative":
        work.post("fee_out", {"fee": Decimal("-3.00")}, {}, member["company"], day, day, cause)
    if kind == "float_amount":
        work.post("fee_out", {"fee": 3.0}, {}, member["company"], day, day, cause)
    if kind == "no_rule":
        work.post("nonsense", {"fee": Decimal("3.00")}, {}, member["company"], day, day, cause)
    if kind == "gateway":
        work.provider("payment_gateway", "till")
    if kind == "swallows":
        with suppress(MetaloomError):
            work.create("club.fee", {"member": member["id"], "amount": Decimal("-1")})
    if kind == "refuses":
        with suppress(MetaloomError):
            work.refuse("不行 {x}", "no {x}")
    if kind == "twice":
        for _ in range(2):
            work.send("payment_gateway", "till", "query", {"reference": "r"}, key="same")
    if kind == "no_state":
        work.send("payment_gateway", "till", "query", {"reference": "r"}, key="never", while_in=("asleep",))
    return good
