"""Imports of other tools' runs. Sources of unit tests are made up here; real ones are read from where they are."""
