"""Side-by-side timings against peers, run by hand; their tables stand in the README."""
