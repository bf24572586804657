"""States that parties own, transactions that they sign, and rules that both keep.

The design follows Corda's ledger (https://docs.r3.com): states are consumed and produced by
transactions, contracts judge a transaction as a whole, a notary prevents double spends. Each module
says where it departs from that. Start reading at `transactions`.
"""
