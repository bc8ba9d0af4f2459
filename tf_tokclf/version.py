"""The version of this package, on its own so that packaging can read it without imports."""

__version__ = "0.1.0"
