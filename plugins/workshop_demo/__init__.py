"""A few weeks in an invented repair shop, played on the demo_data door."""
