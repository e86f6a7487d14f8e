"""Rights in Python: which grants are held, what they say about actions and field levels, and why not."""

from types import SimpleNamespace

import pytest

from metaloom.access import AccessPlan, Actor, Assignment, OrgTree, Unit
from metaloom.access.scope import RowScope
from metaloom.model import FieldLevel
from tests.record.world import UNITS, catalog

HIDDEN, MASKED, READ, WRITE = FieldLevel.HIDDEN, FieldLevel.MASKED, FieldLevel.READ, FieldLevel.WRITE


@pytest.fixture(scope="module")
def revision():
    return SimpleNamespace(catalog=catalog())


def plan(revision, *roles: str, company=None, unit=None, user=1) -> AccessPlan:
    held = tuple(Assignment(f"demo.{role}", company, unit) for role in roles)
    return AccessPlan(revision, Actor(user, "ann", roles=held, company_id=1, org_unit_id=2), OrgTree.of(UNITS))


def scopes(found: AccessPlan, entity: str = "demo.project") -> tuple[RowScope, ...]:
    return found.rights(entity).scopes


def test_a_missing_right_is_named_in_both_languages(revision):
    verdict = plan(revision, "tree").may("demo.project", "export")
    assert not verdict
    assert "导出" in verdict.reason.say("zh") and "部门树" in verdict.reason.say("zh") and "项目" in verdict.reason.say("zh")
    assert "export" in verdict.reason.say("en") and "Tree" in verdict.reason.say("en")


def test_a_person_without_roles_is_told_so(revision):
    verdict = plan(revision).may("demo.project", "list")
    assert not verdict and verdict.reason.code == "access.no_role"


def test_an_unknown_entity_is_denied_not_an_error(revision):
    assert not plan(revision, "own").may("demo.nothing", "list")


def test_a_grant_for_no_rows_may_create_and_nothing_else(revision):
    found = plan(revision, "nobody")
    assert found.may("demo.project", "create")
    denied = found.may("demo.project", "list")
    assert not denied and denied.reason.code == "access.no_rows"


def test_a_permission_names_the_grants_that_give_it(revision):
    verdict = plan(revision, "own", "office").may("demo.project", "list")
    assert [held.grant.role for held in verdict.grants] == ["demo.own", "demo.office"]


def test_two_roles_with_one_scope_share_one_condition(revision):
    assert [s.kind for s in scopes(plan(revision, "own", "own_secret"))] == ["self"]


def test_the_level_of_a_field_comes_from_grants_that_cover_the_row_and_no_others(revision):
    found = plan(revision, "own_secret", "office")  # self: secret and budget; company: neither
    own, office = (i for i, _ in enumerate(scopes(found)))
    assert found.field_levels("demo.project", {office})["secret"] is HIDDEN
    assert found.field_levels("demo.project", {office})["code"] is READ
    assert found.field_levels("demo.project", {own})["code"] is HIDDEN
    both = found.field_levels("demo.project", {own, office})
    assert (both["secret"], both["code"], both["budget"]) == (READ, READ, READ)
    assert found.field_levels("demo.project", ()) ["name"] is HIDDEN
    assert found.field_levels("demo.project", ()) ["id"] is HIDDEN


def test_a_masked_field_without_a_level_of_its_own_is_masked_for_readers_and_whole_for_writers(revision):
    assert plan(revision, "office").field_level_anywhere("demo.client", "id_no") is MASKED
    assert plan(revision, "own").field_level_anywhere("demo.client", "id_no") is WRITE
    assert plan(revision, "office").field_level_anywhere("demo.client", "name") is READ


def test_write_needs_a_grant_that_edits(revision):
    assert plan(revision, "office").field_level_anywhere("demo.project", "code") is READ


def test_owner_and_author_fields_are_never_writable(revision):
    levels = plan(revision, "everything").field_levels("demo.project", {0})
    assert levels["owner"] is READ and levels["created_at"] is READ and levels["code"] is WRITE


def test_a_child_without_grants_of_its_own_follows_its_parents_field(revision):
    found = plan(revision, "own", "own_secret")
    assert found.field_level_anywhere("demo.task", "title") is WRITE
    assert {"edit", "create", "delete", "read"} <= found.actions("demo.task")
    reader = plan(revision, "own_secret")
    assert reader.grants("demo.task") == ()  # the field `tasks` is hidden there


@pytest.mark.parametrize(("role", "limits", "expected"), [
    ("everything", {}, RowScope("all", "demo.project")),
    ("everything", {"company": 2}, RowScope("all", "demo.project", limit_company=2)),
    ("office", {}, RowScope("company", "demo.project", company_id=1)),
    ("office", {"company": 2}, RowScope("company", "demo.project", company_id=2)),
    ("office", {"unit": 5}, RowScope("company", "demo.project", company_id=2)),
    ("tree", {}, RowScope("units", "demo.project", unit_ids=(2, 3))),
    ("tree", {"unit": 1}, RowScope("units", "demo.project", unit_ids=(1, 2, 3, 4))),
    ("unit", {}, RowScope("units", "demo.project", unit_ids=(2,))),
    ("north", {}, RowScope("units", "demo.project", unit_ids=(2,))),
    ("own", {"company": 2}, RowScope("self", "demo.project", user_id=1, limit_company=2)),
])
def test_a_scope_starts_at_the_assignment_else_at_the_person(revision, role, limits, expected):
    assert scopes(plan(revision, role, **limits)) == (expected,)


def test_a_department_scope_in_another_company_without_a_unit_covers_nothing(revision):
    assert scopes(plan(revision, "tree", company=2)) == ()


def test_a_scope_of_all_rows_needs_no_column_and_makes_others_needless(revision):
    rights = plan(revision, "everything", "own", "office").rights("demo.project")
    assert rights.scopes_for("list") == (0,)
    flags, certain = rights.flags_needed(rights.scopes_for("list"))
    assert certain == {0} and set(flags) == {1, 2}


def test_one_scope_needs_no_column(revision):
    rights = plan(revision, "office").rights("demo.project")
    assert rights.flags_needed(rights.scopes_for("list")) == ((), frozenset({0}))


def test_the_tree_of_units_survives_a_circle():
    tree = OrgTree.of((Unit(1, 1, 2, "a", "a"), Unit(2, 1, 1, "b", "b")))
    assert tree.subtree(1) == (1, 2)
    assert tree.subtree(9) == () and tree.subtree(None) == ()
