"""Models: interactions in, factors and top-k lists out. The only folder that imports `implicit`."""
