"""One training loop for teachers and students alike; it knows no method."""
