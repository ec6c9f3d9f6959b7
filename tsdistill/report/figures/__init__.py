"""Figures of a report: each a function of plain values that returns a matplotlib figure."""
