"""What a trained ensemble is worth: scores, experiments, figures and the report."""
