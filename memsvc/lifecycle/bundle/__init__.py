"""Bundles: a space as one portable, checksummed file, written and read as a stream. docs/bundle.md is the format."""
