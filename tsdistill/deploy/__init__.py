"""Trained students at work: answers on new series, and the forms in which they leave Python."""
