"""Tensor blobs: safetensors files under their SHA-256, on disk or in an S3-compatible store."""
