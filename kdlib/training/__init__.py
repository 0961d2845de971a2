"""Training: networks, losses, teachers, students, and measures of them."""
