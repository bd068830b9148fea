"""`dask-igtm`: maps from the command line.

The room knows the names that users import and turns them into commands; whatever takes long to import is
imported by the command that needs it. Nothing calls it but the shell.
"""
