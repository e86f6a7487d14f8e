"""A decision that is signed by hand (A06): what is taken for a signature, what is kept of it, what is refused."""

from base64 import b64encode
from hashlib import sha256
from importlib import import_module

import pytest
import sqlalchemy as sa

from metaloom.app.invariants import examine
from metaloom.base.errors import Invalid, NotAllowed, NotFound, NotPossible, Unprocessable
from metaloom.command import case_files, decide_task, decide_tasks, file_for, rows
from metaloom.command.drawing import BYTES_MAX, read_drawing
from metaloom.command.print_opinions import opinions
from metaloom.command.unit import Unit
from tests.command.guild import REQUEST
from tests.pen import chunk, fresh, png, signed, text


@pytest.fixture
def drawn(guild):
    """A case that waits for the checker's hand: (case, task, record version)."""
    case = guild.start("by_hand")
    return case, guild.open_task(case, "checker"), guild.version(guild.case(case)["record_id"])


def decided(guild, case):
    return next(row["data"] for row in guild.rows("approval_event", case_id=case) if row["kind"] == "decided")


@pytest.mark.parametrize("decision", ["pass", "reject", "return"])
def test_no_decision_of_such_a_step_goes_without_a_drawing(guild, drawn, decision):
    case, task, version = drawn
    before, more = guild.log(case), {"to": "initiator"} if decision == "return" else {}
    with pytest.raises(NotPossible) as refused:
        decide_task(guild.ctx("checker"), task, decision, "可", record_version=version, **more)
    assert "手写签名" in refused.value.message.say("zh") and "by hand" in refused.value.message.say("en")
    assert guild.log(case) == before
    picture = fresh()
    decide_task(guild.ctx("checker"), task, decision, "可", record_version=version, signature=text(picture), **more)
    told = decided(guild, case)
    assert told["signature"]["digest"] == sha256(picture).hexdigest() and told["attachments"] == [], "no paper, and none was asked for"
    guild.check(case)


def test_the_drawing_is_a_file_of_the_opinion_for_whoever_sees_the_case(guild, drawn):
    case, task, version = drawn
    picture = fresh()
    decide_task(guild.ctx("checker"), task, "pass", "可", record_version=version, signature=b64encode(picture).decode())
    kept = decided(guild, case)["signature"]
    assert next(t for t in guild.tasks(case) if t["id"] == task)["attachments"] == [kept["file"]]
    for person in ("clerk", "checker", "master"):
        assert file_for(guild.ctx(person), kept["file"]).digest == kept["digest"] == case_files(guild.ctx(person), case)[kept["file"]].digest
    for stranger in ("blind", "clerk2", "judge1"):
        with pytest.raises(NotFound):
            file_for(guild.ctx(stranger), kept["file"])
    with guild.tenant.files.open(kept["digest"]) as stored:
        assert stored.read() == picture


def opinions_of(guild, person, case):
    """The opinions of the case's record as the person would print them."""
    ctx, shown = guild.ctx(person), guild.case(case)
    with guild.tenant.read() as conn:
        unit = Unit(ctx, conn, "look", guild.clock.now())
        return opinions(ctx, rows.reader(unit), conn, unit.entity(REQUEST), shown["record_id"], shown["chain"], "意见", guild.tenant.zone)


def test_a_case_that_cannot_be_shown_is_left_out_of_the_paper(guild, monkeypatch):
    first = guild.start("three")
    guild.decide(first, "checker", "reject", "不同意")
    guild.decide(guild.start("three", guild.case(first)["record_id"]), "checker", "pass", "这次可以")
    assert [line[3] for line in opinions_of(guild, "clerk", first).rows] == ["", "不同意", "", "这次可以"]
    place = import_module("metaloom.command.print_opinions")
    real = place.case_shown

    def gone(ctx, case, conn):
        if case == first:
            raise NotFound
        return real(ctx, case, conn)

    monkeypatch.setattr(place, "case_shown", gone)
    assert [line[3] for line in opinions_of(guild, "clerk", first).rows] == ["", "这次可以"]


def test_opinions_on_paper_say_that_it_was_signed_by_hand(guild, drawn):
    case, task, version = drawn
    decide_task(guild.ctx("checker"), task, "pass", "可", record_version=version, signature=signed())
    guild.decide(case, "master", opinion="同意")
    table = opinions_of(guild, "clerk", case)
    said = [line[3] for line in table.rows]
    assert said == ["", f"可\n已手写签名（SHA-256 {decided(guild, case)['signature']['digest'][:16]}）", "同意"]


def test_a_step_that_asks_for_none_takes_none_and_several_at_once_are_not_signed(guild, drawn):
    case, task, version = drawn
    other = guild.start("three")
    with pytest.raises(NotPossible, match="takes no drawn"):
        decide_task(guild.ctx("checker"), guild.open_task(other, "checker"), "pass", record_version=guild.version(guild.case(other)["record_id"]),
                    signature=signed())
    (outcome,) = decide_tasks(guild.ctx("checker"), {task: version}, "pass", "可")
    assert isinstance(outcome.error, NotPossible)
    with pytest.raises((NotAllowed, NotPossible)):
        decide_task(guild.ctx("clerk"), task, "pass", record_version=version, signature=signed())
    assert guild.rows("file") == [row for row in guild.rows("file") if row["state"] == "attached"], "what was refused left no file"


def test_a_delegate_answers_and_does_not_sign(guild, drawn):
    case, task, version = drawn
    guild.move(case, "checker", "delegate", task, to=guild.people["master"])
    files = guild.rows("file")
    with pytest.raises(NotPossible) as refused:
        guild.decide(case, "master", "resolve", "看过", step="hand", signature=signed())
    assert "委派" in refused.value.message.say("zh") and "delegate" in refused.value.message.say("en") and guild.rows("file") == files
    guild.decide(case, "master", "resolve", "看过", step="hand")
    with pytest.raises(NotPossible, match="signed by hand"):
        guild.decide(case, "checker", step="hand")
    guild.decide(case, "checker", step="hand", signature=signed())
    assert "signature" in decided(guild, case)
    guild.check(case)


def test_the_same_request_again_is_one_decision_and_another_drawing_is_another_request(guild, drawn):
    case, task, version = drawn
    ctx, same = guild.ctx("checker").with_key("hand-1"), signed()
    for _ in range(2):
        decide_task(ctx, task, "pass", "可", record_version=version, signature=same)
    with pytest.raises(Unprocessable):
        decide_task(ctx, task, "pass", "可", record_version=version, signature=signed())
    assert guild.log(case).count("decided") == 1


def test_a_picture_that_came_with_another_task_signs_nothing(guild, drawn):
    case, task, version = drawn
    picture = signed()
    decide_task(guild.ctx("checker"), task, "pass", "可", record_version=version, signature=picture)
    other = guild.start("by_hand")
    files, before = guild.rows("file"), guild.log(other)
    with pytest.raises(Invalid) as refused:
        guild.decide(other, "checker", signature=picture)
    (problem,) = refused.value.problems
    assert problem.field == "signature" and "重新手写" in problem.message.say("zh") and "again" in problem.message.say("en")
    assert (guild.rows("file"), guild.log(other)) == (files, before)
    guild.decide(other, "checker", signature=signed())
    guild.check(other)


def test_a_picture_is_read_only_for_who_may_see_the_task(guild, drawn, monkeypatch):
    _, task, version = drawn
    read = []
    monkeypatch.setattr(import_module("metaloom.command.decide_task"), "read_drawing", lambda given: read.append(given))
    for person, id in (("clerk2", task), ("judge1", task), ("checker", 987_654)):
        with pytest.raises(NotFound):
            decide_task(guild.ctx(person), id, "pass", "可", record_version=version, signature="rubbish")
    assert read == []
    with pytest.raises(NotPossible, match="signed by hand"):
        decide_task(guild.ctx("checker"), task, "pass", "可", record_version=version, signature="rubbish")
    assert read == ["rubbish"]


def test_a_picture_that_is_not_the_one_in_the_log_is_found(guild, drawn):
    case, task, version = drawn
    decide_task(guild.ctx("checker"), task, "pass", "可", record_version=version, signature=signed())
    kept = decided(guild, case)["signature"]
    table = guild.tenant.revision().tables.engine.file

    def broken():
        return [line for looked in examine(guild.tenant, clock=guild.clock) for line in looked.first if f"case {case}:" in str(line)]

    assert broken() == []
    with guild.tenant.write() as conn:
        conn.execute(sa.update(table).where(table.c.id == kept["file"]).values(digest="0" * 64))
    try:
        assert any("signature" in str(line) for line in broken())
    finally:
        with guild.tenant.write() as conn:
            conn.execute(sa.update(table).where(table.c.id == kept["file"]).values(digest=kept["digest"]))
    assert broken() == []
    path = guild.tenant.files.path(kept["digest"])
    right = path.read_bytes()
    for wrong in (fresh(), right + b"\0", b"", None):
        path.unlink(missing_ok=True) if wrong is None else path.write_bytes(wrong)
        assert any("signature" in str(line) for line in broken()), "the bytes are others, or gone"
    path.write_bytes(right)
    assert broken() == []


def stroke(ink: bytes, paper: bytes, colour: int) -> bytes:
    """A sheet of ``paper`` with three strokes of ``ink``, pixel by pixel as they are stored."""
    rows = [b"\0" + b"".join(ink if 10 <= y < 13 and 5 <= x < 115 else paper for x in range(120)) for y in range(40)]
    return png(colour=colour, raw=b"".join(rows))


def gamma(value: int) -> bytes:
    return chunk(b"gAMA", value.to_bytes(4))


TAKEN = {
    "ink on clear paper": stroke(b"\x10\x18\x2b\xff", bytes(4), 6), "grey ink on clear paper": stroke(b"\0\xff", b"\xff\0", 4),
    "half dense ink": stroke(b"\0\0\0\x80", b"\xff\xff\xff\xff", 6), "light ink on dark paper": stroke(b"\xff\0", b"\0\xff", 4),
    "the common gamma": png(more=gamma(45455)),
    "as a pad sends it": png(), "grey": png(colour=0), "grey with density": png(colour=4), "colour without density": png(colour=2),
    **{f"filter {kind}": png(colour=colour, filters=kind) for kind in range(1, 5) for colour in (2, 6)},
    "with a harmless part": png(more=chunk(b"sRGB", b"\0")), "as large as a pad draws": png(600, 180),
}  # fmt: skip


@pytest.mark.parametrize("name", TAKEN)
def test_a_line_is_seen_in_every_picture_that_a_pad_makes(name):
    assert read_drawing(text(TAKEN[name])).png == TAKEN[name]


REFUSED = {
    "no base64": ("data:image/png;base64,§", "not_png"), "words": ("ann", "not_png"), "another picture": ("data:image/jpeg;base64,/9j/4AAQ", "not_png"),
    "nothing behind the head": (text(png()[:8]), "not_png"), "cut": (text(png()[:-20]), "not_png"),
    "a page behind the picture": (text(png(behind=b"<html><script>1</script>")), "not_png"),
    "words inside": (text(png(more=chunk(b"tEXt", b"a\0b"))), "not_png"),
    "an unknown part": (text(png(more=chunk(b"zzZz", b"1"))), "not_png"), "a wrong check sum": (text(png()[:-6] + b"\0\0\0\0\0\0"), "not_png"),
    "a palette": (text(png(colour=3)), "not_png"), "interlaced": (text(png(interlace=1)), "not_png"), "one bit": (text(png(depth=1)), "not_png"),
    "no width": (text(png(0, 4, raw=b"\0" * 4)), "not_png"), "an unknown filter": (text(png(raw=b"\x09" * (40 * (120 * 4 + 1)))), "not_png"),
    "too few pixels": (text(png(raw=b"\0" * 40)), "not_png"), "a bomb": (text(png(raw=b"\0" * 4_000_000)), "not_png"),
    "a sheet too large": (text(png(3_000, 120, raw=b"")), "too_large"), "a height that is a lie": (text(png(1, 2**31, raw=b"")), "too_large"),
    "too long": ("A" * (BYTES_MAX * 2), "too_large"),
    "blank": (text(png(lines=0)), "blank"), "all ink": (text(png(raw=(b"\0" + b"\x10" * 480) * 40)), "blank"),
    "clear": (text(png(raw=b"\0" * (481 * 40))), "blank"),
    "a dot": (text(png(dot=True)), "blank"),
    "white ink on clear paper": (text(stroke(b"\xff" * 4, bytes(4), 6)), "blank"),
    "white ink on white": (text(stroke(b"\xff" * 4, b"\xff\xff\xff\0", 6)), "blank"),
    "black ink without any density": (text(stroke(bytes(4), b"\xff" * 4, 6)), "blank"), "the same in grey": (text(stroke(b"\0\0", b"\xff\xff", 4)), "blank"),
    "ink too thin to be seen": (text(stroke(b"\0\0\0\x20", b"\xff" * 4, 6)), "blank"),
    "grey white ink": (text(stroke(b"\xff\xff", b"\0\0", 4)), "blank"),
    "a gamma that bleaches": (text(png(more=gamma(1))), "not_png"), "other colours": (text(png(more=chunk(b"cHRM", b"\0" * 32))), "not_png"),
    "more pixels than a pad has": (text(png(500, 301)), "too_large"),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_no_signature_is_refused_in_words(name):
    given, why = REFUSED[name]
    with pytest.raises(Invalid) as refused:
        read_drawing(given)
    (problem,) = refused.value.problems
    assert (problem.field, problem.message.code) == ("signature", f"drawing.{why}")
    assert all(problem.message.say(language) for language in ("zh", "en"))


def test_noise_of_any_kind_is_refused_in_words_or_taken_as_it_is():
    """Any bit of a right picture turned over: a refusal, never another error."""
    right = png(40, 20)
    for place in range(0, len(right), 3):
        broken = right[:place] + bytes([right[place] ^ 0x41]) + right[place + 1:]
        with pytest.raises(Invalid):
            read_drawing(text(broken))
