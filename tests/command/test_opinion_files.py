"""Files that come with an opinion, a question or an answer: whose they are, who sees them, what is refused."""

import pytest

from metaloom.base.errors import Invalid, NotFound, NotPossible
from metaloom.command import case_files, decide_task, file_for, upload_file
from tests.command.guild import REQUEST

PNG = b"\x89PNG\r\n\x1a\n" + b"0" * 40


def sheet(guild, person, name="比价单.png"):
    return upload_file(guild.ctx(person), name, PNG).id


def log_of(guild, case):
    return [(row["kind"], row["data"]["attachments"]) for row in guild.rows("approval_event", case_id=case) if row["data"].get("attachments")]


def test_files_that_come_with_words_are_for_whoever_sees_the_case(guild):
    case = guild.start()
    asked, decided, answered = sheet(guild, "checker", "问.png"), sheet(guild, "checker", "定.png"), sheet(guild, "clerk", "答.png")
    task = guild.open_task(case, "checker")
    guild.move(case, "checker", "ask", task, to=guild.people["clerk"], question="缺一张", attachments=[asked])
    guild.move(case, "clerk", "answer", guild.open_task(case, "clerk"), opinion="在此", attachments=[answered])
    guild.decide(case, "checker", "return", "再看", to="initiator", attachments=[decided])
    assert log_of(guild, case) == [("asked", [asked]), ("answered", [answered]), ("decided", [decided])]
    row = next(t for t in guild.tasks(case) if t["id"] == task)
    assert row["attachments"] == [asked, decided], "what came with earlier words stays"
    found = case_files(guild.ctx("clerk"), case)
    assert {id: (one.name, one.size) for id, one in found.items()} == {asked: ("问.png", 48), decided: ("定.png", 48), answered: ("答.png", 48)}
    for person in ("clerk", "checker"):
        assert file_for(guild.ctx(person), asked).name == "问.png" and file_for(guild.ctx(person), answered).name == "答.png"
    for stranger in ("blind", "clerk2", "judge1"):
        for id in found:
            with pytest.raises(NotFound):
                file_for(guild.ctx(stranger), id)
        with pytest.raises(NotFound):
            case_files(guild.ctx(stranger), case)
    guild.check(case)


@pytest.mark.parametrize("kind", ["transfer", "delegate", "add_before", "add_after"])
def test_whoever_hands_on_sends_files_along(guild, kind):
    case = guild.start()
    file, to = sheet(guild, "checker"), guild.people["master"]
    people = to if kind in ("transfer", "delegate") else [to]
    guild.move(case, "checker", kind, guild.open_task(case, "checker"), to=people, opinion="见附件", attachments=[file])
    assert [files for _, files in log_of(guild, case)] == [[file]]
    assert file_for(guild.ctx("master"), file).name == "比价单.png"
    guild.check(case)


def test_a_delegate_and_an_initiator_send_files_along(guild):
    case = guild.start()
    guild.move(case, "checker", "delegate", guild.open_task(case, "checker"), to=guild.people["master"])
    resolved = sheet(guild, "master")
    guild.decide(case, "master", "resolve", "看过", attachments=[resolved])
    guild.decide(case, "checker", "return", "补充", to="initiator")
    again = sheet(guild, "clerk")
    guild.move(case, "clerk", "resubmit", guild.open_task(case, "clerk"), opinion="已补", attachments=[again])
    assert log_of(guild, case) == [("resolved", [resolved]), ("resubmitted", [again])]
    guild.check(case)


def test_a_file_of_somebody_else_one_that_was_taken_and_too_many_are_refused(guild):
    case = guild.start()
    task, version = guild.open_task(case, "checker"), guild.version(guild.case(case)["record_id"], REQUEST)
    foreign = sheet(guild, "master")
    taken = sheet(guild, "checker")
    other = guild.start()
    guild.decide(other, "checker", attachments=[taken])
    for ids in ([foreign], [taken], [987_654], ["x"], [True], list(range(1, 23))):
        with pytest.raises(Invalid) as refused:
            decide_task(guild.ctx("checker"), task, "pass", "可", attachments=ids, record_version=version)
        assert {p.field for p in refused.value.problems} <= {"attachments", "attachments.0"}, ids
        with pytest.raises(Invalid):
            guild.move(case, "checker", "ask", task, to=guild.people["clerk"], question="?", attachments=ids)
    with pytest.raises(Invalid):
        guild.move(case, "checker", "ask", task, to=guild.people["clerk"], question="?", attachments="12")
    assert guild.log(case).count("decided") == guild.log(case).count("asked") == 0
    assert guild.rows("file", id=foreign)[0]["state"] == "staging"
    assert log_of(guild, other) == [("decided", [taken])]
    with pytest.raises(NotPossible):
        decide_task(guild.ctx("checker"), guild.tasks(other)[0]["id"], "pass", "可", attachments=[sheet(guild, "checker")],
                    record_version=guild.version(guild.case(other)["record_id"]))
