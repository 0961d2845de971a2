"""The paper's claims, the controls, and the verdicts on them."""
