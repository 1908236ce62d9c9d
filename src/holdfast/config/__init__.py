"""Configuration files to typed settings: HCL and JSON, Vault's keys and units."""
