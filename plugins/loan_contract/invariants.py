"""What must hold of contracts, looked up from the stored rows alone."""

from __future__ import annotations

from collections.abc import Iterable

from metaloom.plugin.invariant import Breach, Survey


def signed_first(survey: Survey) -> Iterable[Breach]:
    """No money left under a version that asks for a contract without one that was signed by then."""
    asked = {row["id"]: row["contract_mode"] for row in survey.rows("lending.loan_product_version", ("contract_mode",))}
    versions = {row["id"]: row["product_version"] for row in survey.rows("lending.credit_limit", ("product_version",))}
    signed = {row["id"] for row in survey.rows("lending.contract", ("status",)) if row["status"] == "signed"}
    for drawdown in survey.rows("lending.drawdown", ("status", "limit", "contract")):
        mode = asked.get(versions.get(drawdown["limit"])) or "none"
        if drawdown["status"] in ("paying", "paid") and mode != "none" and drawdown["contract"] not in signed:
            yield Breach("lending.drawdown", drawdown["id"], f"{drawdown['status']} under contract mode {mode} without a signed contract")


def signed_files(survey: Survey) -> Iterable[Breach]:
    """A signed contract has its file, and one that was signed with the service the digest of it."""
    for row in survey.rows("lending.contract", ("status", "mode", "signed_file", "signed_digest")):
        if row["status"] == "signed" and (not row["signed_file"] or row["mode"] == "esign" and not row["signed_digest"]):
            yield Breach("lending.contract", row["id"], "signed, but its file or digest is missing")
