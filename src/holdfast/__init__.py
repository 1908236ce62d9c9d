"""Holdfast: a highly available secrets server, compatible on the wire with the HashiCorp Vault HTTP API."""
