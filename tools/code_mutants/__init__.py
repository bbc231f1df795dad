"""Changes the package in many small ways; the tests must find each change."""
