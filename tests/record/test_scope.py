"""Rows and fields that a person gets, on both databases: scopes, exact union, links, masks."""

from decimal import Decimal

import pytest
import sqlalchemy as sa

from metaloom.access import load_actor, load_org_tree, plan_for
from metaloom.base.errors import Invalid, LoginRequired, NotAllowed, NotFound
from metaloom.model import FieldLevel
from metaloom.record import Filter
from tests.record.world import ID_CARDS, PHONES, statements

ALL = [8, 7, 6, 5, 4, 3, 2, 1]


def ids(page) -> list[int]:
    return [row.id for row in page]


def seen(world, user: int, *roles: str, entity: str = "demo.project", **limits) -> list[int]:
    with world.as_(user, *roles, **limits) as reader:
        return ids(reader.list(entity, limit=50))


# user → company, unit: 1 ann c1 u2 · 2 bob c1 u3 · 3 cai c1 u4 · 4 dee c2 u5; project i belongs to (i - 1) % 4 + 1
@pytest.mark.parametrize(("user", "roles", "limits", "expected"), [
    (1, ("everything",), {}, ALL),
    (1, ("everything",), {"company": 2}, [8, 4]),
    (1, ("everything",), {"unit": 2}, [6, 5, 2, 1]),
    (1, ("own",), {}, [5, 1]),
    (1, ("own",), {"company": 2}, []),
    (1, ("office",), {}, [7, 6, 5, 3, 2, 1]),
    (4, ("office",), {}, [8, 4]),
    (1, ("office",), {"company": 2}, [8, 4]),
    (1, ("tree",), {}, [6, 5, 2, 1]),
    (2, ("tree",), {}, [6, 2]),
    (1, ("unit",), {}, [5, 1]),
    (4, ("north",), {}, [5, 1]),
    (1, ("checker",), {}, [8, 4]),
    (4, ("checker",), {}, [5, 1]),
    (3, ("big",), {}, [7]),
    (1, ("own", "big"), {}, [5, 1]),
    (3, ("own", "checker"), {}, [7, 6, 3, 2]),
])
def test_the_rows_of_each_scope(world, user, roles, limits, expected):
    assert seen(world, user, *roles, **limits) == expected


def test_a_grant_for_no_rows_shows_none(world):
    with world.as_(1, "nobody") as reader, pytest.raises(NotAllowed):
        reader.list("demo.project")


def test_rows_follow_the_scope_of_the_record_they_link_to(world):
    assert seen(world, 4, "office", entity="demo.invoice") == [8, 4]
    assert seen(world, 1, "own", entity="demo.invoice") == [5, 1]


def test_a_shared_entity_is_seen_whole_by_whoever_holds_the_right(world):
    assert seen(world, 4, "office", entity="demo.note") == [1]
    assert seen(world, 4, "office", entity="demo.note", company=1) == [1]
    with world.as_(4, "own") as reader, pytest.raises(NotAllowed) as denied:
        reader.list("demo.note")
    assert "公告" in denied.value.message.say("zh")


def test_a_field_of_a_row_shows_only_where_one_role_grants_both(world):
    """own_secret grants field `secret` on own rows, office grants all rows of the company without it: never both at once."""
    with world.as_(1, "own_secret", "office") as reader:
        rows = {row.id: row for row in reader.list("demo.project", paths=["name", "secret", "budget", "hours"])}
    assert rows[1].values == {"name": "项目1", "secret": "secret 1", "budget": Decimal(100), "hours": 1}
    assert rows[2].values == {"name": "项目2", "hours": 2}
    assert rows[2].levels["secret"] is FieldLevel.HIDDEN and rows[1].levels["secret"] is FieldLevel.READ


def test_actions_of_a_row_are_those_of_the_grants_that_hold_for_it(world):
    with world.as_(1, "own", "office", "checker") as reader:
        rows = {row.id: row for row in reader.list("demo.project")}
        assert "edit" in rows[1].actions and "edit" not in rows[2].actions
        assert "approve" in rows[8].actions and "approve" not in rows[1].actions
        assert "export" not in rows[8].actions


def test_a_record_outside_the_scope_is_not_found_like_one_that_never_existed(world):
    with world.as_(1, "own") as reader:
        assert reader.get("demo.project", 1).id == 1
        told = []
        for wrong in (2, 4, 999_999, 0, -1, 2**70, True, "1", None):
            with pytest.raises(NotFound) as missing:
                reader.get("demo.project", wrong)
            told.append(missing.value.message.say("zh"))
        assert len(set(told)) == 1
        with pytest.raises(NotFound):
            reader.get("demo.nothing", 1)
        with pytest.raises(NotFound):
            reader.history("demo.project", 2)
        with pytest.raises(NotFound):
            reader.related("demo.client", 2, "projects")


def test_a_linked_row_outside_the_scope_shows_neither_title_nor_fields(world):
    """A reviewer sees project 8 of the other company, but no client of that company."""
    with world.as_(1, "checker", "masked_reader") as reader:
        row = reader.get("demo.project", 8)
        assert row["client"] == 4 and "client" not in row.titles
        listed = {r.id: r for r in reader.list("demo.project", paths=["name", "client", "client.name", "client.level"])}
        assert "client.name" not in listed[8].values and "client.level" not in listed[8].values
    with world.as_(1, "everything", "masked_reader") as reader:
        listed = {r.id: r for r in reader.list("demo.project", paths=["client", "client.name", "client.income"][:2])}
        assert listed[1].titles == {"client": "张三"} and listed[1]["client.name"] == "张三"
        assert listed[4].titles == {} and "client.name" not in listed[4].values


def test_names_of_people_are_a_directory(world):
    with world.as_(1, "own") as reader:
        assert reader.get("demo.project", 1).titles["reviewer"] == "Dee"
        assert reader.list("demo.project", paths=["reviewer.display_name"]).rows[0]["reviewer.display_name"] == "Dee"
        with pytest.raises(Invalid):
            reader.list("demo.project", paths=["reviewer.username"])


def test_masks_are_applied_before_a_value_leaves(world):
    with world.as_(1, "office") as reader:
        row = reader.get("demo.client", 1)
        assert row["mobile"] == "132****5917" and row["id_no"] == "110101**********9X"
        assert row.levels["mobile"] is FieldLevel.MASKED
        assert PHONES[1] not in repr(row) and ID_CARDS[1] not in repr(row)
    with world.as_(1, "own") as reader:
        assert reader.get("demo.client", 1)["mobile"] == PHONES[1]


def test_children_come_with_their_parent_and_follow_its_rights(world):
    with world.as_(1, "own") as reader:
        assert [task["title"] for task in reader.get("demo.project", 5).children["tasks"]] == ["task 5"]
    with world.as_(1, "own_secret") as reader:
        assert reader.get("demo.project", 5).children == {}
        with pytest.raises(NotAllowed):
            reader.list("demo.task")


def test_a_lookup_offers_only_rows_in_scope_and_of_the_links_filter(world):
    with world.as_(1, "own") as reader:
        assert [found.title for found in reader.lookup("demo.client")] == ["张三"]
    with world.as_(1, "office") as reader:
        assert {found.title for found in reader.lookup("demo.client")} == {"张三", "李四", "王五"}
        assert [tuple(found) for found in reader.lookup("demo.client", "ls")] == [(2, "李四", "K002")]
        assert {f.id for f in reader.lookup("demo.client", filter="level == 'gold'", for_entity="demo.project")} == {1, 3}
        linked = reader.lookup("demo.client", filter="level != record.client.level", for_entity="demo.project",
                               record={"client": {"id": 1, "level": "gold"}})
        assert {f.id for f in linked} == {2}


def test_ids_to_be_linked_are_checked_against_scope(world):
    with world.as_(1, "office") as reader:
        assert reader.visible("demo.client", [1, 4, 77]) == {1}
        assert reader.visible("platform.user", [1, 4, 77]) == {1, 4}
        assert reader.by_key("demo.client", {"client_no": "K002"}) == 2
        assert reader.by_key("demo.client", {"client_no": "K004"}) is None


def test_why_names_role_grant_scope_and_line(world):
    with world.as_(1, "everything") as reader:
        world_roles = [("demo.own_secret", None, None), ("demo.office", None, None)]
        with world.tenant.write() as conn:
            held = world.revision.tables.engine.role_assignment
            conn.execute(held.delete().where(held.c.user_id == 2))
            for role, company, unit in world_roles:
                conn.execute(held.insert().values(user_id=2, role=role, company_id=company, org_unit_id=unit))
    with world.as_(1, "everything") as reader:
        why = reader.why(2, "demo.project", 1, "secret")  # of ann: only office covers it
        assert why.visible and why.level is FieldLevel.HIDDEN
        verdicts = {v.role: v for v in why.grants}
        assert verdicts["demo.office"].covers_row and not verdicts["demo.own_secret"].covers_row
        assert verdicts["demo.own_secret"].level is FieldLevel.READ
        assert verdicts["demo.office"].position.file.endswith("project/entity.yaml") and verdicts["demo.office"].position.line > 1
        assert reader.why(2, "demo.project", 2, "secret").level is FieldLevel.READ
        outside = reader.why(2, "demo.project", 4, "name")
        assert not outside.visible and "本公司" in outside.summary.say("zh")
        with pytest.raises(NotFound):
            reader.why(2, "demo.project", 999, "name")
    with world.as_(2, "office") as reader:  # about oneself: a foreign record and a missing one are told alike
        foreign, missing = (reader.why(2, "demo.project", wrong, "name") for wrong in (4, 999))
        assert not foreign.exists and foreign.summary.say("zh") == missing.summary.say("zh")
        with pytest.raises(NotFound):
            reader.why(1, "demo.project", 4, "name")


def test_a_plan_is_loaded_in_one_statement_and_renewed_when_an_assignment_changes(world):
    held = world.revision.tables.engine.role_assignment
    with world.tenant.write() as conn:
        conn.execute(held.delete().where(held.c.user_id == 3))
        conn.execute(held.insert().values(user_id=3, role="demo.office"))
        conn.execute(held.insert().values(user_id=3, role="demo.own", valid_to=sa.literal(None)))
    with world.tenant.read() as conn:
        first = plan_for(conn, world.revision, 3)
        with statements(conn) as sent:
            assert plan_for(conn, world.revision, 3) is first
        assert len(sent) == 1
        assert load_org_tree(conn, world.revision).subtree(1) == (1, 2, 3, 4)
        assert first.org.subtree(1) == (1, 2, 3, 4)
    with world.tenant.write() as conn:
        conn.execute(held.delete().where(held.c.user_id == 3, held.c.role == "demo.office"))
    with world.tenant.read() as conn:
        assert {a.role for a in plan_for(conn, world.revision, 3).actor.roles} == {"demo.own"}


def test_assignments_count_only_within_their_dates(world):
    from datetime import date

    held = world.revision.tables.engine.role_assignment
    with world.tenant.write() as conn:
        conn.execute(held.delete().where(held.c.user_id == 4))
        conn.execute(held.insert().values(user_id=4, role="demo.office", valid_to=date(2020, 1, 1)))
        conn.execute(held.insert().values(user_id=4, role="demo.tree", valid_from=date(2190, 1, 1)))
        conn.execute(held.insert().values(user_id=4, role="demo.own", valid_from=date(2020, 1, 1), valid_to=date(2190, 1, 1)))
    with world.tenant.read() as conn:
        assert [a.role for a in load_actor(conn, world.revision, 4).roles] == ["demo.own"]


def test_a_user_who_is_switched_off_or_unknown_has_no_plan(world):
    user = world.revision.tables.engine.user
    with world.tenant.write() as conn:
        conn.execute(user.insert().values(id=50, username="zed", email="zed@x.cn", active=False))
    with world.tenant.read() as conn:
        for wrong in (50, 51):
            with pytest.raises(LoginRequired):
                plan_for(conn, world.revision, wrong)


def test_a_filter_over_a_link_reaches_only_linked_rows_that_may_be_read(world):
    with world.as_(1, "everything", "masked_reader") as reader:
        page = reader.list("demo.project", filters=[Filter("client.name", "contains", "赵")])
        assert ids(page) == [] and page.narrowed
        assert ids(reader.list("demo.project", filters=[Filter("client.name", "contains", "张")])) == [5, 1]
        with pytest.raises(Invalid):
            reader.list("demo.project", filters=[Filter("client.income", "gt", "1")])
