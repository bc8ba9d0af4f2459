"""A classifier over HTTP, and a page to try it."""
