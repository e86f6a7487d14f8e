"""metaloom: the engine that turns metadata into a running business application."""

__version__ = "0.1.0"
