"""diapipe: difference imaging for astronomy."""

__version__ = "0.1.0"
