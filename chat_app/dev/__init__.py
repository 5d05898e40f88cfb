"""The development loop: `develop` watches the sources and starts the server anew when one is saved; what is wrong with
them is on the page until it is repaired.

The server is the one of production, at the same port. Its page comes from Vite, which builds only what is asked for.
"""
