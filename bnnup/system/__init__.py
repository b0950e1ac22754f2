"""Files, paths, threads and memory: no pictures, no networks."""
