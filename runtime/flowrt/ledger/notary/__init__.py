"""A notary: says who used a state up first, and when. It owns nothing and knows no contract.

`requests` is what it is asked, `judging` what it answers and why, `desk` how many are answered at
once, `service` what flows see of all that.
"""
