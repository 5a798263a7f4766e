"""The service: the ledger over HTTP. Routes are made from `runfold.api.table`; what is asynchronous lives here alone."""
