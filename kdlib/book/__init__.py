"""Pages and the book: executed, assembled, verified, compared."""
