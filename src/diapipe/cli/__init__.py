"""The commands, thin over `diapipe.flow`.

Modules here import only click at the top, what is heavy inside the commands: ``diapipe --help`` must answer at once.
"""
