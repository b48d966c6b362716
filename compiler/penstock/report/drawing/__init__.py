"""The pictures of the page: where everything in them stands. Templates draw it.

Lengths across a chart are in percent of its width, so that a chart fits every screen while its text
keeps its size.
"""
