"""How numbers, verdicts, plans and curves are shown."""
