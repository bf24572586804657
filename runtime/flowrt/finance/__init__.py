"""Money on a ledger: cash, commercial paper, obligations, and the rules that their contracts keep.

The rules are those of Corda's finance contracts (github.com/corda/corda, finance/contracts), but
for holes that were found there; docs/finance.md says which. Start reading at `cash`.
"""
