"""The `upcare` command: parse, call, print."""
