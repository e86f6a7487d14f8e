"""Production entry: ``gunicorn --workers 4 --threads 4 metaloom.app.wsgi:application`` beside ``metaloom worker`` processes."""

from metaloom.app import create_app
from metaloom.plugin.registry import installed
from metaloom.storage.settings import Settings

_settings = Settings.from_env()
application = create_app(_settings, worker=_settings.redis_url is None, registry=installed())
