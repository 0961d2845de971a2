"""What teachers and their settings are called in figures and tables."""

NAMES = {"small": "small teacher", "large": "large teacher", "large_sweet": "large, sweet spot", "none": "labels alone"}


def setting_name(teacher: str, setting: str) -> str:
    """Of a panel of figure 7: "small teacher", or "large, 4096 × 50" with another batch size and number of epochs."""
    return NAMES[teacher] if setting == "default" else f"{teacher}, {setting.replace('x', ' × ')}"
