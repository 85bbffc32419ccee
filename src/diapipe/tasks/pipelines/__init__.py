"""Pipelines as YAML: what a survey runs, from its exposures to light curves."""
