"""Who may use a server that others reach: accounts, sign-in, keys. Nothing of it is loaded while AUTH is unset."""
