"""Classifiers, each a plain nn.Module: series (B, C, T) to logits (B, K)."""
