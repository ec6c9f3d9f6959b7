"""Performance, substitution, reasoning and cost: pure functions of arrays and a model."""
