"""Files of labelled words in every common format, read as sentences."""
