"""What a run is, what it works in, and its story in order: load, split, teacher, pool, student, record."""
