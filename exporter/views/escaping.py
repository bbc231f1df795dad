"""Text from outside in output that a terminal or a table interprets."""


def escape_unprintable(text: str) -> str:
    """Escape control characters, line breaks and direction marks, so that a server's name cannot control a terminal."""
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in text)
