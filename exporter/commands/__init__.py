"""The commands that do one thing and end, a module each; what they print is for people and pipes."""
