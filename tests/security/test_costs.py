"""What the tests save (``without_cost``) the product pays: a process of its own, as nothing has touched it."""

from __future__ import annotations

import os

from metaloom.storage import Settings
from tests import forked

ASKED = """
import sys
from metaloom.command.password import hashed
from metaloom.storage import Settings, Tenancy
print(hashed("Geheim-2026").partition("$")[0])
with Tenancy(Settings.from_env()).open(sys.argv[1]).write() as conn:
    print(conn.exec_driver_sql("PRAGMA synchronous").scalar())
"""


def test_a_password_costs_a_guesser_and_a_commit_waits_for_the_disk(tmp_path):
    from metaloom.storage import Tenancy

    env = {**os.environ, "METALOOM_HOME": str(tmp_path)}
    env.pop("METALOOM_DATABASE_URL", None)
    tenancy = Tenancy(Settings.from_env(env))
    tenancy.create("costs", "Costs")
    tenancy.close()
    told = forked.run(ASKED, "costs", env=env)
    assert told.stdout.split() == ["scrypt:32768:8:1", "2"], told.stderr
