"""``metaloom demo``: a tenant with a believable history, made by commands over simulated days."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from metaloom.cli._house import house
from metaloom.cli.tenant import make_tenant
from metaloom.plugin.demo_data import Size
from metaloom.storage import Tenancy

CUSTOMERS, CASES, DAYS, FIRST = 2000, 3000, 60, 40
LINE_SECONDS = 15.0
LOGINS = (("officer01", "客户经理", "Account manager"), ("check01", "风控审查", "Risk check"), ("review01", "风控审核", "Risk review"),
          ("manager01", "分公司经理", "Branch manager"), ("approve01", "审批人", "Approver"),
          ("committee01", "贷审会（另有 02、03）", "Credit committee (02 and 03, too)"), ("exec01", "公司管理层", "Management"),
          ("finance01", "财务经办", "Finance maker"), ("fincheck01", "财务复核", "Finance checker"), ("product01", "产品经理", "Product manager"),
          ("admin", "系统管理员", "Administrator"), ("auditor", "审计员", "Auditor"))


@click.command("demo")
@click.argument("name", metavar="TENANT")
@click.option("--client", help="The folder under tenants/ it is made from; demo.", default="demo", show_default=True)
@click.option("--customers", type=click.IntRange(20), default=CUSTOMERS, show_default=True)
@click.option("--cases", type=click.IntRange(20), default=CASES, show_default=True, help="Finished pieces of work.")
@click.option("--days", type=click.IntRange(8, 300), default=DAYS, show_default=True, help="Working days that are played.")
@click.option("--gently", is_flag=True, help="Leave room for a server that runs beside it.")
@click.option("--first-part", is_flag=True, help="Stop when there is enough to log in and look around; the next call goes on.")
def command(name: str, client: str, customers: int, cases: int, days: int, gently: bool, first_part: bool) -> None:
    """Make TENANT where there is none and play its history; an interrupted run is continued."""
    size = Size(customers=customers, cases=cases, first=min(FIRST, customers), days=days)
    with house() as tenancy:
        if fill(tenancy, name, client=client, size=size, first_only=first_part, gently=gently):
            show_logins(name)
        else:
            say_complete(name)


def fill(tenancy: Tenancy, name: str, *, client: str = "demo", size: Size | None = None, first_only: bool = False,
         gently: bool = False) -> bool:
    """Makes the tenant where there is none and plays its history, with a bar on a terminal; False when it was complete."""
    from metaloom.app.demo import make

    if name not in tenancy.names():
        make_tenant(tenancy, name, client)
    asked = size or Size(customers=CUSTOMERS, cases=CASES, days=DAYS, first=FIRST)
    with _progress(name) as tell, _quiet():
        return make(tenancy, name, size=asked, first_only=first_only, progress=tell, gently=gently)


def say_complete(name: str) -> None:
    """There is nothing left to make."""
    click.echo(f"{name}: the demonstration data is complete")


def show_logins(name: str) -> None:
    """Who can log in, and how."""
    from metaloom.app.demo import PASSWORD

    click.echo(f"logins of {name}, password of all: {PASSWORD}")
    for login, zh, en in LOGINS:
        click.echo(f"  {login:<12} {zh} / {en}")


@contextmanager
def _quiet() -> Iterator[None]:
    """A payment that the sandbox was asked to lose is part of the story, no warning for the terminal."""
    log = logging.getLogger("metaloom.job")
    level, log.level = log.level, logging.ERROR
    try:
        yield
    finally:
        log.setLevel(level)


@contextmanager
def _progress(name: str) -> Iterator[Callable[[int, int, str], None]]:
    console = Console(stderr=True)
    if not console.is_terminal or os.environ.get("TERM") == "dumb":
        yield _lines(name)
        return
    bar = Progress(TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn(), console=console)
    with bar:
        task = bar.add_task(name, total=None)
        yield lambda done, total, text: bar.update(task, completed=done, total=total or None, description=f"{name} {text}")


def _lines(name: str) -> Callable[[int, int, str], None]:
    """A line now and then, for logs."""
    said = [time.monotonic() - LINE_SECONDS]

    def tell(done: int, total: int, text: str) -> None:
        if not total:
            click.echo(f"{name}: {text}", err=True)
        elif time.monotonic() - said[0] >= LINE_SECONDS or done == total:
            said[0] = time.monotonic()
            click.echo(f"{name}: {done * 100 // total} % {text}", err=True)

    return tell
