"""Does the similarity in a teacher's responses agree with what others see?"""
