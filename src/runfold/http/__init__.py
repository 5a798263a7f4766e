"""The service: the ledger over HTTP. Routes are made from `runfold.ledger.routes`; what is asynchronous lives here alone."""
