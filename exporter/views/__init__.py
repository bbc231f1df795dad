"""What a person is told of the accounts and their fleets: pure functions of what is known.

Pages and the terminal only lay it out.
"""
