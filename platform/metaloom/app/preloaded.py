"""The application as a server loads it that forks its workers afterwards (``metaloom.app.gunicorn``); everybody else takes ``wsgi``."""

from metaloom.base import heap

heap.calm()  # before the other imports: they make half a million objects that all stay

from metaloom.app import create_app, warm  # noqa: E402
from metaloom.base import logs  # noqa: E402

logs.configure()

application = create_app()
warm(application)
heap.settle()
