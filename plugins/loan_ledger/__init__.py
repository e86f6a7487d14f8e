"""What a loan's happenings mean for the books: which accounting event, with which amounts."""
