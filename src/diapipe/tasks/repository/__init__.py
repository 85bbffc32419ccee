"""A Butler repository of diapipe: what it is made of, and how it is made and opened."""

from diapipe.tasks.repository.creation import create_repository
from diapipe.tasks.repository.opening import CONFIG_FOLDER, open_repository

__all__ = ["CONFIG_FOLDER", "create_repository", "open_repository"]
