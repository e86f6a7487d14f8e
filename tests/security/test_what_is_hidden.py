"""What a person may not read is told by no other door either."""

import pytest

VERDICT = "ZZ-verdict"


@pytest.fixture
def buyer(people):
    """A buyer of the chief's with a verdict that the packer may not see."""
    id = people["chief"].buyer(name="欧阳无名", secret=VERDICT, mobile="13812345678")
    return f"/depot.buyer/{id}", id


def test_a_right_guess_at_a_hidden_value_is_answered_like_a_wrong_one(people, buyer):
    """A value sent back as it was is let through, but only to those who could see what it was."""
    path, _ = buyer
    packer = people["packer"]
    answers = [packer.patch(path, {"secret": guess}, If_Match=packer.etag(path)) for guess in (VERDICT, "ZZ-wrong")]
    assert [a.status_code for a in answers] == [400, 400]
    assert answers[0].get_data() == answers[1].get_data()
    masked = [packer.patch(path, {"name": guess}, If_Match=packer.etag(path)) for guess in ("欧阳无名", "欧阳有名")]
    assert [a.status_code for a in masked] == [400, 400] and masked[0].get_data() == masked[1].get_data()


def test_what_one_may_read_can_be_sent_back_as_it_was(world, buyer):
    from metaloom.command import change_record

    ctx = world.ctx("chief")
    with ctx.tenant.read() as conn:
        table = ctx.revision.tables.of("depot.buyer")
        stored = conn.execute(table.select().where(table.c.id == buyer[1])).mappings().one()
    saved = change_record(ctx, "depot.buyer", buyer[1], {"code": stored["code"], "secret": "ZZ-new"}, stored["row_version"])
    assert saved.row_version == 2 and "欧阳无名" in saved.title


def test_a_related_tab_does_not_tell_by_a_link_that_is_hidden(people, world, buyer):
    path, id = buyer
    people["chief"].sale(buyer=id)
    assert len(people["chief"].get(f"{path}/related/sales").json["items"]) == 1
    answer = people["packer"].get(f"{path}/related/sales")
    assert answer.status_code != 200 or answer.json["items"] == []
    browser = world.browser("packer")
    assert "tab/sales" not in browser.get(f"/e{path}").text
    assert browser.get(f"/e{path}/tab/sales").status_code == 404


def test_no_sentence_of_the_screens_names_a_record_to_those_who_see_its_name_masked(world, buyer):
    path, id = buyer
    browser = world.browser("packer")
    version = browser.get(f"/e{path}/edit").text.split('name="_version" value="')[1].split('"')[0]
    answer = browser.post(f"/e{path}/edit", {"_version": version, "mobile": "13912345678"})
    assert answer.status_code == 303
    page = browser.get(f"/e{path}").text
    assert "无名" not in page and f"#{id}" in page


def test_the_audit_log_shows_changes_only_as_far_as_the_record_may_be_read(people, buyer):
    """The administrator sees no business data; the auditor of the platform holds no right on buyers either."""
    path, id = buyer
    for person in ("admin", "auditor"):
        answer = people[person].get(f"/platform.audit_entry?entity=depot.buyer&record_id={id}")
        assert answer.status_code == 200 and len(answer.json["items"]) == 1
        assert VERDICT not in answer.get_data(as_text=True) and "无名" not in answer.get_data(as_text=True)
        single = people[person].get(f"/platform.audit_entry/{answer.json['items'][0]['id']}").get_data(as_text=True)
        assert VERDICT not in single and "无名" not in single


def test_the_audit_log_masks_what_its_reader_sees_masked(people, world):
    from metaloom.command import save_user

    saved = save_user(world.ctx("admin"), None, {"username": "phoned", "display_name": "Phoned", "email": "phoned@example.cn", "mobile": "13700001111"})
    asked = f"/platform.audit_entry?entity=platform.user&record_id={saved.id}"
    assert "13700001111" in people["admin"].get(asked).get_data(as_text=True)
    seen = people["auditor"].get(asked).get_data(as_text=True)
    assert "13700001111" not in seen and "137****1111" in seen and "Phoned" in seen
