"""``metaloom worker``: a process that does what the outboxes say must be done."""

from __future__ import annotations

import signal
from threading import Event

import click

from metaloom.cli._house import house


@click.command("worker")
@click.option("--once", is_flag=True, help="Run what is due now, then end.")
def command(once: bool) -> None:
    """Drain the outboxes of all tenants. Start as many as you like, on any number of machines; stop with Ctrl-C or SIGTERM."""
    from metaloom.base.clock import SystemClock
    from metaloom.job import EmbeddedWorker
    from metaloom.plugin.registry import installed
    from metaloom.worker import handlers, scheduler, work

    with house() as tenancy:
        registry = installed()
        if once:
            one = EmbeddedWorker(tenancy, handlers(registry, SystemClock()), schedule=scheduler(registry, SystemClock()))
            one.look()
            click.echo(f"{one.round()} rows were run")
            return
        stopping = Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: stopping.set())
        bell = "Redis rings" if tenancy.settings.redis_url else "without Redis, looking every few seconds"
        click.echo(f"working for {len(tenancy.names())} tenants; {bell}")
        work(tenancy, registry, stopping=stopping)
