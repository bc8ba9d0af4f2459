"""Serve a classifier over HTTP, with a page to try it in a browser."""
