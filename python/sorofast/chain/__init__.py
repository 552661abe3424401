"""The network as the engine sees it: JSON-RPC over HTTP, and the ledger's clock. Nothing above this names
an RPC method.
"""
