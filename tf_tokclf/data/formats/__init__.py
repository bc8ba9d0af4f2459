"""Formats of labelled data, one module each: how it is recognised, its reader, and its writer where there is one."""
