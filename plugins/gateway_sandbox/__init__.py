"""A payment gateway to practise with: a simulator with books of its own, and the adapter that talks to it."""
