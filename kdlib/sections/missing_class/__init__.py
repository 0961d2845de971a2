"""Can a student recognise a class that it never saw?"""
