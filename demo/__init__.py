"""The main job on real input: a durable node over TLS, used through the command line and through hvac, killed and started again."""
