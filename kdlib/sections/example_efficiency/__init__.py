"""How many examples does distillation need?"""
