"""What is done with trained models and many runs: loading, evaluation, reports."""
