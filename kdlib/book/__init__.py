"""Pages and the book: executed, assembled, verified, compared."""

MIME = "application/vnd.kdlib.record+json"  # of the output in which an executed page carries its record
