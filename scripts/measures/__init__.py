"""The rows of the benchmark, a module each; ``scripts/benchmark.py`` runs them."""
