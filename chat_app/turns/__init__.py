"""A turn: one question and the reply to it, from its start to its end."""
