"""The same key: the same answer, one effect; another body is refused."""

from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal

import pytest

from metaloom.base.errors import Conflict, Invalid, NotPossible, Unprocessable
from metaloom.command import create_record, run_action

MEMBER = "club.member"


def test_the_same_request_again_answers_the_same_and_does_nothing(club):
    ctx, values = club.ctx("clerk", idempotency_key="k-1"), club.values()
    first = create_record(ctx, MEMBER, values)
    before = club.dump()
    again = create_record(ctx, MEMBER, dict(reversed(values.items())))
    assert club.dump() == before
    assert (again.id, again.row_version, again.title, again.message.say("zh")) == (
        first.id, first.row_version, first.title, first.message.say("zh"))
    assert (first.replayed, again.replayed) == (False, True)


def test_another_body_another_record_or_another_command_under_the_key_is_refused(club):
    member, other = club.active(), club.active()
    ctx = club.ctx("clerk", idempotency_key="k-2")
    version = club.version(member)
    done = run_action(ctx, MEMBER, member, "charge", {"amount": Decimal("5.00")}, version, "due")
    for id, amount, reason in ((member, "5.01", "due"), (other, "5.00", "due"), (member, "5.00", "other")):
        with pytest.raises(Unprocessable):
            run_action(ctx, MEMBER, id, "charge", {"amount": Decimal(amount)}, version, reason)
    with pytest.raises(Unprocessable):
        create_record(ctx, MEMBER, club.values())
    again = run_action(ctx, MEMBER, member, "charge", {"amount": Decimal("5.0")}, version, "due")
    assert again.results == done.results
    assert club.row(MEMBER, member)["balance"] == Decimal("5.00")


def test_keys_of_two_people_never_meet(club):
    values = club.values()
    first = create_record(club.ctx("clerk", idempotency_key="k-3"), MEMBER, values)
    second = create_record(club.ctx("stranger", idempotency_key="k-3"), MEMBER, values)
    assert first.id != second.id


def test_a_refused_request_leaves_its_key_free(club):
    ctx = club.ctx("clerk", idempotency_key="k-4")
    with pytest.raises(Invalid):
        create_record(ctx, MEMBER, club.values(fee=Decimal("0")))
    assert create_record(ctx, MEMBER, club.values()).id


@pytest.mark.parametrize("key", ["", "x" * 201, "a b", "a\r\nb", "ключ"])
def test_a_malformed_key_is_refused(club, key):
    with pytest.raises(Invalid):
        create_record(club.ctx("clerk", idempotency_key=key), MEMBER, club.values())


def test_twenty_at_once_under_one_key_create_one_record(club):
    values = club.values(name="只此一个")
    contexts = [club.ctx("clerk", idempotency_key="k-20") for _ in range(20)]

    def create(ctx):
        try:
            return create_record(ctx, MEMBER, values).id
        except Conflict:
            return "in progress"

    with ThreadPoolExecutor(20) as pool:
        outcomes = set(pool.map(create, contexts))
    assert len(outcomes - {"in progress"}) == 1
    assert club.number_of(MEMBER, name="只此一个") == 1
    assert len(club.engine_rows("idempotency", lambda r: r["key"] == "k-20")) == 1


def test_a_key_and_its_effect_are_one(club):
    member = club.new()
    before = club.dump()
    with pytest.raises(NotPossible):
        run_action(club.ctx("clerk", idempotency_key="k-5"), MEMBER, member.id, "charge", {}, 1, "due")
    assert club.dump() == before
