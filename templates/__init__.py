"""Templates and static files of the generated screens. This file only makes them reachable from an installed wheel."""
