"""What do a teacher's responses hold?"""
