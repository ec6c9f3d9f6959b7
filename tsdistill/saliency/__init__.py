"""Temporal saliency (arXiv 2601.04263): how much each window of the input moves a model's prediction."""
