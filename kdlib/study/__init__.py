"""A study: settings, a data set and a store, from which a section is computed."""
