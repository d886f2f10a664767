"""From a running XAS scan to the structure around the absorbing atom, published in Tiled."""

__version__ = "0.1.0"
