"""The report of a survey: a folder of pages on its visits and objects."""
