"""Data services reached over HTTP: credit bureau, blacklist, social security, carrier, identity, bank card, face."""
