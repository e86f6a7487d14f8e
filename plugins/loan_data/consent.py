"""授权书: who allowed what to be asked, until when. Without one nothing is asked (个人信息保护法; 征信业管理条例 18)."""

from __future__ import annotations

from datetime import date
from decimal import Decimal

from metaloom.plugin.command import Values, Work

CONSENT, SOURCE = "lending.consent", "lending.data_source"
EVERYTHING = ["blacklist", "bureau", "social_security", "carrier", "kyc3", "kyc4"]
NAMES = {"blacklist": ("黑名单", "blacklist"), "bureau": ("征信", "credit bureau"), "social_security": ("社保", "social security"),
         "carrier": ("运营商", "carrier"), "kyc3": ("三要素核验", "three-element check"), "kyc4": ("四要素核验", "four-element check")}


def register(work: Work, application: Values | None, input: Values) -> None:
    """The tick of the application becomes a consent of its own, once; one that was revoked since is not made again by an old tick."""
    assert application is not None
    today = work.business_date(application["company"])
    if standing(work, application["customer"], "blacklist", today) is not None:
        return
    work.require(not work.find(CONSENT, {"application": application["id"]}, limit=1),
                 ("客户已撤回授权或授权已到期，请取得新的授权书并登记后再提交。", "The customer's consent was revoked or ended; register a new one first."))
    work.require(application["consent"], ("请先取得客户的征信查询授权。", "Obtain the customer's consent to data queries first."))
    work.create(CONSENT, {"customer": application["customer"], "application": application["id"], "scopes": EVERYTHING, "signed_on": today,
                          "valid_until": _months_later(today, int(str(work.settings["consent_months"])))})


def permit(work: Work, application: Values | None, input: Values) -> Values:
    """The consent on which the question of this kind may be asked, and its price. Refuses without one."""
    assert application is not None
    source = source_of(work, input["kind"])
    consent = needed(work, application["customer"], input["kind"], work.business_date(application["company"]), source)
    return {"consent": consent, "price": source["price"] if source else Decimal("0.00")}


def source_of(work: Work, kind: str) -> Values | None:
    """The data source in use for this kind of question; the oldest where there are several."""
    found = work.find(SOURCE, {"kind": kind, "enabled": True}, limit=20)
    return next((row for row in found if row.get("archived_at") is None), None)


def needed(work: Work, customer: int, kind: str, today: date, source: Values | None) -> int | None:
    """The id of the consent that covers the question; None where the source asks for none. Refuses when there should be one."""
    if source is not None and source["needs_consent"] is False:
        return None
    found = standing(work, customer, kind, today)
    zh, en = NAMES[kind]
    if found is None:
        work.refuse(f"没有客户对“{zh}”查询的有效授权书，不能查询。请先登记授权书。",
                    f"There is no valid consent of the customer to a {en} query; register one first.")
    assert found is not None
    return int(found["id"])


def standing(work: Work, customer: int, kind: str, today: date) -> Values | None:
    """A consent of this customer that covers ``kind`` today: signed, neither ended nor revoked."""
    return next((row for row in work.find(CONSENT, {"customer": customer, "status": "valid"}, order=("-id",), limit=200)
                 if kind in (row["scopes"] or ()) and row["signed_on"] <= today <= row["valid_until"]), None)


def _months_later(day: date, months: int) -> date:
    year, month = divmod(day.year * 12 + day.month - 1 + months, 12)
    for last in (day.day, 30, 29, 28):
        try:
            return date(year, month + 1, last)
        except ValueError:
            continue
    raise AssertionError("every month has 28 days")
