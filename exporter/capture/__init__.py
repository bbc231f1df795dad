"""Captures of an account's API answers, in which everything private is replaced."""
