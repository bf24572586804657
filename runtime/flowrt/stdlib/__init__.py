"""The library of flows that comes with flowlang, as Python: made by `make stdlib` from
`flowlang/stdlib`, a package for each family."""
