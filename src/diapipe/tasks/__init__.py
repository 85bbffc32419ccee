"""LSST Tasks over the steps of diapipe: `ImageDifferenceTask`, its configuration and its subtasks.

Needs the middleware of LSST (``pip install 'diapipe[pipeline]'``), none of its compiled stack.
"""
