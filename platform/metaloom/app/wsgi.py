"""Production entry: ``gunicorn --workers 4 --threads 4 metaloom.app.wsgi:application`` beside ``metaloom worker`` processes."""

from metaloom.base import heap

heap.calm()  # before the other imports: they make half a million objects that all stay

from metaloom.app import create_app  # noqa: E402
from metaloom.base import logs  # noqa: E402

logs.configure()

application = create_app(worker=True)
