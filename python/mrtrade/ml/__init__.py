"""Labels, selection and models: from features to a forecast."""
