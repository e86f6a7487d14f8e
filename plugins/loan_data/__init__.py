"""Questions about a customer to others: with consent, by price, and not twice while an answer holds."""
