"""Builds that really run: a buildspec's phases in one shell, and the artifacts that they leave."""
