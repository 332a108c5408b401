"""Applications to copy from, each run on the embedded AWS by one command: examples/README.md."""
