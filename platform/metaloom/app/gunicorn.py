"""Settings of gunicorn: ``gunicorn -c python:metaloom.app.gunicorn --workers 4 --threads 4 --bind 127.0.0.1:8000``.

The application and the metadata of the tenants are loaded once, by the parent; a worker is a fork of it: it answers within
milliseconds, also when it takes the place of one that died, and shares the memory. New code needs a restart, not a reload.
"""

from __future__ import annotations

from typing import Any

wsgi_app = "metaloom.app.preloaded:application"
preload_app = True
threads = 4
worker_class = "gthread"
max_requests = 20_000
max_requests_jitter = 2_000
graceful_timeout = 25
control_socket_disable = True       # one for all servers of an account, in its home folder, which a service may not have


def post_fork(server: Any, worker: Any) -> None:
    """gunicorn calls it in each new worker."""
    from metaloom.app import begin_process
    from metaloom.app.preloaded import application

    begin_process(application)
