"""From the tables that are there to the tables a catalog asks for: plan, publish, roll back."""

from metaloom.schema_change.difference import Difference, differences
from metaloom.schema_change.impact import Impact
from metaloom.schema_change.plan import Plan, PlanRefused, Step, plan
from metaloom.schema_change.publish import (
    SYSTEM,
    Author,
    apply,
    client_of,
    plan_for,
    publish,
    recover,
    remembered,
    rollback,
    served_catalog,
    sources_of,
    with_site_layer,
)
from metaloom.schema_change.restore import release, restore

__all__ = [
    "SYSTEM", "Author", "Difference", "Impact", "Plan", "PlanRefused", "Step", "apply", "client_of", "differences", "plan", "plan_for",
    "publish", "recover", "release",
    "remembered", "restore", "rollback", "served_catalog", "sources_of", "with_site_layer",
]
