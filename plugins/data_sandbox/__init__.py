"""A bureau that lives in this folder: for demonstrations and tests, with people on its blacklist and faults on demand."""
