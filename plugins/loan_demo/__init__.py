"""A year in the life of an invented micro-lender, played on the demo_data door: organisation, staff, products, people, loans."""
