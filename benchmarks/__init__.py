"""Programs that measure how fast and how good diapipe is; see README.md beside."""
