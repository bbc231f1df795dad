"""Builds the reference pages of docs/ from the code, and takes the screenshots."""
