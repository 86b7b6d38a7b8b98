"""Listeners that drive a running service over HTTP.

In: a world and the address of a service. Out: what was heard, by listener and by arm; the service writes the event log.
"""
