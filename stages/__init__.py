"""One thin module a stage of dvc.yaml."""
