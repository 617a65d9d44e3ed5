"""Model versions in MLflow: files, aliases and their history, promotion, life cycle."""
