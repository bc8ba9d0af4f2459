"""Sentences written in the formats that are read."""
