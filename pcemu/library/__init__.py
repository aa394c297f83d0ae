"""Disks that are known by name: where they are kept, where they come from, how new ones are made."""
