"""The study of TSD's quality against its budget; ``scripts/saliency_budget.py`` runs it."""
