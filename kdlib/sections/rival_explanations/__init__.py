"""Could something else explain what was found?"""
