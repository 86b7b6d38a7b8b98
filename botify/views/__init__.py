"""The views: each module makes a blueprint of a service."""
