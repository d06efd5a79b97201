"""How people move: from pictures and tracks to numbers, and from numbers to what they are likely doing."""
