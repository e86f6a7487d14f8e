"""What the books of a lender hold, told so that two histories can be compared in which different ranges of loans were done together; and what
became of runs that did not go well."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

import sqlalchemy as sa

from tests.plugins.lender import Lender
from tests.plugins.loan_servicing.books import books_agree

NOT_COMPARED = frozenset({"id", "run_id", "row_version", "created_at", "updated_at", "created_by", "updated_by", "deleted_at"})
DAYS = ("loan_day", "loan", "instalment")
MONEY = (*DAYS, "loan_change", "loan_provision", "repayment", "repayment_allocation", "payment_order", "payment_notice", "debit_batch", "drawdown",
         "credit_limit")


def books(shop: Lender, entities: Sequence[str] = DAYS) -> Mapping[str, list[str]]:
    """What was booked by day, event and account, the rows of the entities, and what was ever held back, as text; the books must agree in themselves.

    Not entry by entry: ranges that two workers took, or that one took in halves after a death, book an entry each."""
    books_agree(shop)
    engine = shop.tenant.revision().tables.engine
    with shop.tenant.read() as conn:
        sums: dict[str, Decimal] = defaultdict(Decimal)
        held = [f"{row['record_id']} since {row['business_date']}: {row['sentence']}" for row in conn.execute(sa.select(engine.held_record)).mappings()]
        leg, entry = engine.ledger_leg, engine.ledger_entry
        query = sa.select(leg, entry).join_from(leg, entry, entry.c.id == leg.c.entry_id)
        for row in conn.execute(query.set_label_style(sa.LABEL_STYLE_TABLENAME_PLUS_COL)).mappings():
            said = [row[f"ml_ledger_entry_{name}"] for name in ("booking_date", "value_date", "event", "state", "memo")]
            sums[" ".join(map(str, (*said, row["ml_ledger_leg_side"], row["ml_ledger_leg_account"])))] += row["ml_ledger_leg_amount"]
    entries = sorted(f"{said} {amount}" for said, amount in sums.items())
    return {"held": sorted(held), "entries": entries, **{entity: _rows(shop, entity) for entity in entities}}


def moved(shop: Lender) -> Mapping[str, list[str]]:
    """The books with everything that speaks of money; what was held back meanwhile is for :func:`told` and :func:`followed`."""
    return {name: rows for name, rows in books(shop, MONEY).items() if name != "held"}


def _rows(shop: Lender, entity: str) -> list[str]:
    return sorted(" ".join(f"{name}={value}" for name, value in sorted(row.items()) if name not in NOT_COMPARED and value is not None)
                  for row in shop.rows(entity))


# -- runs that did not go well --------------------------------------------------------------------------------------------


def ended_ill(shop: Lender) -> Sequence[Mapping[str, Any]]:
    """The runs that failed, as a whole or for some records. No run is left open."""
    found = _all(shop, "scheduled_run")
    assert {row["status"] for row in found} <= {"done", "partial", "failed"}, [(row["id"], row["status"]) for row in found]
    return [row for row in found if row["status"] != "done"]


def told(shop: Lender) -> None:
    """Each run that did not go well says in both languages what went wrong, and where, and no other run says anything; a loan that is held back
    says why."""
    errors, steps, ill = defaultdict(list), _all(shop, "run_error"), ended_ill(shop)
    for row in steps:
        errors[row["run_id"]].append(row)
    assert set(errors) <= {run["id"] for run in ill}, f"runs {sorted(errors)} have errors, {[run['id'] for run in ill]} are shown as failed"
    for run in ill:
        said = errors[run["id"]]
        assert said and all(row["sentence"] and row["sentence_en"] for row in said), f"run {run['id']} {run['status']} without a reason"
        if run["status"] == "partial":
            assert len([row for row in said if row["record_id"] is not None]) == run["failed"] > 0, f"run {run['id']} does not name its records"
        else:
            assert [row for row in said if row["record_id"] is None], f"run {run['id']} does not say why it stopped"
    for row in _held(shop):
        assert row["sentence"] and any(row["record_id"] == one["record_id"] for one in steps), f"record {row['record_id']} held back without a word"


def followed(shop: Lender, ill: Sequence[Mapping[str, Any]]) -> None:
    """Each of these runs was followed by one of the same job and company that is done, and nothing is held back any more."""
    runs = _all(shop, "scheduled_run")
    for one in ill:
        later = [row["status"] for row in runs if row["id"] > one["id"] and (row["job_id"], row["company_id"]) == (one["job_id"], one["company_id"])]
        assert later and set(later) == {"done"}, f"run {one['id']} of job {one['job_id']}: then {later}"
    assert not (left := _held(shop)), left


def _held(shop: Lender) -> Sequence[Mapping[str, Any]]:
    return [row for row in _all(shop, "held_record") if row["released_at"] is None]


def _all(shop: Lender, name: str) -> Sequence[Mapping[str, Any]]:
    table = getattr(shop.tenant.revision().tables.engine, name)
    with shop.tenant.read() as conn:
        return list(conn.execute(sa.select(table).order_by(table.c.id)).mappings())
