"""The command line: a client of the HTTP API, with the hands of a Vault user unchanged; only `server` starts a node.

Decides how a command line is read (flags as Go's flag package reads them), which requests it becomes, what is printed and with which
exit code. Everything about secrets is decided by the server.
"""
