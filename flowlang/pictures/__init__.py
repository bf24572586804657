"""Pictures of flows: their states, and what they say to each other. A picture is first a value, then
drawn by a writer of its own for SVG, Mermaid and the terminal. Reads machines and checked trees; writes
no file and judges no program.
"""
