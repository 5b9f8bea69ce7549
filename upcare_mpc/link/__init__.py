"""Transport between parties: gRPC with mutual TLS, and an in-memory link for tests."""
