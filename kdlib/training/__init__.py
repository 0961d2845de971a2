"""What is trained: networks, losses, teachers, students, and measures of them."""
