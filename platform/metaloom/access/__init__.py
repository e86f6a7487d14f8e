"""Who may do what with which rows and which fields, and always why.

A *grant* is one line of metadata (role, scope, actions, field levels); it is *held* through an assignment of the role
to a person, perhaps limited to a company or an organisation unit. ``AccessPlan`` answers for one person under one
revision: in Python for a single question, in SQL (a row predicate, and one boolean per row scope) for a list.
"""

from metaloom.access.actor import Actor, Assignment, load_actor, person_columns, plan_for, plan_of, plans_for
from metaloom.access.org import OrgTree, Unit, load_org_tree
from metaloom.access.person import person_of, persons_of, same_person
from metaloom.access.plan import AccessPlan, Denied, EntityRights, HeldGrant, Permitted
from metaloom.access.scope import RowScope, aliased, scope_holds
from metaloom.access.widening import Widening, beyond, widenings

__all__ = [
    "AccessPlan", "Actor", "Assignment", "Denied", "EntityRights", "HeldGrant", "OrgTree", "Permitted", "RowScope", "Unit",
    "Widening", "aliased", "beyond", "load_actor", "load_org_tree", "person_columns", "person_of", "persons_of",
    "plan_for", "plan_of", "plans_for", "same_person", "scope_holds", "widenings",
]
