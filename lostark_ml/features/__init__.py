"""From statistics to the columns that the model reads."""
