"""The public interface of a network: HTTPS and JSON below /v1; it can read no answer."""
