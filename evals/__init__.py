"""Evaluation of a running service over HTTP: public suites with labelled evidence, and ratios of speed."""
