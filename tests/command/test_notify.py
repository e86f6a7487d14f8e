"""Telling people: each receiver's own words, seen with the transaction or not at all."""

import pytest

from metaloom.base.messages import message
from metaloom.base.text import Text
from metaloom.command import ActionDone
from metaloom.command.notify import notify
from metaloom.command.unit import perform

SUBJECT = Text("会员{title}：{id_no}，{plan.name}", "Member {name}: {id_no}, {plan.name}")


def tell(club, to, **what):
    """Runs ``notify`` in a unit of its own; how many were told."""
    said = {}

    def work(unit):
        said["told"] = notify(unit, to, **{"kind": "test", **what})
        if what.get("link") == "/boom":
            raise RuntimeError("the transaction ends here")
        return ActionDone("", None, None, message("command.done", action="x"))

    perform(club.system, "test", [], work)
    return said["told"]


def told(club, *people):
    ids = {club.people[name]: name for name in people}
    return {ids[row["receiver_id"]]: row for row in club.engine_rows("message", lambda row: row["receiver_id"] in ids)}


def test_each_receiver_reads_only_what_is_theirs(club):
    member = club.new(id_no="11010519491231002X", birthday=None)
    name = club.row("club.member", member.id)["name"]
    people = [club.people[n] for n in ("chief", "clerk", "stranger", "guest")]
    assert tell(club, people, subject=SUBJECT, body=SUBJECT, entity="club.member", record_id=member.id) == 4
    got = told(club, "chief", "clerk", "stranger", "guest")
    assert got["chief"]["subject"].startswith(f"会员{name}：110105")
    assert "11010519491231002X" not in got["chief"]["subject"] + got["clerk"]["subject"], "a masked field was told in full"
    for outside in ("stranger", "guest"):
        assert got[outside]["subject"] == "会员-：-，-" == got[outside]["body"], "somebody outside the scope was told a value"
    assert {row["status"] for row in got.values()} == {"delivered"} and {row["channel"] for row in got.values()} == {"in_app"}


def test_doubles_strangers_and_closed_accounts_get_nothing_more(club):
    who = club.people["clerk"]
    assert tell(club, [who, who, 987_654], subject="一次", kind="once") == 1
    assert len(club.engine_rows("message", lambda row: row["kind"] == "once")) == 1


def test_a_transaction_that_fails_tells_nobody(club):
    with pytest.raises(RuntimeError):
        tell(club, [club.people["clerk"]], subject="x", kind="never", link="/boom")
    assert not club.engine_rows("message", lambda row: row["kind"] == "never")


def test_a_subject_is_one_plain_line(club):
    tell(club, [club.people["clerk"]], subject="a\r\nBcc: x\u202ey\u0000 " + "长" * 300, kind="odd")
    row = club.engine_rows("message", lambda row: row["kind"] == "odd")[-1]
    assert row["subject"].startswith("a Bcc: x y 长") and len(row["subject"]) == 200 and row["subject"].endswith("…")
