"""The nouns of tables: stars of one image, DIA sources, their schema and identifiers."""
