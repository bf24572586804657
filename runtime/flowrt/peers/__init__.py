"""What a node has with its peers: what came and left, what each may cost, who answers whom, and
whether a store went back."""
