"""`make bench`: what the app costs and how late a token is, measured in one run and written to one folder.

One module a subject, which gives tables of `records`; `report` and `plots` write them. Figures of different machines or
loads cannot be compared: what is to be compared is measured side by side in one run.
"""
