"""Training, evaluation and export of policies."""
