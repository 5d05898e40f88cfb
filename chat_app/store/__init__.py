"""The database: its tables, statements, versions, search and the files of chats."""
