"""The commands, thin over `diapipe.flow`."""
