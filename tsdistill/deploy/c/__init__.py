"""A student as one C99 header."""
