"""A mass function of the club, for tests of mass steps."""
