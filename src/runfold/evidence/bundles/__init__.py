"""Bundles: sealed events with what proves them to somebody who has no Runfold."""
