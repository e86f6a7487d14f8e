"""机审: asking the third party about an applicant, and what its answer does to the application (S1-08, S1-10)."""

from __future__ import annotations

from metaloom.plugin.command import Values, Work

APPLICATION, QUERY, CUSTOMER = "lending.credit_application", "lending.data_query", "lending.customer"
STATUS = {"found": "success", "not_found": "no_data"}
SCREENING = {"found": "hit", "not_found": "clear"}


def screen(work: Work, application: Values | None, input: Values) -> None:
    """Records the question and sends it; the answer arrives at :func:`screen_result`."""
    assert application is not None
    customer = work.get(CUSTOMER, application["customer"])
    provider = str(work.settings["screening_provider"])
    query = work.create(QUERY, {
        "customer": customer["id"], "application": application["id"], "kind": "blacklist", "provider": provider,
        "asked_on": work.business_date(application["company"]),
    })
    reference = work.get(QUERY, query)["query_no"]
    subject = {"name": customer["name"], "id_no": customer["id_no"] or customer["credit_code"] or "", "mobile": customer["mobile"] or ""}
    work.send("data_provider", provider, "fetch", {"reference": reference, "method": "blacklist", "subject": subject},
              key=f"screen:{query}", on_result="loan_servicing.screen_result", subject=(QUERY, query))


def screen_result(work: Work, query: Values | None, input: Values) -> None:
    """Writes the answer down; the approval that waits for it goes on. No answer is marked as such, never a silent pass. The answer
    to an older question, asked before the application was withdrawn and handed in again, is kept and decides nothing."""
    assert query is not None
    outcome = input["outcome"]
    work.change(QUERY, query["id"], {
        "status": STATUS.get(outcome, "timeout" if input["code"] == "TimeoutError" else "failed"),
        "hit": outcome == "found" if outcome in STATUS else None,
        "detail": input["text"] or "", "answered_at": work.now,
    })
    if query["application"] is None:
        return
    application = work.lock(APPLICATION, query["application"])
    newest = work.find(QUERY, {"application": application["id"]}, order=("-id",), limit=1)
    if application["status"] == "auto_review" and newest[0]["id"] == query["id"]:
        work.change(APPLICATION, application["id"], {"screening": SCREENING.get(outcome, "unknown")})
