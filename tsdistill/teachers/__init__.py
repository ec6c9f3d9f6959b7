"""Teachers as the methods see them: answers on any series, and input gradients."""
