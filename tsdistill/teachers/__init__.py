"""Whoever can teach: the protocol, one file a kind, and what a teacher leaves for its students."""
