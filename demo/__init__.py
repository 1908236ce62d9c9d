"""The main job on real input: three nodes over TLS, used through standbys, stepped down and killed under load, saved and restored."""
