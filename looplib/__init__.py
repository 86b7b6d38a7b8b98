"""What every part needs and no part owns: configuration, user errors, whole-or-nothing files, progress.

Imports none of the other folders and none of their heavy libraries, so the service can be installed alone.
"""
