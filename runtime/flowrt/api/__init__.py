"""The HTTP interface of a node: flows, people, operators, figures. `server` opens it."""
