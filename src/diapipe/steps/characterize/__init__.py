"""characterize: what an image does not bring with it is measured on it."""

from diapipe.steps.characterize.characterized import Characterize, Characterized, characterize

__all__ = ["Characterize", "Characterized", "characterize"]
