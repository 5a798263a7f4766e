"""The ledger over HTTP: routes made from `runfold.api.table`, and the server that serves them."""
