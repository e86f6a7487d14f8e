"""A contract's life. The service outside is the only witness of a signature: a contract is signed when the service says so to our own
question and gives the file; a notice, a late answer and a repeated one change nothing by themselves."""

from __future__ import annotations

import base64
import hashlib

from metaloom.plugin.command import Values, Work

from .templates import text_for

DRAWDOWN, CONTRACT, SIGNER = "lending.drawdown", "lending.contract", "lending.contract_signer"
STANDING = ("draft", "sent", "signed")
ASK_AFTER = (30, 300, 1800, 3600, 21_600)
DAY = 86_400
"""Seconds before the next question; then daily until a few days after the last day of signing. Notices and people may ask at any time."""
NEVER_SEEN_BEFORE_RESEND = 3


def prepare(work: Work, drawdown: Values | None, input: Values) -> None:
    """After the approval: the contract that the product asks for, sent at once where it is signed electronically."""
    assert drawdown is not None
    mode = _mode(work, drawdown)
    if mode != "none":
        _make(work, drawdown, mode)


def make_contract(work: Work, drawdown: Values | None, input: Values) -> Values:
    """By hand: a new one after a refusal, or one that the product does not ask for (on paper)."""
    assert drawdown is not None
    work.require(not work.find(CONTRACT, {"drawdown": drawdown["id"], "status": list(STANDING)}, limit=1),
                 ("该放款申请已有合同；请先作废原合同。", "The drawdown has a contract already; void it first."))
    mode = _mode(work, drawdown)
    made = _make(work, drawdown, "paper" if mode == "none" else mode)
    return {"contract": made, "contract_no": work.get(CONTRACT, made)["contract_no"]}


def _mode(work: Work, drawdown: Values) -> str:
    limit = work.get("lending.credit_limit", drawdown["limit"])
    return str(work.get("lending.loan_product_version", limit["product_version"])["contract_mode"] or "none")


def _make(work: Work, drawdown: Values, mode: str) -> int:
    """The text with the frozen terms filled in, as a PDF with its digest; the number is in the text, so it is taken first."""
    snapshot = work.get("lending.term_snapshot", drawdown["snapshot"])
    customer = work.get("lending.customer", drawdown["customer"])
    lender = work.get("platform.company", drawdown["company"])["name"]
    made = work.create(CONTRACT, {
        "drawdown": drawdown["id"], "amount": snapshot["amount"], "term_months": snapshot["term_months"], "annual_rate": snapshot["annual_rate"],
        "mode": mode, "template_version": "-", "document_digest": "-",
        "signers": [{"party": "borrower", "name": customer["name"], "sign_order": 1, "sign_status": "waiting"},
                    {"party": "lender", "name": lender, "sign_order": 2, "sign_status": "waiting"}]})
    number = work.get(CONTRACT, made)["contract_no"]
    text = text_for(work, drawdown, snapshot, customer, lender, number)
    content = _drawn(work, number, text.body)
    work.change(CONTRACT, made, {"template": text.template, "template_version": text.version, "document_digest": hashlib.sha256(content).hexdigest(),
                                 "document": [work.file(f"{number}.pdf", content)]})
    work.change(DRAWDOWN, drawdown["id"], {"contract": made})
    if mode == "esign":
        _send(work, work.lock(CONTRACT, made), content)
    return made


def send_for_signature(work: Work, contract: Values | None, input: Values) -> None:
    """A contract that was meant for paper goes to the service after all: the text is made again and must be the same."""
    assert contract is not None
    content = _content(work, contract)
    work.require(hashlib.sha256(content).hexdigest() == contract["document_digest"],
                 ("合同所依据的资料已变化，请作废后重新生成合同。", "What the contract was made of has changed; void it and make a new one."))
    work.change(CONTRACT, contract["id"], {"mode": "esign"})
    _send(work, contract, content)


def _content(work: Work, contract: Values) -> bytes:
    drawdown = work.get(DRAWDOWN, contract["drawdown"])
    snapshot, customer = work.get("lending.term_snapshot", drawdown["snapshot"]), work.get("lending.customer", drawdown["customer"])
    lender = work.get("platform.company", drawdown["company"])["name"]
    text = text_for(work, drawdown, snapshot, customer, lender, contract["contract_no"], template=contract["template"])
    return _drawn(work, contract["contract_no"], text.body)


def _drawn(work: Work, number: str, body: str) -> bytes:
    return work.pdf(f"借款合同 {number}", body, [line for line in map(str.strip, body.splitlines()) if line.startswith("第") and "条" in line[:6]])


def _for_the_service(work: Work, contract: Values) -> bytes:
    """The document of a contract that the service has never seen. Where it is drawn otherwise than at first, what the service gets is
    what is kept: its digest must be the document's."""
    content = _content(work, contract)
    digest = hashlib.sha256(content).hexdigest()
    if digest != contract["document_digest"]:
        work.change(CONTRACT, contract["id"], {"document_digest": digest, "document": [work.file(f"{contract['contract_no']}.pdf", content)]})
    return content


def _send(work: Work, contract: Values, content: bytes, again: int = 0) -> None:
    """One reference for ever: a repetition is the same envelope to the service."""
    number, provider = contract["contract_no"], contract["provider"] or str(work.settings["provider"])
    customer = work.get("lending.customer", contract["customer"])
    lender = work.find(SIGNER, {"contract": contract["id"], "party": "lender"}, limit=1)[0]["name"]
    signers = [{"key": "borrower", "name": customer["name"], "id_no": customer["id_no"] or customer["credit_code"] or "", "mobile": customer["mobile"] or "",
                "order": 1, "seal": False}, {"key": "lender", "name": lender, "id_no": "", "mobile": "", "order": 2, "seal": True}]
    documents = [{"name": f"{number}.pdf", "content": base64.b64encode(content).decode()}]
    work.send("e_signature", provider, "create", {"reference": number, "title": f"借款合同 {number}", "documents": documents, "signers": signers,
                                                  "days": int(str(work.settings["sign_days"]))},
              key=f"esign:{number}" + (f":{again}" if again else ""), on_result="loan_contract.result", subject=(CONTRACT, contract["id"]))
    if not again:
        work.change(CONTRACT, contract["id"], {"provider": provider, "sent_at": work.now})
        work.transition(CONTRACT, contract["id"], "send")


def ask(work: Work, contract: Values | None, input: Values) -> None:
    """Asks the service now: a person's wish, or a notice that came in. Of a contract that has ended there is nothing to ask."""
    assert contract is not None
    if contract["status"] == "sent":
        _query(work, contract, after=0)


def _ask_later(work: Work, contract: Values) -> None:
    asked = contract["questions"]
    if asked < len(ASK_AFTER) + int(str(work.settings["sign_days"])) + 3:
        _query(work, contract, after=ASK_AFTER[asked] if asked < len(ASK_AFTER) else DAY)


def _query(work: Work, contract: Values, after: int) -> None:
    number, turn = contract["contract_no"], contract["questions"] + 1
    work.change(CONTRACT, contract["id"], {"questions": turn})
    work.send("e_signature", contract["provider"], "query", {"reference": number}, key=f"esign-query:{number}:{turn}",
              on_result="loan_contract.result", after_seconds=after, subject=(CONTRACT, contract["id"]))


def result(work: Work, contract: Values | None, input: Values) -> None:
    """What the service said to our question. Only its definite words move the contract."""
    assert contract is not None
    if contract["status"] != "sent":
        return
    outcome = input["outcome"]
    work.change(CONTRACT, contract["id"], {"envelope_no": input["envelope_no"] or contract["envelope_no"], "outcome_text": (input["text"] or "")[:200]})
    _mark(work, contract, (input["signed_by"] or "").split(","))
    if outcome == "signed":
        _download(work, contract)
    elif outcome in ("rejected", "refused"):
        work.transition(CONTRACT, contract["id"], "refuse")
    elif outcome == "expired":
        work.transition(CONTRACT, contract["id"], "expire")
    elif outcome == "revoked":
        work.transition(CONTRACT, contract["id"], "void")
    elif outcome == "never_seen" and contract["questions"] % NEVER_SEEN_BEFORE_RESEND == 0:
        _send(work, contract, _for_the_service(work, contract), again=contract["questions"])
    else:
        _ask_later(work, contract)


def _mark(work: Work, contract: Values, keys: list[str]) -> None:
    for signer in work.find(SIGNER, {"contract": contract["id"], "sign_status": "waiting"}):
        if signer["party"] in keys:
            work.change(SIGNER, signer["id"], {"sign_status": "signed"})


def _download(work: Work, contract: Values) -> None:
    number, turn = contract["contract_no"], contract["questions"] + 1
    work.change(CONTRACT, contract["id"], {"questions": turn})
    work.send("e_signature", contract["provider"], "download", {"reference": number}, key=f"esign-file:{number}:{turn}",
              on_result="loan_contract.signed", subject=(CONTRACT, contract["id"]))


def signed(work: Work, contract: Values | None, input: Values) -> None:
    """The file that proves it. Without one that is what its digest says, the contract is not signed and the service is asked again."""
    assert contract is not None
    if contract["status"] != "sent":
        return
    if input["outcome"] != "signed" or not input["content"] or input["content"] != input["digest"]:
        _ask_later(work, contract)
        return
    _mark(work, contract, ["borrower", "lender"])
    work.change(CONTRACT, contract["id"], {
        "signed_file": [work.file(f"{contract['contract_no']}-已签.pdf", input["content"])], "signed_digest": input["digest"], "signed_at": work.now,
        "evidence_no": input["evidence_no"], "outcome_text": None})
    work.transition(CONTRACT, contract["id"], "sign")


def sign_on_paper(work: Work, contract: Values | None, input: Values) -> None:
    """Both parties signed by hand; the scan is the proof."""
    assert contract is not None
    _mark(work, contract, ["borrower", "lender"])
    work.change(CONTRACT, contract["id"], {"signed_file": list(input["scan"]), "signed_at": work.now, "mode": "paper"})
    work.transition(CONTRACT, contract["id"], "sign")


def void_contract(work: Work, contract: Values | None, input: Values) -> None:
    """Not while money is on its way or gone."""
    assert contract is not None
    drawdown = work.lock(DRAWDOWN, contract["drawdown"])
    work.require(drawdown["status"] not in ("paying", "paid") or drawdown["contract"] != contract["id"],
                 ("已放款或放款处理中的合同不能作废。", "The contract of a loan that is paid out, or being paid out, cannot be voided."))
    _void(work, contract, work.reason)


def void_with_drawdown(work: Work, drawdown: Values | None, input: Values) -> None:
    assert drawdown is not None
    for contract in work.find(CONTRACT, {"drawdown": drawdown["id"], "status": list(STANDING)}, lock=True):
        _void(work, contract, work.reason)


def _void(work: Work, contract: Values, reason: str) -> None:
    if contract["status"] == "sent":
        number = contract["contract_no"]
        work.send("e_signature", contract["provider"], "revoke", {"reference": number, "reason": reason[:200]}, key=f"esign-revoke:{number}")
    work.change(CONTRACT, contract["id"], {"outcome_text": reason[:200]})
    work.transition(CONTRACT, contract["id"], "void")
