"""Is there a sweet spot of batch size and epochs?"""
