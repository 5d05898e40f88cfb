"""Files of chats, ours and those of other apps: one module a format, and what reads a file of any. No SQL."""
