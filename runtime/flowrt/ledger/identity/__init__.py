"""Who is who: names, certificates, the network map, keys and pseudonyms. Judges no transaction.

`names` and `certificates` say who somebody is, `networkmap` who takes part now, `keystore` has our
private keys, `claims` binds pseudonyms to parties. `register` keeps in a node's database which keys
are whose; `services` has what flows call, `Keys` and `Network`.
"""
