"""Pictures of flows: their states, and what they say to each other. Writes no file, judges no
program.

A picture is a value first; writers of its own draw it for SVG, Mermaid and the terminal.
"""
