"""Production entry: ``gunicorn --workers 4 --threads 4 metaloom.app.wsgi:application`` beside ``metaloom worker`` processes."""

from metaloom.app import create_app
from metaloom.base import heap, logs

heap.calm()
logs.configure()

application = create_app(worker=True)
