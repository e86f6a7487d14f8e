"""Accounts, passwords, roles, files, the business date, publishing."""

from datetime import timedelta

import pytest
from werkzeug.security import check_password_hash, generate_password_hash

from metaloom.access import plan_for
from metaloom.base.errors import Invalid, LoginRequired, NotAllowed, NotFound, NotPossible, Stale
from metaloom.command import (
    assign_role,
    change_record,
    create_record,
    file_for,
    move_business_date,
    password,
    publish,
    revoke_role,
    save_user,
    set_password,
    upload_file,
)
from metaloom.command.password import hashed, matches
from tests.command.club import TODAY, sources

USER = "platform.user"
PNG = b"\x89PNG\r\n\x1a\n" + b"\x00" * 40


def person(club, name, **values):
    return save_user(club.ctx("admin"), None, {"username": name, "display_name": name, "email": f"{name}@example.com", **values},
                     password="Secret2026")


def test_a_password_is_the_login_library_s_own_kind(monkeypatch):
    monkeypatch.setattr(password, "COST", 2**15)
    stored = hashed("Geheim-2026")
    assert check_password_hash(stored, "Geheim-2026")
    assert not check_password_hash(stored, "geheim-2026")
    assert matches(generate_password_hash("Geheim-2026", "scrypt"), "Geheim-2026")
    assert not matches("pbkdf2:sha256:1$a$b", "x")


def test_an_administrator_makes_an_account_and_nobody_else(club):
    made = person(club, "newcomer", company=club.north, org_unit=club.desk)
    row = club.row(USER, made.id)
    assert check_password_hash(row["password"], "Secret2026")
    assert row["last_name"] == "newcomer"
    assert row["display_name__py"]
    with pytest.raises(NotAllowed):
        save_user(club.ctx("chief"), None, {"username": "x", "display_name": "x", "email": "x@example.com"})
    for name in ("newcomer", "NO SPACE"):
        with pytest.raises(Invalid):
            person(club, name, email="second@example.com") if name == "newcomer" else person(club, name)


@pytest.mark.parametrize(("values", "field"), [({"email": "x"}, "email"), ({"company": 10**9}, "company"), ({"password": "x"}, "password"),
                                               ({"locale": "xx"}, "locale"), ({"auth_stamp": 5}, "auth_stamp"), ({"username": ""}, "username")])
def test_bad_values_of_an_account_are_named(club, values, field):
    with pytest.raises(Invalid) as refusal:
        save_user(club.ctx("admin"), None, {"username": "bad", "display_name": "x", "email": "bad@example.com", **values})
    assert field in {p.field for p in refusal.value.problems}


def test_switching_an_account_off_ends_its_sessions_and_its_rights(club):
    made = person(club, "leaver")
    stamp = club.row(USER, made.id)["auth_stamp"]
    with pytest.raises(Stale):
        save_user(club.ctx("admin"), made.id, {"active": False}, None)
    save_user(club.ctx("admin"), made.id, {"active": False}, made.row_version)
    assert club.row(USER, made.id)["auth_stamp"] == stamp + 1
    with club.tenant.read() as conn, pytest.raises(LoginRequired):
        plan_for(conn, club.tenant.revision(), made.id)
    with pytest.raises(Invalid):
        save_user(club.ctx("admin"), made.id, {"username": "other"}, 2)


def test_ones_own_password_needs_the_old_one_another_s_the_right(club):
    made = person(club, "forgetful")
    club.people["forgetful"] = made.id
    assign_role(club.system, made.id, "club.guest")
    for old in (None, "wrong"):
        with pytest.raises(Invalid):
            set_password(club.ctx("forgetful"), made.id, "Another2026", old=old)
    set_password(club.ctx("forgetful"), made.id, "Another2026", old="Secret2026")
    assert check_password_hash(club.row(USER, made.id)["password"], "Another2026")
    with pytest.raises(NotAllowed):
        set_password(club.ctx("chief"), made.id, "Third20260")
    for weak in ("short1", "allletters", "12345678", "forgetful1"):
        with pytest.raises(Invalid):
            set_password(club.ctx("admin"), made.id, weak)
    assert "Another2026" not in repr(club.engine_rows("audit"))


def test_roles_are_given_and_taken_by_those_who_may(club):
    made = person(club, "starter", company=club.north)
    with pytest.raises(NotAllowed):
        assign_role(club.ctx("chief"), made.id, "platform.admin")
    with pytest.raises(Invalid):
        assign_role(club.ctx("admin"), made.id, "club.emperor")
    with pytest.raises(Invalid):
        assign_role(club.ctx("admin"), made.id, "club.clerk", company=10**9)
    with pytest.raises(NotFound):
        assign_role(club.ctx("admin"), 10**9, "club.clerk")
    given = assign_role(club.ctx("admin"), made.id, "club.clerk", company=club.north)
    assert assign_role(club.ctx("admin"), made.id, "club.clerk", company=club.north).id == given.id
    club.people["starter"] = made.id
    member = create_record(club.ctx("starter"), "club.member", club.values())
    with pytest.raises(NotAllowed):
        revoke_role(club.ctx("chief"), given.id)
    revoke_role(club.ctx("admin"), given.id)
    with pytest.raises(NotAllowed):
        change_record(club.ctx("starter"), "club.member", member.id, {"name": "x"}, 1)


def test_an_upload_is_seen_by_its_owner_until_a_record_takes_it(club):
    file = upload_file(club.ctx("clerk"), "../../etc/photo.png", PNG)
    assert file_for(club.ctx("clerk"), file.id).name == "photo.png"
    with pytest.raises(NotFound):
        file_for(club.ctx("chief"), file.id)
    with pytest.raises(Invalid):
        create_record(club.ctx("chief"), "club.member", club.values(photo=[file.id]))
    member = club.new(photo=[file.id])
    assert file_for(club.ctx("chief"), file.id).media_type == "image/png"
    for other in ("stranger", "guest"):
        with pytest.raises(NotFound):
            file_for(club.ctx(other), file.id)
    with pytest.raises(Invalid):
        club.new(photo=[file.id])
    change_record(club.ctx("clerk"), "club.member", member.id, {"photo": [file.id], "name": "x"}, 1)
    with pytest.raises(NotFound):
        file_for(club.ctx("clerk"), 10**9)


@pytest.mark.parametrize(("name", "content"), [
    ("x.png", b"<svg onload=alert(1)>"), ("x.svg", b"<svg/>"), ("x.html", b"<html>"), ("x.txt", b"<!DOCTYPE html>"), ("x.exe", b"MZ"),
    ("x", b"hello"), (".hidden", PNG), ("a\x00.png", PNG), ("x.png", b""), ("x.pdf", PNG), ("", PNG), ("x" * 300 + ".png", PNG)])
def test_what_a_file_is_is_read_from_its_bytes(club, name, content):
    with pytest.raises(Invalid):
        upload_file(club.ctx("clerk"), name, content)


def test_the_business_date_moves_forward_by_command_only(club):
    with pytest.raises(NotAllowed):
        move_business_date(club.ctx("chief"), club.south, TODAY + timedelta(days=1))
    move_business_date(club.ctx("admin"), club.south, TODAY + timedelta(days=1))
    with pytest.raises(NotPossible):
        move_business_date(club.ctx("admin"), club.south, TODAY)
    member = create_record(club.ctx("stranger"), "club.member", club.values())
    assert club.row("club.member", member.id)["joined_on"] == TODAY + timedelta(days=1)
    with pytest.raises(NotFound):
        move_business_date(club.ctx("admin"), 10**9, TODAY)


def test_publishing_is_for_administrators_and_leaves_a_row(club):
    with pytest.raises(NotAllowed):
        publish(club.ctx("chief"), sources())
    made = publish(club.ctx("admin"), sources(), "again")
    assert made.number == 1
    assert club.engine_rows("audit")[-1]["command"] == "publish"
