"""``metaloom run``: serve the application on this machine."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import click

from metaloom.cli._house import house
from metaloom.storage import Settings, Tenancy

DEMO = "demo"


@click.command("run")
@click.option("--host", default="127.0.0.1", show_default=True)
@click.option("--port", default=8000, show_default=True)
@click.option("--workers", type=int, help="Processes; 1 on SQLite, 2 on PostgreSQL.")
@click.option("--threads", default=8, show_default=True, help="Threads of each process.")
@click.option("--demo", is_flag=True, help="Make the demo tenant first where there is none; its data arrives while you look around.")
def command(host: str, port: int, workers: int | None, threads: int, demo: bool) -> None:
    """Serve every tenant. Without Redis the outbox is drained in the same processes; with it start metaloom worker as well."""
    _refuse_taken(host, port, demo)
    with house() as tenancy:
        settings = replace(tenancy.settings, front=tenancy.settings.front or DEMO) if demo else tenancy.settings
        filler = _demo(tenancy) if demo else None
        names = tenancy.names()
    if not names:
        click.echo("there is no tenant yet: metaloom tenant create <name> --client <folder under tenants/>, or run with --demo")
    for name in names:
        click.secho(f"http://{host}:{port}/{name}/", fg="green")
    try:
        _serve(settings, host, port, workers or (2 if settings.database_url else 1), threads)
    finally:
        if filler is not None and filler.poll() is None:
            filler.terminate()


def _refuse_taken(host: str, port: int, demo: bool) -> None:
    """A port that somebody else serves is said before anything is made, not after it."""
    try:
        kind = socket.AF_INET6 if ":" in host else socket.AF_INET
        with socket.socket(kind, socket.SOCK_STREAM) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind((host.strip("[]"), port))
    except OSError as error:
        other = f"metaloom run --demo --port {port + 1}, or make run PORT={port + 1}" if demo else f"metaloom run --port {port + 1}"
        raise click.ClickException(f"{host}:{port} cannot be served: {error.strerror}; name another one: {other}") from error


def _demo(tenancy: Tenancy) -> subprocess.Popen[bytes] | None:
    """The demo tenant with its people and enough to look around; the rest is made by a process of its own beside the server."""
    from metaloom.cli.demo import fill, say_complete, show_logins

    unfinished = fill(tenancy, DEMO, first_only=True)
    show_logins(DEMO)
    if not unfinished:
        say_complete(DEMO)
        return None
    return subprocess.Popen([sys.executable, "-m", "metaloom", "demo", DEMO, "--gently"], env=os.environ.copy())


def _serve(settings: Settings, host: str, port: int, workers: int, threads: int) -> None:
    from gunicorn.app.base import BaseApplication

    class Server(BaseApplication):  # type: ignore[misc]
        def load_config(self) -> None:
            for key, value in _config(host, port, workers, threads).items():
                self.cfg.set(key, value)

        def load(self) -> Callable[..., Any]:
            from metaloom.app import create_app

            return create_app(settings, worker=True)

    Server().run()


def _config(host: str, port: int, workers: int, threads: int) -> dict[str, object]:
    """The application is made in each worker process, so that no connection or thread is shared over a fork."""
    return {
        "bind": f"{host}:{port}", "workers": workers, "threads": threads, "worker_class": "gthread", "preload_app": False,
        "timeout": 120, "graceful_timeout": 20, "keepalive": 5, "loglevel": os.environ.get("METALOOM_LOG", "warning").lower(),
        "proc_name": "metaloom", "worker_int": _leave, "control_socket_disable": True,
    }  # fmt: skip


def _leave(worker: Any) -> None:
    """Ctrl-C: the process ends at once. What was not committed never was; a row of the outbox that was being sent is taken up
    again when its lease has ended. Without this the interpreter clears away a large catalog first, which takes seconds."""
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(0)
