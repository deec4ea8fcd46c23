"""The built-in mail server and its ten years of sample mail, for `mailarchive demo` and for tests; loopback only."""
