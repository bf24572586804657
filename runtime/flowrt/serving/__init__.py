"""A party as a process: its configuration, its folder, its apps, and what serves it.

Knows nothing of commands: what is printed and asked is `flowrt.cli`'s.
"""
