"""Numbers: functions of arrays on NumPy, SciPy and Numba, which know nothing of files, sky or astronomy's nouns."""
