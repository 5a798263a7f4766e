"""The same handles and questions over HTTP."""
