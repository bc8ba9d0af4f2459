"""Serve a classifier over HTTP, with a web page to try it out."""
