"""Is it the size of a teacher, or what goes with it?"""
