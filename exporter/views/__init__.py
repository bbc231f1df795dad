"""What pages and the terminal show of accounts and servers: pure functions of settings and state.

Pages and the terminal only lay it out.
"""
