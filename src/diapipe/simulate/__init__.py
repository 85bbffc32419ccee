"""Skies and exposures of known truth."""
