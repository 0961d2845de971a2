"""Distillation systems: what the paper discusses and what came since, each as a loss of logits behind one seam."""
