"""diapipe: difference imaging for astronomy."""
