"""A command that moves money: every call adds a payment row and raises what is paid."""


def pay(work, record, given):
    paid = (record["paid"] or 0) + given["amount"]
    work.create("depot.payment", {"sale": record["id"], "amount": given["amount"]})
    work.change("depot.sale", record["id"], {"paid": paid})
    return {"paid": paid}
