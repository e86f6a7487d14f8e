"""Ground floor: values that every room speaks of. Imports the standard library only."""
