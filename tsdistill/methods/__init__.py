"""Distillation methods: loss terms, weighted into stages, stages in order."""
