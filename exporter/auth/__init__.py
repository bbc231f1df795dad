"""Ways to authenticate a request, one file each, behind the one protocol `Credentials`."""
