"""Stored runs in the forms that experiment trackers read; a tracker is imported only when it is asked for."""
