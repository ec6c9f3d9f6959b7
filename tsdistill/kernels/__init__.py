"""Compiled ways to compute what the models say, and the choice between them and PyTorch's."""
