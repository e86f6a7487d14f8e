"""What the sandbox bureau says about whom."""

import pytest

from metaloom.plugin import registry
from metaloom.plugin.data_provider import DataRequest

LISTED = ("110101199003070011", "330106198506122352", "440305197809234488")


@pytest.fixture(scope="module")
def bureau():
    return registry.load().provider("data_provider", "sandbox")


def ask(bureau, id_no: str, mobile: str = "13812345678"):
    return bureau.fetch(DataRequest(reference="CX1", method="blacklist", subject={"name": "某人", "id_no": id_no, "mobile": mobile}))


@pytest.mark.parametrize("id_no", LISTED)
def test_listed_people_are_found_with_a_reason(bureau, id_no: str) -> None:
    reply = ask(bureau, id_no)
    assert (reply.outcome, reply.values["level"], reply.reference) == ("found", "high", "CX1")
    assert reply.text == reply.values["reason"]


@pytest.mark.parametrize("id_no", ["110101199003070038", "", LISTED[0][:17]])
def test_anybody_else_is_not_found(bureau, id_no: str) -> None:
    assert ask(bureau, id_no).outcome == "not_found"


@pytest.mark.parametrize("ending", ["0000", "0001"])
def test_an_accident_is_never_a_good_answer(bureau, ending: str) -> None:
    reply = ask(bureau, LISTED[0], "1381234" + ending)
    assert (reply.outcome, reply.reference) == ("unavailable", "CX1")


def test_another_question_is_an_accident_too(bureau) -> None:
    assert bureau.fetch(DataRequest(reference="CX1", method="horoscope")).outcome == "unavailable"


@pytest.mark.parametrize("kind", ["bureau", "social_security", "carrier", "kyc3", "kyc4", "face"])
def test_a_report_is_the_same_for_the_same_person_and_another_for_another(bureau, kind: str) -> None:
    def about(id_no: str):
        return bureau.fetch(DataRequest(reference="CX1", method=kind, subject={"name": "某人", "id_no": id_no, "mobile": "13812345678"}))

    first = about("110101199003071233")
    assert first.outcome == "found" and first == about("110101199003071233") and first.raw
    if kind == "bureau":
        assert first.values != about("33010619850612235X").values
        assert about("330106198506122358").outcome == "not_found"


def test_a_mobile_of_somebody_else_does_not_match(bureau) -> None:
    reply = bureau.fetch(DataRequest(reference="CX1", method="kyc3", subject={"name": "某人", "id_no": "110101199003071233", "mobile": "13812340002"}))
    assert reply.values["result"] == "mismatch"
