"""Processes that die at a given statement: a server of its own that forks one process per order and tells how each ended.

    {"do": "decide", "user": 3, "task": 7, "version": 1, "decision": "pass", "more": {…}, "die": 5}
    {"do": "storm", "seed": 1, "people": {…}, "cases": […], "die": 80}

``die``: SIGKILL right before the statement of that number is sent in a command's transaction (0 = never; the statement after the last
is the COMMIT, then comes the moment after it). Forked from a process that never opened a connection.
"""

from __future__ import annotations

import json
import os
import random
import signal
import sys
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from tests.command.guild import Guild
from tests.forked import Forked

ROOT = Path(__file__).parents[2]


class Dying:
    """The server seen from a test. ``send`` and ``outcome`` apart: several may run while the test does other things."""

    def __init__(self, guild: Any) -> None:
        settings = guild.tenant.settings
        place = {"home": str(settings.home), "url": settings.database_url or "", "name": guild.tenant.name, "at": guild.clock.at.isoformat()}
        self._process = Forked("import json, sys\nfrom tests.command.dying import serve\nserve(json.loads(sys.argv[1]))", json.dumps(place))

    def order(self, **what: Any) -> int:
        """0 = it went through, 9 = it died, 1 = it was refused."""
        self.send(**what)
        return self.outcome()

    def send(self, **what: Any) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(what) + "\n")
        self._process.stdin.flush()

    def outcome(self) -> int:
        assert self._process.stdout is not None
        return int(self._process.stdout.readline())

    def close(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait(60)


def serve(place: dict[str, str]) -> None:
    import tests.command.test_approval_fire  # noqa: F401  (before the fork, so that each order is quick)

    running: list[int] = []
    for line in sys.stdin:
        order = json.loads(line)
        process = os.fork()
        if process == 0:
            os._exit(_carry_out(place, order))
        running.append(process)
        if order.get("beside"):
            continue
        while running:
            _, status = os.waitpid(running.pop(0), 0)
            print(os.WTERMSIG(status) if os.WIFSIGNALED(status) else os.WEXITSTATUS(status), flush=True)


def _carry_out(place: dict[str, str], order: dict[str, Any]) -> int:
    from datetime import datetime

    from metaloom.access import plan_for
    from metaloom.base.clock import FixedClock
    from metaloom.base.errors import MetaloomError
    from metaloom.command import Context, decide_task
    from metaloom.storage import Settings, Tenancy

    tenant = Tenancy(Settings.from_env({"METALOOM_HOME": place["home"], "METALOOM_DATABASE_URL": place["url"]})).open(place["name"])
    clock = FixedClock(datetime.fromisoformat(place["at"]))
    revision = tenant.revision()

    def ctx(user: int, key: str | None = None) -> Context:
        with tenant.read() as conn:
            plan = plan_for(conn, revision, user)
        return Context(tenant=tenant, revision=revision, actor=plan.actor, plan=plan, clock=clock, idempotency_key=key)

    if order["do"] == "storm":
        contexts = {name: ctx(user) for name, user in order["people"].items()}
        _die_at(tenant, order["die"])
        return _storm(tenant, contexts, order)
    mine = ctx(order["user"], f"die-{order['task']}")
    _die_at(tenant, order["die"])
    try:
        decide_task(mine, order["task"], order["decision"], "可", record_version=order["version"], **order["more"])
    except MetaloomError as refused:
        print(refused.message.say("en"), file=sys.stderr)
        return 1
    return 0


def _die_at(tenant: Any, number: int) -> None:
    """Counts what is sent in transactions that write."""
    sent = 0

    def before(*_: Any) -> None:
        nonlocal sent
        sent += 1
        if sent == number:
            os.kill(os.getpid(), signal.SIGKILL)

    for event in ("before_cursor_execute", "commit"):
        sa.event.listen(tenant._access.write, event, before)


def _storm(tenant: Any, contexts: dict[str, Any], order: dict[str, Any]) -> int:
    """Random moves of random people until death or the end."""
    from tests.command.test_approval_fire import work

    work(Seen(tenant, order["people"]), contexts, order["cases"], random.Random(order["seed"]), [], moves=40)
    return 0


class Seen(Guild):
    """The guild as another process than its own sees it."""

    def __init__(self, tenant: Any, people: dict[str, int]) -> None:
        self.tenant, self.people = tenant, people

